{# How much of an hour is in (int_billing__completeness): sums over the ledger's deliveries. #}

{# Rows and bytes of the deliveries of a relation, by feed and one more column. #}
{% macro delivered_by(column, relation) -%}
    select
        source,
        {{ column }},
        {{ whole('sum(accepted)') }} as accepted,
        {{ whole('sum(size_bytes)') }} as size_bytes
    from {{ relation }}
    group by 1, 2
{%- endmacro %}

{# The requests that logged rows stand for, added up. #}
{% macro requests_of(rows, sampled_ppm) -%}
    {{ whole('sum(' ~ div_floor(whole(rows) ~ ' * 1000000', sampled_ppm) ~ ')') }}
{%- endmacro %}
