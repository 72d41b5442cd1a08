{{ config(tags=['billing']) }}

-- What each component measured: one row per contract, month, estimate and component, and per scope
-- or day where the contract counts those alone. The quantity is q / (unit_base * scale) in the
-- component's unit, all whole numbers; nothing is rounded but what the contract rounds.
with placed as (

    select * from {{ ref('int_billing__volumes') }}

),

months as (

    select * from {{ ref('int_billing__months') }}

),

days as (

    select * from {{ ref('int_billing__days') }}

),

components as (

    select * from {{ source('contracts', 'price_components') }}
    where measure in ('bytes', 'requests', 'rate')

),

series as (

    {{ estimated_series('placed') | indent }}

),

estimates as (

    select
        factors.contract_key,
        factors.estimate,
        factors.factor_num,
        factors.factor_den,
        case when factors.estimate <> 'low' and known.series_count = 2 then 'completed'
            else 'logged' end
            as series
    from {{ source('contracts', 'price_contract_estimates') }} as factors
    cross join (select count(*) as series_count from series) as known

),

volumes as (
{% for measure in ['bytes', 'requests'] %}
    select
        placed.contract_key,
        placed.month,
        components.component_no,
        case when components.is_per_scope then placed.scope else '' end as scope,
        {{ whole('sum(placed.' ~ measure ~ ')') }} as logged,
        {{ whole('sum(' ~ completed('placed.' ~ measure) ~ ')') }} as completed
    from placed
    inner join components
        on components.contract_key = placed.contract_key
        and components.component_no
        = placed.{{ 'traffic_no' if measure == 'bytes' else 'requests_no' }}
        and components.measure = '{{ measure }}'
    group by 1, 2, 3, 4
    {% if not loop.last %}
    union all
    {% endif %}{% endfor %}
),

ranked as (

    select * from {{ ref('int_billing__ranked') }}

),

-- Whoever is billed: the account also in a month without a byte, a scope in months it was seen.
subjects as (

    select months.contract_key, months.month, components.component_no, '' as scope
    from months
    inner join components on components.contract_key = months.contract_key
    where not components.is_per_scope

    union

    select contract_key, month, component_no, scope from volumes

    union

    select contract_key, month, component_no, scope from ranked

),

rated as (

    select
        subjects.contract_key,
        subjects.month,
        subjects.component_no,
        subjects.scope,
        components.month_rule,
        components.valid_days_rule,
        months.activated_on,
        months.day_count,
        months.slot_count,
        months.active_days,
        months.active_slots,
        series.series
    from subjects
    inner join components
        on components.contract_key = subjects.contract_key
        and components.component_no = subjects.component_no
        and components.measure = 'rate'
    inner join months
        on months.contract_key = subjects.contract_key
        and months.month = subjects.month
    cross join series

),

-- The valid days of percentiles of the month: those of the calendar, or those with traffic.
percentiles as (

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
    from rated
    left join ranked
        on {{ same_charge('ranked', 'rated') }}
        and ranked.series = rated.series
    where rated.month_rule = 'p95'

),

-- Where days are ranked, every valid one, those without a sample at 0: a silent slot counts, it is
-- not absent.
valid_days as (

    select
        rated.*,
        days.day,
        days.slots,
        coalesce(ranked.value, 0) as value,
        ranked.billed_slot
    from rated
    inner join days on days.contract_key = rated.contract_key and days.month = rated.month
    left join ranked
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
    from rated
    left join ordered_days
        on {{ same_charge('ordered_days', 'rated') }}
        and ordered_days.series = rated.series
    where rated.month_rule not in ('p95', 'each_day')
    group by 1, 2, 3, 4, 5, 6, 7, 8

),

-- One row per billed value: base is its sum over `divisor` days.
measured as (

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

    union all

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

    union all

    select
        subjects.contract_key,
        subjects.month,
        subjects.component_no,
        subjects.scope,
        series.series,
        cast(null as date) as day,
        false as is_daily,
        coalesce(
            case when series.series = 'completed' then volumes.completed else volumes.logged end, 0
        )
            as base,
        1 as divisor,
        cast(null as integer) as billed_rank,
        cast(null as {{ instant_type() }}) as billed_slot,
        cast(null as bigint) as samples,
        cast(null as bigint) as valid_days,
        cast(null as integer) as month_days,
        1 as prorate_num,
        1 as prorate_den
    from subjects
    inner join components
        on components.contract_key = subjects.contract_key
        and components.component_no = subjects.component_no
        and components.measure <> 'rate'
    cross join series
    left join volumes
        on {{ same_charge('volumes', 'subjects') }}

),

-- What the logs say of the same value, beside what counts where slots are incomplete.
scaled as (

    select
        measured.*,
        logged.base as logged,
        estimates.estimate,
        components.unit_base,
        components.quantity_rounding,
        components.minimum_base,
        case when components.measure = 'requests' then measured.base
            else measured.base * estimates.factor_num end as scaled_base,
        {{ whole('measured.divisor') }}
        * case when components.measure = 'requests' then 1 else estimates.factor_den end as scale
    from measured
    inner join components
        on components.contract_key = measured.contract_key
        and components.component_no = measured.component_no
    inner join estimates
        on estimates.contract_key = measured.contract_key
        and estimates.series = measured.series
    left join measured as logged
        on {{ same_charge('logged', 'measured') }}
        and logged.series = 'logged'
        and (logged.day is not distinct from measured.day or not measured.is_daily)

),

raised as (

    select
        *,
        greatest(scaled_base, minimum_base * scale) as least_base,
        unit_base * scale as unit_scaled
    from scaled

)

select
    contract_key,
    month,
    estimate,
    component_no,
    scope,
    day,
    coalesce(logged, 0) as logged,
    base - coalesce(logged, 0) as estimated,
    case quantity_rounding
        when 'up' then {{ div_floor('least_base + unit_scaled - 1', 'unit_scaled') }} * unit_scaled
        when 'down' then {{ div_floor('least_base', 'unit_scaled') }} * unit_scaled
        else least_base
    end as q,
    scale,
    unit_base,
    prorate_num,
    prorate_den,
    billed_slot,
    billed_rank,
    samples,
    valid_days,
    month_days
from raised
