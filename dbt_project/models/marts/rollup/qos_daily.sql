{{ config(day_column='day') }}

-- Days are added from what was published, so that an hour that failed its audit counts with its last
-- published rows, here as everywhere.
select
    {{ slot_start('hours.hour', 86400) }} as day,
    hours.cdn,
    hours.country,
    hours.asn,
    hours.protocol,
    hours.object_type,
    {{ qos_sums('hours') }}
from {{ source('gold', 'qos_places_hourly') }} as hours
where {{ in_requested_days('hours.hour') }}
group by 1, 2, 3, 4, 5, 6
