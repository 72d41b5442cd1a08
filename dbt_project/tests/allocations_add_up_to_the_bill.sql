{{ config(tags=['billing']) }}

with parts as (

    select month, contract_id, method, dimension, sum(amount) as amount
    from {{ ref('bill_allocations') }}
    where {{ in_requested_months('month') }}
    group by 1, 2, 3, 4

),

bills as (

    select month, contract_id, amount
    from {{ ref('bills') }}
    where {{ in_requested_months('month') }}

)

select *
from bills
left join parts on parts.month = bills.month and parts.contract_id = bills.contract_id
where parts.month is null
or parts.amount <> bills.amount
