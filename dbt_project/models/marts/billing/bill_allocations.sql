{{ config(month_column='month') }}

-- Each component's amount of the expected bill, split over customers, PoPs, billing regions and
-- streams, two ways: by usage at the billed slot (where a rate was billed; else by volume), and by
-- volume. Parts get the whole minor units of their share; what is left over goes to the largest
-- remainders, so that the parts sum to the bill exactly.
with lines as (

    select
        lines.month,
        lines.contract_key,
        lines.component_no,
        lines.scope,
        components.measure,
        {{ whole('sum(lines.micros)') }} as micros
    from {{ ref('int_billing__lines') }} as lines
    inner join {{ source('contracts', 'price_components') }} as components
        on components.contract_key = lines.contract_key
        and components.component_no = lines.component_no
    inner join {{ source('contracts', 'price_contracts') }} as contracts
        on contracts.contract_key = lines.contract_key
        and contracts.stands_for is null
    where lines.estimate = 'expected'
    group by 1, 2, 3, 4, 5

),

usage as (

    select * from {{ ref('int_billing__usage') }}

),

billed_slots as (

    select distinct month, contract_key, component_no, scope, billed_slot
    from {{ ref('int_billing__quantities') }}
    where estimate = 'expected'
    and billed_slot is not null

),

of_usage as (

    select 'customer' as dimension
    union all
    select 'pop' as dimension
    union all
    select 'region' as dimension

),

dimensions as (

    select dimension from of_usage
    union all
    select 'stream' as dimension

),

stream_usage as (

    select
        *,
        'stream' as dimension,
        coalesce(scope, 'unknown') || '/' || stream as part
    from {{ ref('int_billing__stream_usage') }}

),

row_usage as (

    select
        usage.month,
        usage.contract_key,
        usage.scope,
        usage.traffic_no,
        usage.requests_no,
        usage.slot_start,
        of_usage.dimension,
        coalesce(
            case of_usage.dimension when 'customer' then usage.scope when 'pop' then usage.pop
                else usage.region end,
            'unknown'
        ) as part,
        usage.requests,
        usage.bytes
    from usage
    cross join of_usage

),

month_usage as (

    select
        month, contract_key, scope, traffic_no, requests_no, dimension, part,
        {{ whole('sum(requests)') }} as requests, {{ whole('sum(bytes)') }} as bytes
    from row_usage
    group by 1, 2, 3, 4, 5, 6, 7

    union all

    select month, contract_key, scope, traffic_no, requests_no, dimension, part, requests, bytes
    from stream_usage
    where billed_slot is null

),

slot_usage as (

    select month, contract_key, scope, traffic_no, slot_start, dimension, part, bytes
    from row_usage

    union all

    select month, contract_key, scope, traffic_no, billed_slot, dimension, part, bytes
    from stream_usage
    where billed_slot is not null

),

-- What each part used of a line: requests where those are priced, else bytes; lines that are no
-- usage follow the bytes of the whole contract.
volumes as (

    select
        lines.month,
        lines.contract_key,
        lines.component_no,
        lines.scope,
        usage.dimension,
        usage.part,
        {{ whole("sum(case when lines.measure = 'requests' then usage.requests else usage.bytes end)")
        }} as weight
    from lines
    inner join month_usage as usage
        on usage.month = lines.month
        and usage.contract_key = lines.contract_key
        and (lines.scope is null or usage.scope = lines.scope)
        and (
            lines.component_no = case when lines.measure = 'requests' then usage.requests_no
                else usage.traffic_no end
            or lines.measure in ('fee', 'commit', 'minimum', 'credit', 'tax')
        )
    group by 1, 2, 3, 4, 5, 6

),

at_billed_slot as (

    select
        billed_slots.month,
        billed_slots.contract_key,
        billed_slots.component_no,
        nullif(billed_slots.scope, '') as scope,
        usage.dimension,
        usage.part,
        {{ whole('sum(usage.bytes)') }} as weight
    from billed_slots
    inner join slot_usage as usage
        on usage.month = billed_slots.month
        and usage.contract_key = billed_slots.contract_key
        and usage.traffic_no = billed_slots.component_no
        and usage.slot_start = billed_slots.billed_slot
        and (billed_slots.scope = '' or usage.scope = billed_slots.scope)
    group by 1, 2, 3, 4, 5, 6

),

