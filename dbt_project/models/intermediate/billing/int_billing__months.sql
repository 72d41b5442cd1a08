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

)

select distinct
    in_force.contract_key,
    in_force.vendor,
    in_force.stands_for,
    in_force.is_rest,
    in_force.zone,
    in_force.activated_on,
    in_force.month,
    in_force.starts_at,
    in_force.ends_at,
    {{ days_between('in_force.month', 'in_force.next_month') }} as day_count
from in_force
inner join reach
    on (in_force.starts_at <= reach.last_slot and in_force.ends_at > reach.first_slot)
    or (in_force.month >= reach.first_period and in_force.month <= reach.last_period)
