{{ config(tags=['billing']) }}

-- No byte stands under two contracts of a vendor. Months of other time zones cut other hours out of
-- the year, so only vendors billed in UTC are compared; usage without a contract is another test's.
with bills as (

    select month, vendor, sum(logged_bytes) as bytes, min(zone) as first_zone, max(zone) as last_zone
    from {{ ref('bills') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

),

usage as (

    select month, cdn as vendor, sum(logged_bytes) as bytes
    from {{ ref('usage_monthly') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

)

select *
from bills
left join usage on usage.month = bills.month and usage.vendor = bills.vendor
where bills.first_zone = 'UTC'
and bills.last_zone = 'UTC'
and bills.bytes > coalesce(usage.bytes, 0)
