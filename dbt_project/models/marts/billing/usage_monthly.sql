{{ config(month_column='month') }}

-- Bills are made of what was published, not of what this build file happens to hold.
select
    {{ month_of('slot_start') }} as month,
    cdn,
    customer,
    {{ whole_sum('requests') }} as requests,
    {{ whole_sum('bytes') }} as bytes
from {{ source('gold', 'traffic_5m') }}
where {{ in_requested_months('slot_start', is_date=false) }}
group by 1, 2, 3
