{{ config(tags=['billing']) }}

with traffic as (

    select {{ month_of('slot_start') }} as month, sum(requests) as requests, sum(bytes) as bytes
    from {{ source('gold', 'traffic_5m') }}
    where {{ in_requested_months('slot_start', is_date=false) }}
    group by 1

),

usage as (

    select month, sum(requests) as requests, sum(logged_bytes) as bytes
    from {{ ref('usage_monthly') }}
    where {{ in_requested_months('month') }}
    group by 1

)

select *
from traffic
full join usage on traffic.month = usage.month
where traffic.month is null
or usage.month is null
or traffic.requests <> usage.requests
or traffic.bytes <> usage.bytes
