{{ config(month_column='month') }}

-- The sum of rounded lines, as on the vendor's invoice; never the rounded sum.
select
    month,
    contract_id,
    vendor,
    currency,
    cast(sum(quantity_gb) as decimal(38, 9)) as quantity_gb,
    cast(sum(amount) as decimal(38, 2)) as amount
from {{ ref('bill_lines') }}
where {{ in_requested_months('month') }}
group by 1, 2, 3, 4
