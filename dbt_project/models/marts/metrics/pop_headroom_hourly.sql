{{ config(tags=['delivery'], hour_column='hour') }}

with slots as (

    select slot_start, cdn, pop, {{ whole_sum('bytes') }} as bytes
    from {{ ref('int_cdn__traffic_5m') }}
    group by 1, 2, 3

),

hours as (

    select
        {{ slot_start('slot_start', 3600) }} as hour,
        cdn,
        pop,
        {{ whole_sum('bytes') }} as egress_bytes,
        cast(max(bytes) as bigint) as peak_slot_bytes
    from slots
    group by 1, 2, 3

),

capacities as (

    -- As stg_cdn__capacities, which is not built in this run.
    select cdn, name as pop, event_time as valid_from, valid_to, capacity_bps
    from ({{ capacities_said_last() }}) as said
    where kind = 'pop'

),

in_force as (

    -- An audit holds capacities of one delivery that overlap. Of several deliveries, the one that
    -- began last counts: a file that says less from today on needs no end written into the old one.
    select
        hours.hour,
        hours.cdn,
        hours.pop,
        capacities.capacity_bps,
        row_number() over (
            partition by hours.hour, hours.cdn, hours.pop order by capacities.valid_from desc
        ) as place
    from hours
    inner join capacities
        on hours.cdn = capacities.cdn
        and hours.pop = capacities.pop
        and hours.hour >= capacities.valid_from
        and (hours.hour < capacities.valid_to or capacities.valid_to is null)

),

joined as (

    select
        hours.hour,
        hours.cdn,
        hours.pop,
        hours.egress_bytes,
        hours.peak_slot_bytes,
        cast(hours.peak_slot_bytes as double) * 8 / 300 as peak_bps,
        in_force.capacity_bps,
        {{ ratio('hours.peak_slot_bytes * 8 / 300.0', 'in_force.capacity_bps') }} as peak_utilisation,
        in_force.capacity_bps - cast(hours.peak_slot_bytes as double) * 8 / 300 as headroom_bps
    from hours
    left join in_force
        on hours.hour = in_force.hour
        and hours.cdn = in_force.cdn
        and hours.pop = in_force.pop
        and in_force.place = 1

)

select * from joined
