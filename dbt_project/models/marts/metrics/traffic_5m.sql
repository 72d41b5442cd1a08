{{ config(tags=['delivery'], hour_column='slot_start') }}

select
    slot_start,
    cdn,
    pop,
    customer,
    requests,
    bytes,
    bytes_in,
    hit_requests,
    hit_bytes
from {{ ref('int_cdn__traffic_5m') }}
