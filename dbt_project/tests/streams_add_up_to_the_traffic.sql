{{ config(tags=['delivery']) }}

with by_stream as (

    select hour, cdn, pop, customer, sum(requests) as requests, sum(bytes) as bytes
    from {{ ref('streams_hourly') }}
    where {{ in_requested_hours('hour') }}
    group by 1, 2, 3, 4

),

by_slot as (

    select
        {{ slot_start('slot_start', 3600) }} as hour, cdn, pop, customer,
        sum(requests) as requests, sum(bytes) as bytes
    from {{ ref('traffic_5m') }}
    where {{ in_requested_hours('slot_start') }}
    group by 1, 2, 3, 4

)

-- Full: what is in one of the two alone is a difference as well.
select *
from by_stream
full join by_slot
    on by_slot.hour = by_stream.hour
    and by_slot.cdn = by_stream.cdn
    and by_slot.pop = by_stream.pop
    and by_slot.customer = by_stream.customer
where by_slot.hour is null
or by_stream.hour is null
or by_slot.requests <> by_stream.requests
or by_slot.bytes <> by_stream.bytes
