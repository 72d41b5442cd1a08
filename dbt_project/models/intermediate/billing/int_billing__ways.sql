{{ config(tags=['billing']) }}

-- Months of contracts whose only price of traffic is a 95th percentile of each scope alone, and the
-- way in which they measure: those alike in zone, direction and first valid day share it, so that
-- usage is measured once for all of them (int_billing__direct).
with components as (

    select
        contract_key,
        component_no,
        valid_days_rule,
        case direction when 'max' then 1 when 'sum' then 2 else 0 end as direction_no
    from {{ source('contracts', 'price_components') }}
    where measure = 'rate'
    and month_rule = 'p95'
    and is_per_scope
    and is_rest
    and contract_key not in (
        select contract_key from {{ source('contracts', 'price_component_parts') }}
    )
    and not exists (
        select first_period from {{ ref('int_billing__reach') }} where first_period is not null
    )
    -- larger ones have wide keys; asked once, where a row is measured it would be asked of each
    and not exists (
        select bytes from {{ ref('int_billing__narrowed') }}
        where bytes >= {{ key_limit() }} or bytes_in >= {{ key_limit() }}
    )

),

months as (

    select
        months.*,
        components.component_no,
        components.valid_days_rule,
        components.direction_no,
        case when components.valid_days_rule = 'activation'
            then greatest(months.month, months.activated_on) else months.month end
            as first_valid_day
    from {{ ref('int_billing__months') }} as months
    inner join components on components.contract_key = months.contract_key

)

select
    contract_key,
    vendor,
    is_rest,
    zone,
    month,
    starts_at,
    component_no,
    valid_days_rule,
    direction_no,
    first_valid_day,
    cast(
        dense_rank() over (order by zone, month, direction_no, first_valid_day) as integer
    ) as way_no
from months