-- Nothing was used: the parts of the month share alike, and of a month without any there is one.
weights as (

    select
        volumes.*,
        'volume' as method
    from volumes

    union all

    select
        volumes.month,
        volumes.contract_key,
        volumes.component_no,
        volumes.scope,
        volumes.dimension,
        volumes.part,
        case when slots.contract_key is null then volumes.weight
            else coalesce(at_billed_slot.weight, 0) end as weight,
        'billed_slot' as method
    from volumes
    left join (
        select month, contract_key, component_no, scope, dimension, sum(weight) as weight
        from at_billed_slot
        group by 1, 2, 3, 4, 5
    ) as slots
        on {{ same_charge('slots', 'volumes', is_scope_nullable=true) }}
        and slots.dimension = volumes.dimension
        and slots.weight > 0
    left join at_billed_slot
        on {{ same_charge('at_billed_slot', 'volumes', is_scope_nullable=true) }}
        and at_billed_slot.dimension = volumes.dimension
        and at_billed_slot.part = volumes.part

),

shares as (

    select
        lines.month,
        lines.contract_key,
        lines.component_no,
        lines.scope,
        methods.method,
        dimensions.dimension,
        coalesce(weights.part, 'unknown') as part,
        abs({{ div_floor('abs(lines.micros)', 'contracts.micros_per_minor') }}) as minors,
        case when lines.micros < 0 then -1 else 1 end as direction, -- sign() may be a double
        contracts.micros_per_minor,
        coalesce(weights.weight, 0) as weight,
        {{ whole('coalesce(sum(weights.weight) over (partition by lines.month, lines.contract_key,
            lines.component_no, lines.scope, methods.method, dimensions.dimension), 0)') }}
            as all_weight
    from lines
    inner join {{ source('contracts', 'price_contracts') }} as contracts
        on contracts.contract_key = lines.contract_key
    cross join (select 'volume' as method union all select 'billed_slot' as method) as methods
    cross join dimensions
    left join weights
        on {{ same_charge('weights', 'lines', is_scope_nullable=true) }}
        and weights.method = methods.method
        and weights.dimension = dimensions.dimension

),

weighed as (

    select
        *,
        case when all_weight = 0 then 1 else weight end as counted_weight,
        case when all_weight = 0 then {{ whole('count(*) over (partition by month, contract_key,
            component_no, scope, method, dimension)') }} else all_weight end as counted_all
    from shares

),

divided as (

    select
        *,
        {{ div_floor('minors * counted_weight', 'counted_all') }} as whole_minors,
        (minors * counted_weight) % counted_all as remainder
    from weighed

),

ranked as (

    select
        *,
        row_number() over (
            partition by month, contract_key, component_no, scope, method, dimension
            order by remainder desc, part
        ) as place,
        minors - {{ whole('sum(whole_minors) over (partition by month, contract_key, component_no,
            scope, method, dimension)') }} as left_over
    from divided

)

select
    ranked.month,
    contracts.contract_id,
    contracts.vendor,
    contracts.currency,
    ranked.method,
    ranked.dimension,
    ranked.part,
    {{ money('sum(ranked.direction * ranked.micros_per_minor
        * (ranked.whole_minors + case when ranked.place <= ranked.left_over then 1 else 0 end))') }}
        as amount,
    case ranked.method
        when 'volume' then 'bytes of the month, requests where those are priced'
        else 'bytes in the billed five minutes, volume where no rate is billed'
    end || case
        when ranked.dimension <> 'stream' then ''
        when ranked.method = 'volume' then '; each hour over the streams it names'
        else '; the slot over the streams of its hour'
    end as how
from ranked
inner join {{ source('contracts', 'price_contracts') }} as contracts
    on contracts.contract_key = ranked.contract_key
group by 1, 2, 3, 4, 5, 6, 7
