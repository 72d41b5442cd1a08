{# Samples that are summed by slot before they are ranked: all but those of int_billing__direct. #}

{# Of the months of contracts, those with usage that is not ranked as it comes. #}
{% macro is_summed() -%}
    (
        contract_key not in (select contract_key from {{ ref('int_billing__direct') }})
        or (contract_key, month) in (
            select contract_key, month from {{ ref('int_billing__direct') }} where not is_exact
        )
    )
{%- endmacro %}

{#
    One sample per slot: summed over all that counts together first, then the direction, then
    ranks: never the other way. of_months: as of billed_usage. is_rest_of_direct: without what
    int_billing__direct ranked. Columns logged and completed: bytes in the direction of the contract.
#}
{% macro billed_samples(of_months='true', is_rest_of_direct=false) %}
with components as (

    select
        *,
        max(case when is_per_scope then 1 else 0 end) over (partition by contract_key)
            as is_scoped
    from {{ source('contracts', 'price_components') }}

),

rates as (

    select * from components
    where measure = 'rate'

),

usage as (

    {{ billed_usage(ref('int_billing__narrowed'), of_months) | indent }}

),

summed as (

    select
        usage.contract_key,
        usage.month,
        rates.component_no,
        case when rates.is_scoped = 1 then usage.scope else '' end as scope,
        usage.day,
        usage.slot_start,
        usage.completeness_ppm,
        {{ whole('sum(usage.bytes)') }} as bytes,
        {{ whole('sum(usage.bytes_in)') }} as bytes_in
    from usage
    inner join rates
        on rates.contract_key = usage.contract_key
        and rates.component_no = usage.traffic_no
    inner join {{ ref('int_billing__months') }} as months
        on months.contract_key = usage.contract_key
        and months.month = usage.month
    {%- if is_rest_of_direct %}
    left join {{ ref('int_billing__direct') }} as direct
        on direct.contract_key = usage.contract_key
        and direct.month = usage.month
        and direct.scope = usage.scope
        and direct.is_exact
    {%- endif %}
    where usage.day is not null
    and (rates.valid_days_rule <> 'activation' or usage.day >= months.activated_on)
    {%- if is_rest_of_direct %}
    and direct.scope is null
    {%- endif %}
    group by 1, 2, 3, 4, 5, 6, 7

),

together as (

    select
        summed.contract_key,
        summed.month,
        summed.component_no,
        case when rates.is_per_scope then summed.scope else '' end as scope,
        summed.day,
        summed.slot_start,
        rates.direction,
        min(summed.completeness_ppm) as completeness_ppm,
        {{ whole('sum(summed.bytes)') }} as bytes_out,
        {{ whole('sum(summed.bytes_in)') }} as bytes_in,
        {{ whole('sum(' ~ completed('summed.bytes') ~ ')') }} as completed_out,
        {{ whole('sum(' ~ completed('summed.bytes_in') ~ ')') }} as completed_in
    from summed
    inner join rates
        on rates.contract_key = summed.contract_key
        and rates.component_no = summed.component_no
    group by 1, 2, 3, 4, 5, 6, 7

)

select
    contract_key,
    month,
    component_no,
    scope,
    day,
    slot_start,
    completeness_ppm,
    case direction when 'max' then greatest(bytes_out, bytes_in)
        when 'sum' then bytes_out + bytes_in else bytes_out end as logged,
    case direction when 'max' then greatest(completed_out, completed_in)
        when 'sum' then completed_out + completed_in else completed_out end as completed
from together
{% endmacro %}
