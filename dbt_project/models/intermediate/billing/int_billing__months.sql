{{ config(tags=['billing']) }}

-- The months that a contract bills: in force, asked for, and touched by the usage at hand.
with contracts as (

    select * from {{ source('contracts', 'price_contracts') }}
    where {{ is_known() }}

),

reach as (

    select * from {{ ref('int_billing__reach') }}

),

calendar as (

    select {{ add_months("date '2000-01-01'", 'n') }} as month
    from {{ numbers(1200) }} as numbers

),

in_force as (

    select
        contracts.contract_key,
        contracts.vendor,
        contracts.stands_for,
        contracts.is_rest,
        contracts.zone,
        contracts.activated_on,
        calendar.month,
        {{ add_months('calendar.month', 1) }} as next_month,
        {{ midnight('calendar.month', 'contracts.zone') }} as starts_at,
        {{ midnight(add_months('calendar.month', 1), 'contracts.zone') }} as ends_at
    from contracts
    inner join calendar
        on calendar.month >= contracts.valid_from
        and (calendar.month < contracts.valid_to or contracts.valid_to is null)
    where {{ in_requested_months('calendar.month') }}

),

reached as (

    select distinct in_force.*
    from in_force
    inner join reach
        on (in_force.starts_at <= reach.last_slot and in_force.ends_at > reach.first_slot)
        or (in_force.month >= reach.first_period and in_force.month <= reach.last_period)

),

activated as (

    select
        *,
        least(greatest(month, activated_on), next_month) as first_active_day
    from reached

)

select
    contract_key,
    vendor,
    stands_for,
    is_rest,
    zone,
    activated_on,
    month,
    starts_at,
    ends_at,
    {{ days_between('month', 'next_month') }} as day_count,
    {{ slots_between('starts_at', 'ends_at') }} as slot_count,
    {{ days_between('first_active_day', 'next_month') }} as active_days,
    {{ slots_between(midnight('first_active_day', 'zone'), 'ends_at') }} as active_slots
from activated
