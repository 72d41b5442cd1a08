{{ config(tags=['billing']) }}

with usage as (

    select month, cdn as vendor, {{ bytes_to_gb('sum(bytes)') }} as quantity_gb
    from {{ ref('usage_monthly') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

),

bills as (

    select month, vendor, sum(quantity_gb) as quantity_gb
    from {{ ref('bills') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

)

select *
from bills
left join usage on usage.month = bills.month and usage.vendor = bills.vendor
where usage.month is null
or usage.quantity_gb <> bills.quantity_gb
