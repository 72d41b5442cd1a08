{{ config(tags=['billing']) }}

-- What each component measured: one row per contract, month, estimate and component, and per scope
-- or day where the contract counts those alone. The quantity is q / (unit_base * scale) in the
-- component's unit, all whole numbers; nothing is rounded but what the contract rounds.
with components as (

    select * from {{ source('contracts', 'price_components') }}
    where measure in ('bytes', 'requests', 'rate')

),

series as (

    {{ estimated_series(ref('int_billing__volumes')) | indent }}

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

counted as (

    {{ counted_usage() | indent }}

),

charges as (

    {{ charges_of_usage('counted') | indent }}

),

rated as (

    select
        charges.contract_key,
        charges.month,
        charges.component_no,
        charges.scope,
        components.month_rule,
        components.valid_days_rule,
        months.activated_on,
        months.day_count,
        months.slot_count,
        months.active_days,
        months.active_slots,
        series.series
    from charges
    inner join components
        on components.contract_key = charges.contract_key
        and components.component_no = charges.component_no
        and components.measure = 'rate'
    inner join {{ ref('int_billing__months') }} as months
        on months.contract_key = charges.contract_key
        and months.month = charges.month
    cross join series

),

month_rates as (

    {{ rates_of_months('rated') | indent }}

),

day_rates as (

    {{ rates_of_days('rated') | indent }}

),

counts as (

    select
        charges.contract_key,
        charges.month,
        charges.component_no,
        charges.scope,
        series.series,
        cast(null as date) as day,
        false as is_daily,
        coalesce(
            case when series.series = 'completed' then counted.completed else counted.logged end, 0
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
    from charges
    inner join components
        on components.contract_key = charges.contract_key
        and components.component_no = charges.component_no
        and components.measure <> 'rate'
    cross join series
    left join counted
        on {{ same_charge('counted', 'charges') }}

),

-- One row per billed value: base is its sum over `divisor` days.
measured as (
{% for relation in ['month_rates', 'day_rates', 'counts'] %}
    select
        contract_key, month, component_no, scope, series, day, is_daily, base, divisor, billed_rank,
        billed_slot, samples, valid_days, month_days, prorate_num, prorate_den
    from {{ relation }}
    {% if not loop.last %}
    union all
    {% endif %}{% endfor %}
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
