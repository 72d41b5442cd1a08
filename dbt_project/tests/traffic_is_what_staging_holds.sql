{{ config(tags=['delivery']) }}

-- Counted once more from the rows and their decimal weights. Both are rounded once per CDN and
-- customer: half of one each is the most that may be lost or won, and nothing where weights are whole.
with counted as (

    select
        {{ slot_start('event_time', 3600) }} as hour,
        sum(sample_weight) as requests,
        sum(sample_weight * coalesce(bytes_out_total, 0)) as bytes
    from {{ ref('stg_cdn__requests') }}
    where is_viewer
    group by 1

),

rolled_up as (

    select
        {{ slot_start('slot_start', 3600) }} as hour,
        count(distinct cdn || ' ' || customer) as customers,
        sum(requests) as requests,
        sum(bytes) as bytes
    from {{ ref('traffic_5m') }}
    where {{ in_requested_hours('slot_start') }}
    group by 1

)

select *
from counted
full join rolled_up on counted.hour = rolled_up.hour
where counted.hour is null
or rolled_up.hour is null
or abs(counted.requests - rolled_up.requests) * 2 > rolled_up.customers
or abs(counted.bytes - rolled_up.bytes) * 2 > rolled_up.customers
