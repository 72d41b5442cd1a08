{{ config(tags=['delivery']) }}

select *
from {{ ref('qos_hourly') }}
where {{ in_requested_hours('hour') }}
and (
    hit_requests > eligible_requests
    or eligible_requests > requests
    or hit_bytes > eligible_bytes
    or eligible_bytes > bytes
    or least(hit_requests, hit_bytes, errors_4xx, errors_5xx, no_response, aborted) < 0
)
