{#
    One word, several definitions, the same rows: what a vendor's or a standard's definition would say
    of the requests that our marts count. Names and texts: definitions of dbt_project/rosetta.yaml; a
    test holds the two lists to each other.

    value = scale * numerator / denominator, over any roll-up the sums divided once. Amounts are whole:
    times in microseconds, mean speeds in milli-kbps.
#}
{% macro rosetta_terms() -%}
    {%- set timed = '(ttfb_ms is not null and ttfb_ms >= 0 and ttfb_ms <= 31536000000.0)' -%}
    {%- set answered = has_ttfb() ~ ' and ' ~ timed -%}
    {%- set ttfb_us = 'requests * cast(round(ttfb_ms * 1000, 0) as bigint)' -%}
    {%- set took = timed ~ ' and duration_ms > ttfb_ms and duration_ms <= 31536000000.0' -%}
    {%- set any_size = has_ttfb() ~ ' and ' ~ payload() ~ ' > 0 and ' ~ took -%}
    {%- set sent = 'requests * ' ~ payload() -%}
    {{ return([
        ('hit_ratio', 'weir', 1, count_requests(is_hit()), count_requests(is_eligible())),
        ('hit_ratio', 'weir_cacheable', 1, count_requests(is_hit()), count_requests(is_cacheable())),
        ('hit_ratio', 'weir_bytes', 1,
            sum_where('bytes', is_hit()), sum_where('bytes', is_eligible())),
        ('hit_ratio', 'akamai', 1, count_requests('is_edge_hit'), count_requests()),
        ('hit_ratio', 'cloudfront', 1, count_requests(is_plain_hit()), count_requests()),
        ('hit_ratio', 'fastly', 1, count_requests("cache_status in ('HIT', 'STALE')"),
            count_requests("cache_status in ('HIT', 'STALE', 'REVALIDATED', 'SHIELD_HIT', 'MISS')")),
        ('hit_ratio', 'rfc9211', 1, count_requests("cache_status in ('HIT', 'STALE')"),
            count_requests()),
        ('availability', 'weir', 1,
            count_requests(is_answerable() ~ ' and not ' ~ is_failed()),
            count_requests(is_answerable())),
        ('availability', 'no_5xx', 1, count_requests('status < 500'), count_requests()),
        ('availability', 'cloudfront', 1,
            count_requests('status < 400'), count_requests()),
        ('availability', 'answered', 1,
            count_requests('status >= 200 and status < 400'), count_requests()),
        ('ttfb_ms', 'weir', 0.001, sum_where(ttfb_us, answered), count_requests(answered)),
        ('ttfb_ms', 'all_rows', 0.001, sum_where(ttfb_us, timed), count_requests(timed)),
        ('ttfb_ms', 'hits', 0.001, sum_where(ttfb_us, answered ~ ' and ' ~ is_hit()),
            count_requests(answered ~ ' and ' ~ is_hit())),
        ('throughput_kbps', 'weir', 8000, sum_where(sent, has_throughput()),
            sum_where('requests * ' ~ transfer_us(), has_throughput())),
        ('throughput_kbps', 'any_size', 8000, sum_where(sent, any_size),
            sum_where('requests * ' ~ transfer_us(), any_size)),
        ('throughput_kbps', 'whole_duration', 8000, sum_where(sent, has_throughput()),
            sum_where('requests * cast(round(duration_ms * 1000, 0) as bigint)',
                has_throughput())),
        ('throughput_kbps', 'mean_of_requests', 0.001,
            sum_where('requests * cast(round(' ~ throughput_kbps() ~ ' * 1000, 0) as bigint)',
                has_throughput()),
            count_requests(has_throughput())),
    ]) }}
{%- endmacro %}
