{{ config(tags=['billing']) }}

-- Usage summed over all that counts together: by slot and component, and by scope only where a
-- component of the contract counts scopes alone. A million rows of customers become one month.
with usage as (

    {{ billed_usage(ref('int_billing__narrowed')) | indent }}

),

scoped as (

    select
        contract_key,
        max(case when is_per_scope then 1 else 0 end) as is_scoped
    from {{ source('contracts', 'price_components') }}
    group by 1

)

select
    usage.contract_key,
    usage.month,
    usage.day,
    usage.slot_start,
    case when scoped.is_scoped = 1 then usage.scope else '' end as scope,
    usage.traffic_no,
    usage.requests_no,
    usage.completeness_ppm,
    {{ whole('sum(usage.requests)') }} as requests,
    {{ whole('sum(usage.bytes)') }} as bytes,
    {{ whole('sum(usage.bytes_in)') }} as bytes_in
from usage
inner join scoped on scoped.contract_key = usage.contract_key
group by 1, 2, 3, 4, 5, 6, 7, 8
