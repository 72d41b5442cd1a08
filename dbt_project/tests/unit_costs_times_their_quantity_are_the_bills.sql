{{ config(tags=['billing']) }}

-- By CDN and for the platform; both factors are shown to nine digits, so each may be half of one off.
with costs as (

    select
        *,
        cast(unit_cost as decimal(18, 9)) as price,
        cast(quantity as decimal(20, 9)) as units
    from {{ ref('unit_costs') }}
    where {{ in_requested_months('month') }}

),

bills as (

    select month, currency, sum(amount) as amount
    from {{ ref('bills') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

),

wholes as (

    select month, currency, subject, unit, sum(amount) as amount
    from costs
    group by 1, 2, 3, 4

)

select costs.month, costs.currency, costs.subject, costs.unit
from costs
where costs.price is not null
and abs(costs.price * costs.units - cast(costs.amount as decimal(29, 9)))
> cast(0.000000001 as decimal(10, 9)) * (abs(costs.price) + costs.units + 1)

union all

select bills.month, bills.currency, wholes.subject, wholes.unit
from bills
left join wholes
    on wholes.month = bills.month
    and wholes.currency = bills.currency
where wholes.amount is null
or wholes.amount <> bills.amount
