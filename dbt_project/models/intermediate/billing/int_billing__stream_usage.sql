{{ config(tags=['billing']) }}

-- Usage of a contract by stream: what each hour, customer and location used, over its streams as
-- published. billed_slot null: of the month; else of that slot, by the shares of its hour. Amounts
-- are thousandths, rounded down: whole hours come out exactly, a slot to a thousandth of a byte.
with usage as (

    select * from {{ ref('int_billing__usage') }}

),

billed_slots as (

    select distinct contract_key, month, billed_slot
    from {{ ref('int_billing__quantities') }}
    where estimate = 'expected'
    and billed_slot is not null

),

cells as (

    select
        contract_key,
        month,
        cast(null as {{ instant_type() }}) as billed_slot,
        {{ slot_start('slot_start', 3600) }} as hour,
        scope,
        pop,
        traffic_no,
        requests_no,
        {{ whole('sum(requests)') }} * 1000 as requests,
        {{ whole('sum(bytes)') }} * 1000 as bytes
    from usage
    group by 1, 2, 3, 4, 5, 6, 7, 8

    union all

    select
        usage.contract_key,
        usage.month,
        billed_slots.billed_slot,
        {{ slot_start('usage.slot_start', 3600) }} as hour,
        usage.scope,
        usage.pop,
        usage.traffic_no,
        usage.requests_no,
        {{ whole('sum(usage.requests)') }} * 1000 as requests,
        {{ whole('sum(usage.bytes)') }} * 1000 as bytes
    from usage
    inner join billed_slots
        on billed_slots.contract_key = usage.contract_key
        and billed_slots.month = usage.month
        and billed_slots.billed_slot = usage.slot_start
    group by 1, 2, 3, 4, 5, 6, 7, 8

),

streams as (

    select
        *,
        {{ whole('sum(requests) over (partition by vendor, hour, pop, scope)') }} as all_requests,
        {{ whole('sum(bytes) over (partition by vendor, hour, pop, scope)') }} as all_bytes
    from {{ ref('int_billing__streams') }}

)

select
    cells.contract_key,
    cells.month,
    cells.billed_slot,
    cells.scope,
    cells.traffic_no,
    cells.requests_no,
    coalesce(streams.stream, 'unknown') as stream,
    {{ whole('sum(case when streams.stream is null then cells.requests else '
        ~ div_floor('cells.requests * streams.requests', 'greatest(streams.all_requests, 1)')
        ~ ' end)') }} as requests,
    {{ whole('sum(case when streams.stream is null then cells.bytes else '
        ~ div_floor('cells.bytes * streams.bytes', 'greatest(streams.all_bytes, 1)')
        ~ ' end)') }} as bytes
from cells
inner join {{ source('contracts', 'price_contracts') }} as contracts
    on contracts.contract_key = cells.contract_key
left join streams
    on streams.vendor = contracts.vendor
    and streams.hour = cells.hour
    and streams.pop = cells.pop
    and streams.scope = cells.scope
group by 1, 2, 3, 4, 5, 6, 7
