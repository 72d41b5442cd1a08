{{ config(tags=['billing']) }}

-- What each component measured: one row per contract, month, estimate and component, and per scope
-- or day where the contract counts those alone. The quantity is q / (unit_base * scale) in the
-- component's unit, all whole numbers; nothing is rounded but what the contract rounds.
with placed as (

    select * from {{ ref('int_billing__summed') }}

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

samples as (

    select * from {{ ref('int_billing__samples') }}

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

    select contract_key, month, component_no, scope from samples

),

rated as (

    select
        subjects.contract_key,
        subjects.month,
        subjects.component_no,
        subjects.scope,
        components.month_rule,
        components.day_rank,
        components.valid_days_rule,
        months.activated_on,
        months.day_count
    from subjects
    inner join components
        on components.contract_key = subjects.contract_key
        and components.component_no = subjects.component_no
        and components.measure = 'rate'
    inner join months
        on months.contract_key = subjects.contract_key
        and months.month = subjects.month

),

day_ranks as (

    select
        samples.*,
        case when rated.day_rank = 0 then {{ div_floor('days.slots * 5', '100') }} + 1
            else rated.day_rank end
            as day_rank
    from samples
    inner join rated
        on rated.contract_key = samples.contract_key
        and rated.month = samples.month
        and rated.component_no = samples.component_no
        and rated.scope = samples.scope
        and (rated.month_rule <> 'p95' or rated.valid_days_rule = 'traffic')
    inner join days
        on days.contract_key = samples.contract_key
        and days.day = samples.day

),

day_values as (

    select
        contract_key,
        month,
        component_no,
        scope,
        series,
        day,
        sum(sample) as day_sum,
        {{ kth_largest('sample', 'coalesce(day_rank, 1)') }} as value
    from day_ranks
    group by 1, 2, 3, 4, 5, 6

),

-- Every valid day, those without a sample at 0: a silent slot counts, it is not absent.
valid_days as (

    select
        rated.contract_key,
        rated.month,
        rated.component_no,
        rated.scope,
        rated.month_rule,
        rated.valid_days_rule,
        rated.day_count,
        series.series,
        days.day,
        days.slots,
        coalesce(day_values.value, 0) as value
    from rated
    inner join days on days.contract_key = rated.contract_key and days.month = rated.month
    cross join series
    left join day_values
        on day_values.contract_key = rated.contract_key
        and day_values.month = rated.month
        and day_values.component_no = rated.component_no
        and day_values.scope = rated.scope
        and day_values.series = series.series
        and day_values.day = days.day
    where rated.valid_days_rule = 'month'
    or (rated.valid_days_rule = 'activation' and days.day >= rated.activated_on)
    or (rated.valid_days_rule = 'traffic' and day_values.day_sum > 0)

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
        series.series,
        count(ordered_days.day) as valid_days,
        coalesce(cast(sum(ordered_days.slots) as bigint), 0) as samples,
        {{ div_floor('coalesce(cast(sum(ordered_days.slots) as bigint), 0) * 5', '100') }} + 1
            as month_rank,
        coalesce({{ whole('sum(ordered_days.value)') }}, 0) as all_days,
        coalesce({{ whole('sum(ordered_days.value) filter (where ordered_days.place <= 5)') }}, 0)
            as five_days,
        coalesce(
            {{ whole('max(ordered_days.value) filter (where ordered_days.place = 4)') }}, 0
        ) as fourth_value,
        max(ordered_days.day) filter (where ordered_days.place = 4) as fourth_day
    from rated
    cross join series
    left join ordered_days
        on ordered_days.contract_key = rated.contract_key
        and ordered_days.month = rated.month
        and ordered_days.component_no = rated.component_no
        and ordered_days.scope = rated.scope
        and ordered_days.series = series.series
    group by 1, 2, 3, 4, 5, 6, 7, 8

),

percentiles as (

    select
        samples.contract_key,
        samples.month,
        samples.component_no,
        samples.scope,
        samples.series,
        {{ kth_largest('samples.sample', 'counted.month_rank') }} as value
    from samples
    inner join counted
        on counted.contract_key = samples.contract_key
        and counted.month = samples.month
        and counted.component_no = samples.component_no
        and counted.scope = samples.scope
        and counted.series = samples.series
        and counted.month_rule = 'p95'
    group by 1, 2, 3, 4, 5

),

-- One row per billed value: base is its sum over `divisor` days.
measured as (

    select
        counted.contract_key,
        counted.month,
        counted.component_no,
        counted.scope,
        counted.series,
        case when counted.month_rule = 'fourth' then counted.fourth_day end as day,
        false as is_daily,
        case counted.month_rule
            when 'p95' then coalesce(percentiles.value, 0)
            when 'mean' then counted.all_days
            when 'top5' then counted.five_days
            else counted.fourth_value
        end as base,
        case counted.month_rule
            when 'mean' then greatest(counted.valid_days, 1)
            when 'top5' then greatest(least(counted.valid_days, 5), 1)
            else 1
        end as divisor,
        case counted.month_rule
            when 'p95' then counted.month_rank
            when 'fourth' then 4
        end as billed_rank,
        counted.samples,
        counted.valid_days,
        counted.day_count as month_days,
        case when counted.valid_days_rule = 'month' then 1 else counted.valid_days end
            as prorate_num,
        case when counted.valid_days_rule = 'month' then 1 else counted.day_count end
            as prorate_den
    from counted
    left join percentiles
        on percentiles.contract_key = counted.contract_key
        and percentiles.month = counted.month
        and percentiles.component_no = counted.component_no
        and percentiles.scope = counted.scope
        and percentiles.series = counted.series
    where counted.month_rule <> 'each_day'

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
        on volumes.contract_key = subjects.contract_key
        and volumes.month = subjects.month
        and volumes.component_no = subjects.component_no
        and volumes.scope = subjects.scope

),

-- The first slot of the month, or of the day, that holds the billed value.
billed_slots as (

    select
        measured.contract_key,
        measured.month,
        measured.component_no,
        measured.scope,
        measured.series,
        measured.day,
        min(samples.slot_start) as billed_slot
    from measured
    inner join samples
        on samples.contract_key = measured.contract_key
        and samples.month = measured.month
        and samples.component_no = measured.component_no
        and samples.scope = measured.scope
        and samples.series = measured.series
        and samples.sample = measured.base
        and samples.day = coalesce(measured.day, samples.day)
    where measured.billed_rank is not null
    and measured.base > 0
    group by 1, 2, 3, 4, 5, 6

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
        billed_slots.billed_slot,
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
        on logged.contract_key = measured.contract_key
        and logged.month = measured.month
        and logged.component_no = measured.component_no
        and logged.scope = measured.scope
        and logged.series = 'logged'
        and (logged.day is not distinct from measured.day or not measured.is_daily)
    left join billed_slots
        on billed_slots.contract_key = measured.contract_key
        and billed_slots.month = measured.month
        and billed_slots.component_no = measured.component_no
        and billed_slots.scope = measured.scope
        and billed_slots.series = measured.series
        and billed_slots.day is not distinct from measured.day

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
