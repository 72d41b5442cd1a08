{{ config(tags=['billing'], materialized='view') }}

-- The 5-minute samples that a rate is measured from, on the calendar of the contract's zone: a silent
-- slot is a zero, not absent. For reading: ranks are taken from the same sums (billed_samples)
-- without the zeros, and without a table of every slot.
with samples as (

    {{ billed_samples() | indent }}

),

months as (

    select * from {{ ref('int_billing__months') }}

),

spine as (

    select
        subjects.contract_key,
        subjects.month,
        subjects.component_no,
        subjects.scope,
        days.day,
        {{ slot_after('days.starts_at', 'numbers.n') }} as slot_start
    from (select distinct contract_key, month, component_no, scope from samples) as subjects
    inner join {{ source('contracts', 'price_components') }} as components
        on components.contract_key = subjects.contract_key
        and components.component_no = subjects.component_no
    inner join months
        on months.contract_key = subjects.contract_key
        and months.month = subjects.month
    inner join {{ ref('int_billing__days') }} as days
        on days.contract_key = subjects.contract_key
        and days.month = subjects.month
        and (components.valid_days_rule <> 'activation' or days.day >= months.activated_on)
    inner join {{ numbers(300) }} as numbers on numbers.n < days.slots

),

factored as (

    select
        spine.*,
        coalesce(samples.logged, 0) as logged,
        coalesce(samples.completed, 0) as completed,
        coalesce(samples.completeness_ppm, 1000000) as completeness_ppm,
        contracts.factor,
        contracts.factor_low,
        contracts.factor_high,
        coalesce(samples.completed, 0) * estimates.factor_num as numerator,
        {{ whole('estimates.factor_den') }} as denominator
    from spine
    inner join {{ source('contracts', 'price_contracts') }} as contracts
        on contracts.contract_key = spine.contract_key
    inner join {{ source('contracts', 'price_contract_estimates') }} as estimates
        on estimates.contract_key = spine.contract_key
        and estimates.estimate = 'expected'
    left join samples
        on {{ same_charge('samples', 'spine') }}
        and samples.slot_start = spine.slot_start

)

select
    contract_key,
    month,
    component_no,
    scope,
    day,
    slot_start,
    completeness_ppm,
    cast(logged as decimal(38, 0)) as logged_bytes,
    cast(completed - logged as decimal(38, 0)) as estimated_bytes,
    factor,
    factor_low,
    factor_high,
    cast({{ div_rounded('numerator', 'denominator', "'half_up'") }} as decimal(38, 0))
        as billed_bytes
from factored
