{{ config(tags=['delivery']) }}

with measured as (

    select
        hour, cdn, cast(sum(ttfb_count) as bigint) as ttfb,
        cast(sum(throughput_count) as bigint) as throughput
    from {{ ref('qos_places_hourly') }}
    where {{ in_requested_hours('hour') }}
    group by 1, 2

),

bucketed as (

    {% for relation, column in [('qos_buckets_5m', 'slot_start'), ('qos_buckets_hourly', 'hour')] -%}
    select
        '{{ relation }}' as relation,
        {{ slot_start(column, 3600) }} as hour,
        cdn,
        sum(case when measure = 'ttfb_ms' then requests else 0 end) as ttfb,
        sum(case when measure = 'throughput_kbps' then requests else 0 end) as throughput
    from {{ ref(relation) }}
    where {{ in_requested_hours(column) }}
    group by 1, 2, 3
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select *
from bucketed
left join measured on bucketed.hour = measured.hour and bucketed.cdn = measured.cdn
where measured.hour is null
or bucketed.ttfb <> measured.ttfb
or bucketed.throughput <> measured.throughput
