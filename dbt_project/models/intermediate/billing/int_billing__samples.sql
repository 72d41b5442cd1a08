{{ config(tags=['billing']) }}

-- What a rate is measured from: one sample per slot, summed over all that counts together first, then
-- the direction, then (in int_billing__quantities) ranks: never the other way.
with placed as (

    select * from {{ ref('int_billing__summed') }}

),

months as (

    select * from {{ ref('int_billing__months') }}

),

components as (

    select * from {{ source('contracts', 'price_components') }}
    where measure = 'rate'

),

series as (

    {{ estimated_series(ref('int_billing__summed')) | indent }}

),

summed as (

    select
        placed.contract_key,
        placed.month,
        components.component_no,
        case when components.is_per_scope then placed.scope else '' end as scope,
        placed.day,
        placed.slot_start,
        {{ whole('sum(placed.bytes)') }} as bytes_out,
        {{ whole('sum(placed.bytes_in)') }} as bytes_in,
        {{ whole('sum(' ~ completed('placed.bytes') ~ ')') }} as completed_out,
        {{ whole('sum(' ~ completed('placed.bytes_in') ~ ')') }} as completed_in
    from placed
    inner join components
        on components.contract_key = placed.contract_key
        and components.component_no = placed.traffic_no
    inner join months
        on months.contract_key = placed.contract_key
        and months.month = placed.month
    where placed.day is not null
    and (components.valid_days_rule <> 'activation' or placed.day >= months.activated_on)
    group by 1, 2, 3, 4, 5, 6

)

select
    summed.contract_key,
    summed.month,
    summed.component_no,
    summed.scope,
    summed.day,
    summed.slot_start,
    series.series,
    case
        when components.direction = 'max' and series.series = 'completed'
            then greatest(summed.completed_out, summed.completed_in)
        when components.direction = 'max' then greatest(summed.bytes_out, summed.bytes_in)
        when components.direction = 'sum' and series.series = 'completed'
            then summed.completed_out + summed.completed_in
        when components.direction = 'sum' then summed.bytes_out + summed.bytes_in
        when series.series = 'completed' then summed.completed_out
        else summed.bytes_out
    end as sample
from summed
inner join components
    on components.contract_key = summed.contract_key
    and components.component_no = summed.component_no
cross join series
