{{ config(tags=['billing']) }}

-- The slots that each way of measuring looks at, by number: a table, because the engine joins by a
-- number whose bounds it knows without hashing.
with days as (

    select distinct
        ways.way_no,
        ways.direction_no,
        ways.starts_at as month_starts_at,
        days.starts_at,
        days.slots,
        case when days.day >= ways.first_valid_day then days.day_bit else 0 end as day_bit
    from {{ ref('int_billing__ways') }} as ways
    inner join {{ ref('int_billing__days') }} as days
        on days.contract_key = ways.contract_key
        and days.month = ways.month

)

select
    {{ slot_number('days.starts_at') }} + cast(numbers.n as integer) as slot_no,
    days.way_no,
    days.direction_no,
    cast(
        case
            when days.day_bit > 0 then
                {{ turn(slots_between('days.month_starts_at', 'days.starts_at') ~ ' + numbers.n') }}
        end as bigint
    ) as turn,
    days.day_bit
from days
inner join {{ numbers(300) }} as numbers on numbers.n < days.slots
