{{ config(day_column='day') }}

select
    {{ slot_start('slots.slot_start', 86400) }} as day,
    slots.cdn,
    slots.pop,
    slots.customer,
    {{ qos_sums('slots') }}
from {{ source('gold', 'qos_5m') }} as slots
where {{ in_requested_days('slots.slot_start') }}
group by 1, 2, 3, 4
