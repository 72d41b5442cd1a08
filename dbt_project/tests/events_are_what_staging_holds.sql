{{ config(tags=['engagement']) }}

with counted as (

    select {{ slot_start('event_time', 3600) }} as hour, count(*) as events
    from {{ ref('stg_rec__events') }}
    where event_type in ('impression', 'click', 'play', 'like')
    group by 1

),

rolled_up as (

    select
        hour,
        sum(impressions + clicks + plays + likes) as events,
        sum(plays - valid_plays) as rest
    from {{ ref('engagement_hourly') }}
    where {{ in_requested_hours('hour') }}
    group by 1

)

select *
from counted
full join rolled_up on counted.hour = rolled_up.hour
where coalesce(counted.events, 0) <> coalesce(rolled_up.events, 0)
or rolled_up.rest < 0
