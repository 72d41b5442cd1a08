{{ config(tags=['billing'], materialized='view') }}

-- When anything was delivered, hour by hour: a month with a delivery of anyone has a bill under each
-- contract in force, also of a vendor that was silent. weir bill puts the span of its file here.
select
    min(slot_start) as first_slot,
    max(slot_start) as last_slot,
    min(period) as first_period,
    max(period) as last_period
from {{ ref('int_billing__traffic') }}
group by date_trunc('hour', slot_start)
