{#
    Percentiles that can be merged: counts in buckets whose bounds grow by 2 %.

    Bucket k holds (1.02^(k-1), 1.02^k]; its representative 2 * 1.02^k / 2.02 is at most 0.99 % from
    any value in it. Buckets of any hours, CDNs and customers may be added; a percentile is then the
    representative of the bucket in which the value of rank ceil(q * n) lies. Never an average of
    percentiles.
#}

{# Values <= 0: below the bucket of the smallest positive double, -37592. #}
{% macro zero_bucket() -%}-100000{%- endmacro %}

{# Values above a year in ms, infinities and NaN (which the engine sorts last) share one bucket. #}
{% macro ttfb_bucket(x) -%}
    cast(case
        when {{ x }} <= 0 then {{ zero_bucket() }}
        else ceil(ln(least(cast({{ x }} as double), 31536000000.0)) / ln(1.02))
    end as integer)
{%- endmacro %}

{% macro bucket_value(k) -%}
    case
        when {{ k }} = {{ zero_bucket() }} then cast(0 as double)
        else cast(2 as double) * power(cast(1.02 as double), {{ k }}) / cast(2.02 as double)
    end
{%- endmacro %}

{#
    Return a query: one row per `keys` with `count_as` and one column per percentile, from any
    relation with `bucket` and `requests`.
    percentiles: {column name: whole per cent}. The rank needs no division: the first bucket with
    100 * cumulated >= per cent * n is the one where cumulated >= ceil(q * n).
#}
{% macro bucket_percentiles(relation, keys, percentiles, count_as='n', where='true') -%}
    {%- set by = keys | join(', ') -%}
    select
        {% for key in keys %}{{ key }}, {% endfor %}
        max(total) as {{ count_as }}
        {%- for name, percent in percentiles.items() %},
        {{ bucket_value(
            "min(case when cumulated * 100 >= total * " ~ percent ~ " then bucket end)"
        ) }} as {{ name }}
        {%- endfor %}
    from (
        select
            {% for key in keys %}{{ key }}, {% endfor %}
            bucket,
            cast(sum(requests) over (
                {% if keys %}partition by {{ by }} {% endif %}order by bucket
                rows between unbounded preceding and current row
            ) as bigint) as cumulated,
            cast(sum(requests) over (
                {%- if keys %}partition by {{ by }}{% endif -%}
            ) as bigint) as total
        from (
            select {% for key in keys %}{{ key }}, {% endfor %}bucket, sum(requests) as requests
            from {{ relation }}
            where {{ where }}
            group by {% for key in keys %}{{ key }}, {% endfor %}bucket
        ) as merged
        where requests > 0
    ) as ranked
    {% if keys %}group by {{ by }}{% endif %}
{%- endmacro %}

{#
    Counts of time to first byte and of throughput in buckets, by `keys` ({name: expression}), hits
    and misses apart: one scan, then one row for each measure that a request has.
#}
{% macro qos_buckets(relation, keys) -%}
    select
        {% for name in keys %}{{ name }}, {% endfor %}
        measure,
        is_hit,
        bucket,
        cast(sum(requests) as bigint) as requests
    from (
        {%- for measure, has, value in [
            ('ttfb_ms', has_ttfb(), 'ttfb_ms'),
            ('throughput_kbps', has_throughput(), throughput_kbps()),
        ] %}
        select
            {% for name, expression in keys.items() %}{{ expression }} as {{ name }}, {% endfor %}
            '{{ measure }}' as measure,
            {{ is_hit() }} as is_hit,
            {{ ttfb_bucket(value) }} as bucket,
            {{ relation }}.requests
        from {{ relation }}
        where {{ has }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as measured
    group by {% for name in keys %}{{ name }}, {% endfor %}measure, is_hit, bucket
{%- endmacro %}
