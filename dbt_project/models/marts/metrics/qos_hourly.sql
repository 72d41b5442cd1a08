{{ config(tags=['delivery'], hour_column='hour') }}

with traffic as (

    select
        {{ slot_start('slot_start', 3600) }} as hour,
        cdn,
        customer,
        {% for column in [
            'requests', 'bytes', 'eligible_requests', 'hit_requests', 'eligible_bytes', 'hit_bytes',
            'errors_4xx', 'errors_5xx', 'no_response', 'aborted', 'duplicates_removed',
        ] -%}
        {{ whole_sum(column) }} as {{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('int_cdn__traffic_5m') }}
    group by 1, 2, 3

),

ttfb as (

    {{ bucket_percentiles(
        ref('ttfb_buckets_hourly'),
        ['hour', 'cdn', 'customer'],
        {'ttfb_p50_ms': 50, 'ttfb_p95_ms': 95, 'ttfb_p99_ms': 99},
        count_as='ttfb_count',
        where=in_requested_hours('hour'),
    ) }}

),

joined as (

    select
        traffic.hour,
        traffic.cdn,
        traffic.customer,
        traffic.requests,
        traffic.bytes,
        traffic.eligible_requests,
        traffic.hit_requests,
        traffic.eligible_bytes,
        traffic.hit_bytes,
        {{ ratio('traffic.hit_requests', 'traffic.eligible_requests') }} as hit_ratio_requests,
        {{ ratio('traffic.hit_bytes', 'traffic.eligible_bytes') }} as hit_ratio_bytes,
        coalesce(ttfb.ttfb_count, 0) as ttfb_count,
        ttfb.ttfb_p50_ms,
        ttfb.ttfb_p95_ms,
        ttfb.ttfb_p99_ms,
        traffic.errors_4xx,
        traffic.errors_5xx,
        traffic.no_response,
        traffic.aborted,
        traffic.duplicates_removed
    from traffic
    left join ttfb
        on traffic.hour = ttfb.hour
        and traffic.cdn = ttfb.cdn
        and traffic.customer = ttfb.customer

)

select * from joined
