{{ config(tags=['billing']) }}

-- Scopes that count alone under one 95th percentile, where each row of usage is a sample: ranked as
-- the rows come, in one pass that sums nothing by slot. A year of a thousand scopes is a hundred
-- million slots, and a sum of each costs ten times what ranking it costs. Whether a scope's rows are
-- its samples (one a slot, complete) the same pass tells; scopes that are not exact are summed first
-- (int_billing__ranked, int_billing__volumes). What is reckoned of every row is what rating costs:
-- a slot's turn comes from the table of slots, null where its day does not count.
with ways as (

    select * from {{ ref('int_billing__ways') }}

),

measured as (

    select
        usage.vendor,
        usage.scope,
        slots.way_no,
        slots.turn,
        slots.day_bit,
        usage.requests,
        usage.bytes,
        usage.completeness_ppm,
        {% if kept_column('bytes_in') == 'bytes_in' -%}
        case slots.direction_no
            when 0 then usage.bytes
            when 1 then greatest(usage.bytes, usage.bytes_in)
            else usage.bytes + usage.bytes_in
        end
        {%- else -%}
        usage.bytes
        {%- endif %} as sample
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
        {{ kept_column('vendor') }} as vendor,
        scope,
        way_no,
        {{ largest(sample_key('sample', 'turn'), top_rank()) }} as keys,
        {{ of_kept('day_bit', kept_column('day_bit'), 'bit_or(case when sample > 0 then day_bit end)') }}
            as traffic_days,
        {{ count_turns('turn') }} as turn_count,
        count(turn) as sample_count,
        {{ of_kept('completeness_ppm', kept_column('completeness_ppm'), 'min(completeness_ppm)') }}
            as completeness_ppm,
        {{ of_kept('requests', kept_column('requests'), whole('sum(requests)')) }} as requests,
        {{ whole('sum(bytes)') }} as bytes
    from measured
    group by {% if kept_column('vendor') == 'vendor' %}vendor, {% endif %}scope, way_no

),

{{ named_elsewhere() }}

select
    ways.contract_key,
    ways.month,
    ways.component_no,
    grouped.scope,
    ways.valid_days_rule,
    {{ nth('grouped.keys', 1) }} is not null as is_sampled,
    grouped.turn_count = grouped.sample_count and grouped.completeness_ppm = 1000000 as is_exact,
    grouped.traffic_days,
    grouped.requests,
    grouped.bytes,
    grouped.keys
from grouped
inner join ways
    on ways.vendor = grouped.vendor
    and ways.way_no = grouped.way_no
{{ of_its_customers('ways', 'grouped') }}
