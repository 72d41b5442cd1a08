{{ config(tags=['billing'], materialized='view') }}

-- What is billed, in one shape: the published traffic here, a usage file in weir bill. A month of a
-- time zone reaches up to 14 hours into the UTC month before it, and 12 into the one after.
select
    cdn as vendor,
    customer as scope,
    pop,
    cast(null as varchar) as region,
    cast(null as varchar) as scheme,
    slot_start,
    cast(null as date) as period,
    requests,
    bytes,
    bytes_in,
    1000000 as completeness_ppm
from {{ source('gold', 'traffic_5m') }}
where {{ near_requested_months('slot_start') }}
