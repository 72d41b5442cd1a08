{{ config(tags=['delivery']) }}

with by_slot as (

    select {{ slot_start('slots.slot_start', 3600) }} as hour, slots.cdn, {{ qos_sums('slots') }}
    from {{ ref('qos_5m') }} as slots
    where {{ in_requested_hours('slots.slot_start') }}
    group by 1, 2

),

by_place as (

    select places.hour, places.cdn, {{ qos_sums('places') }}
    from {{ ref('qos_places_hourly') }} as places
    where {{ in_requested_hours('places.hour') }}
    group by 1, 2

)

select *
from by_slot
full join by_place on by_slot.hour = by_place.hour and by_slot.cdn = by_place.cdn
where by_slot.hour is null
or by_place.hour is null
{%- for name in qos_counts() %}
or by_slot.{{ name }} <> by_place.{{ name }}
{%- endfor %}
