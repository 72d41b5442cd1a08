{{ config(month_column='month') }}

-- What was logged, what deliveries that are held or refused are taken to hold, and what a vendor's
-- meter should read: the factor is the contract's until reconciliation estimates it. Bills are made
-- of what was published, not of what this build file happens to hold.
with usage as (

    select
        {{ month_of('slot_start') }} as month,
        vendor as cdn,
        scope as customer,
        {{ whole_sum('requests') }} as requests,
        {{ whole_sum('bytes') }} as logged_bytes,
        {{ whole('sum(' ~ completed('bytes') ~ ')') }} as counted_bytes
    from {{ ref('int_billing__traffic') }}
    where {{ in_requested_months('slot_start', is_date=false) }}
    group by 1, 2, 3

),

contracts as (

    select
        contracts.*,
        estimates.factor_num,
        {{ whole('estimates.factor_den') }} as factor_den
    from {{ source('contracts', 'price_contracts') }} as contracts
    inner join {{ source('contracts', 'price_contract_estimates') }} as estimates
        on estimates.contract_key = contracts.contract_key
        and estimates.estimate = 'expected'
    where {{ is_known() }}
    and contracts.stands_for is null

),

-- At most one contract of a vendor is in force for a customer: of those that name it, else the rest.
named as (

    select
        contracts.*,
        customers.customer
    from contracts
    inner join {{ source('contracts', 'price_contract_customers') }} as customers
        on customers.contract_key = contracts.contract_key

),

rated as (

    select
        usage.*,
        coalesce(named.contract_id, rest.contract_id) as contract_id,
        coalesce(named.factor, rest.factor) as factor,
        coalesce(named.factor_low, rest.factor_low) as factor_low,
        coalesce(named.factor_high, rest.factor_high) as factor_high,
        usage.counted_bytes * coalesce(named.factor_num, rest.factor_num) as numerator,
        coalesce(named.factor_den, rest.factor_den) as denominator
    from usage
    left join named
        on named.vendor = usage.cdn
        and named.customer = usage.customer
        and named.valid_from <= usage.month
        and (usage.month < named.valid_to or named.valid_to is null)
    left join contracts as rest
        on rest.vendor = usage.cdn
        and rest.is_rest
        and named.contract_id is null
        and rest.valid_from <= usage.month
        and (usage.month < rest.valid_to or rest.valid_to is null)

)

select
    month,
    cdn,
    customer,
    requests,
    logged_bytes,
    cast(counted_bytes - logged_bytes as decimal(38, 0)) as estimated_bytes,
    contract_id,
    factor,
    factor_low,
    factor_high,
    cast({{ div_rounded('numerator', 'denominator', "'half_up'") }} as decimal(38, 0))
        as billed_bytes
from rated
