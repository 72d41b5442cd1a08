{{ config(tags=['billing']) }}

-- The days of each billed month in the contract's time zone, with their number of slots,
-- and a bit for each, so that a set of days is a number.
with days as (

    select
        months.contract_key,
        months.vendor,
        months.month,
        months.zone,
        {{ add_days('months.month', 'numbers.n') }} as day,
        {{ add_days('months.month', 'numbers.n + 1') }} as next_day
    from {{ ref('int_billing__months') }} as months
    inner join {{ numbers(31) }} as numbers on numbers.n < months.day_count

),

placed as (

    select
        contract_key,
        vendor,
        month,
        day,
        {{ midnight('day', 'zone') }} as starts_at,
        {{ midnight('next_day', 'zone') }} as ends_at
    from days

)

select
    contract_key,
    vendor,
    month,
    day,
    starts_at,
    ends_at,
    {{ slots_between('starts_at', 'ends_at') }} as slots,
    cast(power(2, extract(day from day) - 1) as integer) as day_bit
from placed
