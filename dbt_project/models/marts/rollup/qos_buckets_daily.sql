{{ config(day_column='day') }}

select
    {{ slot_start('hours.hour', 86400) }} as day,
    hours.cdn,
    hours.country,
    hours.asn,
    hours.protocol,
    hours.object_type,
    hours.measure,
    hours.is_hit,
    hours.bucket,
    cast(sum(hours.requests) as bigint) as requests
from {{ source('gold', 'qos_buckets_hourly') }} as hours
where {{ in_requested_days('hours.hour') }}
group by 1, 2, 3, 4, 5, 6, 7, 8, 9
