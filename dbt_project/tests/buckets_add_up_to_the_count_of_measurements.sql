{{ config(tags=['delivery']) }}

with buckets as (

    select hour, cdn, customer, sum(requests) as requests
    from {{ ref('ttfb_buckets_hourly') }}
    where {{ in_requested_hours('hour') }}
    group by 1, 2, 3

),

quality as (

    select hour, cdn, customer, ttfb_count
    from {{ ref('qos_hourly') }}
    where {{ in_requested_hours('hour') }}

)

select *
from quality
full join buckets
    on quality.hour = buckets.hour
    and quality.cdn = buckets.cdn
    and quality.customer = buckets.customer
where quality.hour is null
or quality.ttfb_count <> coalesce(buckets.requests, 0)
