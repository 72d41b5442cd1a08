{{ config(tags=['billing']) }}

with lines as (

    select month, contract_id, sum(amount) as amount
    from {{ ref('bill_lines') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

),

bills as (

    select month, contract_id, amount
    from {{ ref('bills') }}
    where {{ in_requested_months('month') }}

)

select *
from lines
full join bills on lines.month = bills.month and lines.contract_id = bills.contract_id
where lines.month is null
or bills.month is null
or lines.amount <> bills.amount
