{#
    Billed rates: what the ranked samples of a charge (int_billing__ranked) come to by the rule of
    its contract for the month. rated: a relation of charges by series, with the rules of their
    component and the days and slots of their month. One row per billed value, with the columns of
    `measured` in int_billing__quantities: base is the value's sum over `divisor` days.
#}

{# Percentiles of the month: its valid days are those of the calendar, or those with traffic. #}
{% macro rates_of_months(rated) -%}
with percentiles as (

    select
        rated.*,
        coalesce(ranked.value, 0) as value,
        ranked.billed_slot,
        case rated.valid_days_rule
            when 'month' then rated.day_count
            when 'activation' then rated.active_days
            else coalesce(ranked.traffic_day_count, 0)
        end as valid_days,
        case rated.valid_days_rule
            when 'month' then rated.slot_count
            when 'activation' then rated.active_slots
            else coalesce(ranked.traffic_slots, 0)
        end as samples
    from {{ rated }} as rated
    left join {{ ref('int_billing__ranked') }} as ranked
        on {{ same_charge('ranked', 'rated') }}
        and ranked.series = rated.series
    where rated.month_rule = 'p95'

)

select
    contract_key,
    month,
    component_no,
    scope,
    series,
    cast(null as date) as day,
    false as is_daily,
    value as base,
    1 as divisor,
    {{ div_floor('samples * 5', '100') }} + 1 as billed_rank,
    billed_slot,
    samples,
    valid_days,
    day_count as month_days,
    case when valid_days_rule = 'month' then 1 else valid_days end as prorate_num,
    case when valid_days_rule = 'month' then 1 else day_count end as prorate_den
from percentiles
{%- endmacro %}

{#
    Rates of ranked days: their mean, the mean of the five largest, the fourth largest, or each one
    by itself. Every valid day has one, without a sample it is 0: a silent slot counts, it is not
    absent.
#}
{% macro rates_of_days(rated) -%}
with valid_days as (

    select
        rated.*,
        days.day,
        days.slots,
        coalesce(ranked.value, 0) as value,
        ranked.billed_slot
    from {{ rated }} as rated
    inner join {{ ref('int_billing__days') }} as days
        on days.contract_key = rated.contract_key
        and days.month = rated.month
    left join {{ ref('int_billing__ranked') }} as ranked
        on {{ same_charge('ranked', 'rated') }}
        and ranked.series = rated.series
        and ranked.day = days.day
    where rated.month_rule <> 'p95'
    and (
        rated.valid_days_rule = 'month'
        or (rated.valid_days_rule = 'activation' and days.day >= rated.activated_on)
        or (rated.valid_days_rule = 'traffic' and ranked.has_traffic)
    )

),

ordered_days as (

    select
        *,
        row_number() over (
            partition by contract_key, month, component_no, scope, series
            order by value desc, day
        ) as place
    from valid_days

),

counted as (

    select
        rated.contract_key,
        rated.month,
        rated.component_no,
        rated.scope,
        rated.month_rule,
        rated.valid_days_rule,
        rated.day_count,
        rated.series,
        count(ordered_days.day) as valid_days,
        coalesce(cast(sum(ordered_days.slots) as bigint), 0) as samples,
        coalesce({{ whole('sum(ordered_days.value)') }}, 0) as all_days,
        coalesce({{ whole('sum(ordered_days.value) filter (where ordered_days.place <= 5)') }}, 0)
            as five_days,
        coalesce(
            {{ whole('max(ordered_days.value) filter (where ordered_days.place = 4)') }}, 0
        ) as fourth_value,
        max(ordered_days.day) filter (where ordered_days.place = 4) as fourth_day,
        max(ordered_days.billed_slot) filter (where ordered_days.place = 4) as fourth_slot
    from {{ rated }} as rated
    left join ordered_days
        on {{ same_charge('ordered_days', 'rated') }}
        and ordered_days.series = rated.series
    where rated.month_rule not in ('p95', 'each_day')
    group by 1, 2, 3, 4, 5, 6, 7, 8

)

select
    contract_key,
    month,
    component_no,
    scope,
    series,
    case when month_rule = 'fourth' then fourth_day end as day,
    false as is_daily,
    case month_rule
        when 'mean' then all_days
        when 'top5' then five_days
        else fourth_value
    end as base,
    case month_rule
        when 'mean' then greatest(valid_days, 1)
        when 'top5' then greatest(least(valid_days, 5), 1)
        else 1
    end as divisor,
    case when month_rule = 'fourth' then 4 end as billed_rank,
    case when month_rule = 'fourth' then fourth_slot end as billed_slot,
    samples,
    valid_days,
    day_count as month_days,
    case when valid_days_rule = 'month' then 1 else valid_days end as prorate_num,
    case when valid_days_rule = 'month' then 1 else day_count end as prorate_den
from counted

union all

select
    contract_key,
    month,
    component_no,
    scope,
    series,
    day,
    true as is_daily,
    value as base,
    1 as divisor,
    1 as billed_rank,
    billed_slot,
    slots as samples,
    cast(null as bigint) as valid_days,
    day_count as month_days,
    1 as prorate_num,
    1 as prorate_den
from valid_days
where month_rule = 'each_day'
{%- endmacro %}
