{{ config(tags=['billing']) }}

-- Scopes that count alone under one 95th percentile, where each row of usage is a sample: ranked as
-- the rows come, in one pass that sums nothing by slot. A year of a thousand scopes is a hundred
-- million slots, and a sum of each costs ten times what ranking it costs. Whether a scope's rows are
-- its samples (one a slot, complete, of a size that a narrow key holds) the same pass tells; scopes
-- that are not exact are summed first (int_billing__ranked, int_billing__volumes).
with ways as (

    select * from {{ ref('int_billing__ways') }}

),

measured as (

    select
        usage.vendor,
        usage.scope,
        slots.way_no,
        slots.place,
        slots.day_bit,
        usage.requests,
        usage.bytes,
        case
            when usage.completeness_ppm < 1000000 or usage.bytes >= {{ key_limit() }}
                or usage.bytes_in >= {{ key_limit() }} then null
            when slots.direction_no = 0 then usage.bytes
            when slots.direction_no = 1 then greatest(usage.bytes, usage.bytes_in)
            else usage.bytes + usage.bytes_in
        end as sample
    from (
        select
            vendor,
            scope,
            {{ slot_number('slot_start') }} as slot_no,
            requests,
            bytes,
            bytes_in,
            completeness_ppm
        from {{ ref('int_billing__narrowed') }}
    ) as usage
    inner join {{ ref('int_billing__slots') }} as slots on slots.slot_no = usage.slot_no

),

grouped as (

    select
        vendor,
        scope,
        way_no,
        {{ largest('case when day_bit > 0 then ' ~ sample_key('sample', 'place') ~ ' end',
            top_rank()) }} as keys,
        bit_or(case when sample > 0 then day_bit else 0 end) as traffic_days,
        {{ count_places('place') }} as place_count,
        count(sample) as sample_count,
        count(*) as row_count,
        {{ whole('sum(requests)') }} as requests,
        {{ whole('sum(bytes)') }} as bytes
    from measured
    group by 1, 2, 3

),

{{ named_elsewhere() }}

select
    ways.contract_key,
    ways.month,
    ways.component_no,
    grouped.scope,
    ways.valid_days_rule,
    {{ nth('grouped.keys', 1) }} is not null as is_sampled,
    grouped.place_count = grouped.row_count and grouped.sample_count = grouped.row_count
        as is_exact,
    grouped.traffic_days,
    grouped.requests,
    grouped.bytes,
    grouped.keys
from grouped
inner join ways
    on ways.vendor = grouped.vendor
    and ways.way_no = grouped.way_no
{{ of_its_customers('ways', 'grouped') }}
