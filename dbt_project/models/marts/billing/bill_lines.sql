{{ config(month_column='month') }}

-- The expected bill, line by line, and how each came about.
with lines as (

    select * from {{ ref('int_billing__lines') }}
    where estimate = 'expected'

)

select
    lines.month,
    contracts.contract_id,
    contracts.contract_version,
    contracts.vendor,
    contracts.account,
    contracts.currency,
    cast(row_number() over (
        partition by lines.month, contracts.contract_key
        order by
            {{ line_order('lines.item') }},
            lines.component_no,
            lines.scope nulls first,
            lines.billed_day nulls first,
            lines.tier_no,
            {{ line_suborder('lines.item') }}
    ) as integer) as line_no,
    lines.component_no,
    components.kind,
    lines.item,
    coalesce(components.name, components.kind) as name,
    lines.scope,
    lines.tier_no,
    lines.tier_from,
    lines.tier_to,
    components.unit,
    lines.quantity,
    lines.unit_price,
    cast(lines.logged as decimal(38, 0)) as logged,
    cast(lines.estimated as decimal(38, 0)) as estimated,
    case when components.measure in ('bytes', 'rate') then contracts.factor end as factor,
    lines.billed_day,
    lines.billed_slot,
    cast(lines.billed_rank as integer) as billed_rank,
    cast(lines.samples as integer) as samples,
    cast(lines.valid_days as integer) as valid_days,
    cast(lines.month_days as integer) as month_days,
    {{ money('lines.micros') }} as amount
from lines
inner join {{ source('contracts', 'price_contracts') }} as contracts
    on contracts.contract_key = lines.contract_key
    and contracts.stands_for is null
inner join {{ source('contracts', 'price_components') }} as components
    on components.contract_key = lines.contract_key
    and components.component_no = lines.component_no
