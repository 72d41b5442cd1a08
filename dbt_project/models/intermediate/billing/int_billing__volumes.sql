{{ config(tags=['billing']) }}

-- Usage of a month by the components that price it, and by scope where any component counts scopes
-- alone. Incomplete slots stay apart: what they would hold is reckoned slot by slot.
with scoped as (

    select
        contract_key,
        max(case when is_per_scope then 1 else 0 end) as is_scoped,
        max(case when measure = 'requests' and is_rest then component_no end) as requests_no
    from {{ source('contracts', 'price_components') }}
    group by 1

),

usage as (

    {{ billed_usage(ref('int_billing__narrowed'), is_summed()) | indent }}

)

select
    usage.contract_key,
    usage.month,
    case when scoped.is_scoped = 1 then usage.scope else '' end as scope,
    usage.traffic_no,
    usage.requests_no,
    case when usage.completeness_ppm < 1000000 then usage.slot_start end as slot_start,
    usage.completeness_ppm,
    {{ whole('sum(usage.requests)') }} as requests,
    {{ whole('sum(usage.bytes)') }} as bytes
from usage
inner join scoped on scoped.contract_key = usage.contract_key
left join {{ ref('int_billing__direct') }} as direct
    on direct.contract_key = usage.contract_key
    and direct.month = usage.month
    and direct.scope = usage.scope
    and direct.is_exact
where direct.scope is null
group by 1, 2, 3, 4, 5, 6, 7

union all

select
    direct.contract_key,
    direct.month,
    direct.scope,
    direct.component_no as traffic_no,
    scoped.requests_no,
    cast(null as {{ instant_type() }}) as slot_start,
    1000000 as completeness_ppm,
    direct.requests,
    direct.bytes
from {{ ref('int_billing__direct') }} as direct
inner join scoped on scoped.contract_key = direct.contract_key
where direct.is_exact
