{#
    Counting with weights. A row of a sampled log stands for `sample_weight` requests, a decimal
    (3.333333 at 30 %). Marts count whole requests, and rounding each small group would lose a tenth
    of them at 30 %. So each row gets whole numbers once, in staging, and all roll-ups add those:
    parts never exceed their whole, and any two grains agree to the request and the byte.
#}

{#
    Add `requests`, `bytes` and `bytes_received`, the whole numbers a row stands for: the growth of
    the rounded running sum of weights. An hour, CDN and customer then counts round(sum), and each
    slot and edge location, whose rows lie side by side in the running order, is at most one off.
    Only fractional weights pay for the ordering.
#}
{% macro whole_weights(relation, columns) -%}
    {%- set amounts = {
        'requests': '1',
        'bytes': 'coalesce(bytes_out_total, 0)',
        'bytes_received': 'coalesce(bytes_in, 0)',
    } -%}
    select
        {{ columns | join(', ') }}
        {%- for name, amount in amounts.items() %},
        cast(sample_weight as bigint) * {{ amount }} as {{ name }}
        {%- endfor %}
    from {{ relation }}
    where sample_weight = floor(sample_weight)

    union all

    select
        {{ columns | join(', ') }}
        {%- for name, amount in amounts.items() %},
        cast(
            round(running_{{ name }}, 0) - round(running_{{ name }} - sample_weight * {{ amount }}, 0)
            as bigint
        ) as {{ name }}
        {%- endfor %}
    from (
        select
            *
            {%- for name, amount in amounts.items() %},
            sum(sample_weight * {{ amount }}) over (
                partition by
                    {{ slot_start('event_time', 3600) }}, is_viewer,
                    cdn, {{ or_unknown('customer') }}
                order by {{ slot_start('event_time', 300) }}, pop nulls last, row_key
                rows between unbounded preceding and current row
            ) as running_{{ name }}
            {%- endfor %}
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

{# The sum of a whole amount, over the rows where `condition` holds. #}
{% macro sum_where(amount, condition) -%}
    cast(sum(case when {{ condition }} then {{ amount }} else 0 end) as bigint)
{%- endmacro %}

{# Sum of whole numbers, as a whole number (engines widen it differently). #}
{% macro whole_sum(column) -%}cast(sum({{ column }}) as bigint){%- endmacro %}

{# Numerator by denominator; null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif({{ denominator }}, 0)
{%- endmacro %}

{# A dimension that a log may lack: grouping keys are never null. #}
{% macro or_unknown(column) -%}coalesce({{ column }}, 'unknown'){%- endmacro %}
