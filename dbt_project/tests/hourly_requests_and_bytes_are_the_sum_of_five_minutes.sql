{{ config(tags=['delivery']) }}

with by_slot as (

    select
        {{ slot_start('slot_start', 3600) }} as hour, cdn, customer,
        sum(requests) as requests, sum(bytes) as bytes,
        sum(hit_requests) as hit_requests, sum(hit_bytes) as hit_bytes
    from {{ ref('traffic_5m') }}
    where {{ in_requested_hours('slot_start') }}
    group by 1, 2, 3

),

by_hour as (

    select hour, cdn, customer, requests, bytes, hit_requests, hit_bytes
    from {{ ref('qos_hourly') }}
    where {{ in_requested_hours('hour') }}

)

-- Full: an hour that is in one of the two alone is a difference as well.
select *
from by_slot
full join by_hour
    on by_slot.hour = by_hour.hour
    and by_slot.cdn = by_hour.cdn
    and by_slot.customer = by_hour.customer
where by_slot.hour is null
or by_hour.hour is null
or by_slot.requests <> by_hour.requests
or by_slot.bytes <> by_hour.bytes
or by_slot.hit_requests <> by_hour.hit_requests
or by_slot.hit_bytes <> by_hour.hit_bytes
