{#
    Counting with weights. A row of a sampled log stands for `sample_weight` requests, a decimal
    (3.333333 at 30 %). Marts count whole requests, and rounding each small group would lose a tenth
    of them at 30 %. So each row gets a whole number once, in staging, and all counts add those:
    parts never exceed their whole and every roll-up agrees to the request. Bytes keep the decimal
    weight and are rounded once, in the first roll-up.
#}

{#
    Add `requests`, the whole requests a row stands for: the growth of the rounded running sum of
    weights. An hour, CDN and customer then counts round(sum of weights), and each slot and edge
    location, whose rows lie side by side in the running order, is at most one off. Only fractional
    weights pay for the ordering.
#}
{% macro whole_weights(relation, columns) -%}
    select {{ columns | join(', ') }}, cast(sample_weight as bigint) as requests
    from {{ relation }}
    where sample_weight = floor(sample_weight)

    union all

    select
        {{ columns | join(', ') }},
        cast(round(running, 0) - round(running - sample_weight, 0) as bigint) as requests
    from (
        select
            *,
            sum(sample_weight) over (
                partition by
                    {{ slot_start('event_time', 3600) }}, is_viewer,
                    cdn, {{ or_unknown('customer') }}
                order by {{ slot_start('event_time', 300) }}, pop nulls last, row_key
                rows between unbounded preceding and current row
            ) as running
        from {{ relation }}
        where sample_weight <> floor(sample_weight)
    ) as fractional
{%- endmacro %}

{# How many requests the rows stand for where `condition` holds. #}
{% macro count_requests(condition=none) -%}
    cast(sum(
        {%- if condition %}case when {{ condition }} then requests else 0 end
        {%- else %}requests{% endif -%}
    ) as bigint)
{%- endmacro %}

{# How many bytes they stand for. #}
{% macro weighted_bytes(amount, condition=none) -%}
    cast(round(sum(
        {%- if condition %}case when {{ condition }} then sample_weight * {{ amount }} else 0 end
        {%- else %}sample_weight * {{ amount }}{% endif -%}
    ), 0) as bigint)
{%- endmacro %}

{# Sum of whole numbers, as a whole number (engines widen it differently). #}
{% macro whole_sum(column) -%}cast(sum({{ column }}) as bigint){%- endmacro %}

{# Numerator by denominator; null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif({{ denominator }}, 0)
{%- endmacro %}

{# A dimension that a log may lack: grouping keys are never null. #}
{% macro or_unknown(column) -%}coalesce({{ column }}, 'unknown'){%- endmacro %}
