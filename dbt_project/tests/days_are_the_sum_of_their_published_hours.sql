{{ config(tags=['rollup']) }}

with days as (

    select days.day, days.cdn, {{ qos_sums('days') }}
    from {{ ref('qos_daily') }} as days
    where {{ in_requested_days('days.day') }}
    group by 1, 2

),

hours as (

    select {{ slot_start('hours.hour', 86400) }} as day, hours.cdn, {{ qos_sums('hours') }}
    from {{ source('gold', 'qos_places_hourly') }} as hours
    where {{ in_requested_days('hours.hour') }}
    group by 1, 2

),

pops as (

    select pops.day, pops.cdn, {{ qos_sums('pops') }}
    from {{ ref('qos_pops_daily') }} as pops
    where {{ in_requested_days('pops.day') }}
    group by 1, 2

),

buckets as (

    select day, cdn, sum(requests) as measured
    from {{ ref('qos_buckets_daily') }}
    where {{ in_requested_days('day') }}
    group by 1, 2

)

select *
from days
full join hours on days.day = hours.day and days.cdn = hours.cdn
left join pops on days.day = pops.day and days.cdn = pops.cdn
left join buckets on days.day = buckets.day and days.cdn = buckets.cdn
where days.day is null
or hours.day is null
or pops.day is null
or coalesce(buckets.measured, 0) <> days.ttfb_count + days.throughput_count
{%- for name in qos_counts() %}
or days.{{ name }} <> hours.{{ name }}
or days.{{ name }} <> pops.{{ name }}
{%- endfor %}
