{{ config(tags=['delivery'], hour_column='hour') }}

{% set terms = rosetta_terms() -%}

with counted as (

    -- One scan: a pair of columns for each definition.
    select
        {{ slot_start('event_time', 3600) }} as hour,
        cdn
        {%- for metric, definition, scale, numerator, denominator in terms %},
        {{ numerator }} as n_{{ loop.index }},
        {{ denominator }} as d_{{ loop.index }}
        {%- endfor %}
    from {{ ref('stg_cdn__requests') }}
    where is_viewer
    group by 1, 2

),

listed as (

    {% for metric, definition, scale, numerator, denominator in terms -%}
    select
        hour,
        cdn,
        '{{ metric }}' as metric,
        '{{ definition }}' as definition,
        cast({{ scale }} as double) as scale,
        n_{{ loop.index }} as numerator,
        d_{{ loop.index }} as denominator
    from counted
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from listed
