{#
    Money and quantities: DECIMAL from price to invoice line. The only place where they are
    multiplied, converted or rounded, because engines differ: on DuckDB decimal / decimal is a
    double (so nothing here divides) and a product adds the scales; Spark caps precision at 38 and
    gives up scale first.
#}

{# Bytes as GB of 10^9, exact: quantity_gb DECIMAL(38,9). #}
{% macro bytes_to_gb(bytes) -%}
    {{ return(adapter.dispatch('bytes_to_gb', 'weir')(bytes)) }}
{%- endmacro %}
{% macro default__bytes_to_gb(bytes) -%}
    cast(
        cast({{ bytes }} as decimal(20, 0)) * cast('0.000000001' as decimal(9, 9))
        as decimal(38, 9)
    )
{%- endmacro %}

{# Quantity by unit price, exact to 18 digits behind the point: 10^11 GB fit, more is an error. #}
{% macro cost_of(quantity_gb, unit_price) -%}
    {{ return(adapter.dispatch('cost_of', 'weir')(quantity_gb, unit_price)) }}
{%- endmacro %}
{% macro default__cost_of(quantity_gb, unit_price) -%}
    (cast({{ quantity_gb }} as decimal(20, 9)) * cast({{ unit_price }} as decimal(18, 9)))
{%- endmacro %}

{# An invoice line's amount: half away from zero, to the cent, once a line. #}
{% macro round_money(amount) -%}
    {{ return(adapter.dispatch('round_money', 'weir')(amount)) }}
{%- endmacro %}
{% macro default__round_money(amount) -%}
    cast(round({{ amount }}, 2) as decimal(38, 2))
{%- endmacro %}
