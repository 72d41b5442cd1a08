{{ config(month_column='month') }}

-- What a GB, a viewing hour and a thousand plays cost: expected bills over what was delivered and
-- watched. A customer's cost is its share of the bills by volume. Viewing is counted in UTC months.
with bills as (

    select * from {{ ref('bills') }}
    where {{ in_requested_months('month') }}

),

allocations as (

    select * from {{ ref('bill_allocations') }}
    where {{ in_requested_months('month') }}
    and dimension = 'customer'
    and method = 'volume'

),

watched as (

    select
        {{ month_of('hour') }} as month,
        customer,
        {{ whole('sum(watch_ms)') }} as watch_ms,
        {{ whole('sum(plays)') }} as plays
    from {{ source('gold', 'engagement_hourly') }}
    where {{ in_requested_months('hour', is_date=false) }}
    group by 1, 2

),

-- base: what was delivered or watched, in the smallest unit, of which the unit has unit_base.
units as (

    select 'viewing hour' as unit, {{ whole('3600000') }} as unit_base
    union all
    select 'thousand plays' as unit, {{ whole('1000') }} as unit_base

),

costs as (

    select month, currency, 'platform' as subject, 'all' as name, sum(amount) as amount
    from bills
    group by 1, 2

    union all

    select month, currency, 'customer' as subject, part as name, sum(amount) as amount
    from allocations
    group by 1, 2, 4

),

measured as (

    select
        bills.month,
        bills.currency,
        'cdn' as subject,
        bills.vendor as name,
        'GB' as unit,
        {{ whole('1000000000') }} as unit_base,
        sum(bills.amount) as amount,
        {{ whole('sum(bills.logged_bytes + bills.estimated_bytes)') }} as base
    from bills
    group by 1, 2, 4

    union all

    select
        costs.month,
        costs.currency,
        costs.subject,
        costs.name,
        units.unit,
        units.unit_base,
        costs.amount,
        coalesce({{ whole("sum(case units.unit when 'viewing hour' then watched.watch_ms
            else watched.plays end)") }}, 0) as base
    from costs
    cross join units
    left join watched
        on watched.month = costs.month
        and (costs.subject = 'platform' or watched.customer = costs.name)
    group by 1, 2, 3, 4, 5, 6, 7

),

scaled as (

    select
        *,
        {{ micros('abs(amount)') }} * 1000 * unit_base as numerator,
        nullif(base, 0) as denominator,
        sign(amount) as direction,
        base * 1000000000 as billionths
    from measured

)

select
    month,
    subject,
    name,
    unit,
    currency,
    {{ money(micros('amount')) }} as amount,
    {{ quantity(div_rounded('billionths', 'unit_base', "'half_up'")) }} as quantity,
    {{ quantity('cast(direction as integer) * '
        ~ div_rounded('numerator', 'denominator', "'half_up'")) }} as unit_cost
from scaled
