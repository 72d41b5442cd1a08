{{ config(tags=['billing'], materialized='view') }}

-- What is billed, in one shape: the published traffic here, a usage file in weir bill. A month of a
-- time zone reaches up to 14 hours into the UTC month before it, and 12 into the one after.
-- Slots are as complete as their hour is.
select
    traffic.cdn as vendor,
    traffic.customer as scope,
    traffic.pop,
    cast(null as string) as region,
    cast(null as string) as scheme,
    traffic.slot_start,
    cast(null as date) as period,
    traffic.requests,
    traffic.bytes,
    traffic.bytes_in,
    coalesce(completeness.completeness_ppm, 1000000) as completeness_ppm
from {{ source('gold', 'traffic_5m') }} as traffic
left join {{ ref('int_billing__completeness') }} as completeness
    on completeness.vendor = traffic.cdn
    and completeness.hour = {{ slot_start('traffic.slot_start', 3600) }}
where {{ near_requested_months('traffic.slot_start') }}
