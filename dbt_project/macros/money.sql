{#
    Money and quantities. The only place where they are multiplied, divided or rounded, because
    engines differ: on DuckDB decimal / decimal is a double, Spark caps precision at 38 and gives up
    scale first. So everything is a whole number (`whole`: 38 digits) until the line's one rounding:
    bytes, prices and factors as fractions (lake/contracts/rows.py), amounts in the currency's
    minor unit, then in millionths. What does not fit is an error on both engines, never a wrong sum.
#}

{% macro whole_type() -%}{{ return(adapter.dispatch('whole_type', 'weir')()) }}{%- endmacro %}
{% macro default__whole_type() -%}decimal(38, 0){%- endmacro %}
{% macro duckdb__whole_type() -%}hugeint{%- endmacro %}

{# An exact whole number. #}
{% macro whole(value) -%}cast({{ value }} as {{ whole_type() }}){%- endmacro %}

{# The whole part of n / d; both whole, n >= 0, d > 0. #}
{% macro div_floor(n, d) -%}
    {{ return(adapter.dispatch('div_floor', 'weir')(n, d)) }}
{%- endmacro %}
{# The remainder is taken off first: what is left divides without a rest, if as decimals: integers
   would be divided as doubles. A quotient of more than 32 digits is an error. #}
{% macro default__div_floor(n, d) -%}
    cast(
        cast(({{ n }}) - ({{ n }}) % ({{ d }}) as decimal(38, 0)) / cast({{ d }} as decimal(38, 0))
        as decimal(38, 0)
    )
{%- endmacro %}
{% macro duckdb__div_floor(n, d) -%}(({{ n }}) // ({{ d }})){%- endmacro %}

{#
    n / d rounded to a whole number as `mode` (a column or literal) says: half_up is half away from
    zero, up is away from zero; n >= 0, so a negative line is rounded as its absolute value.
    The arguments are copied several times: give columns.
#}
{% macro div_rounded(n, d, mode) -%}
    ({{ div_floor(n, d) }} + case
        when {{ mode }} = 'half_up' and 2 * ({{ n }} % {{ d }}) >= {{ d }} then 1
        when {{ mode }} = 'half_even' and 2 * ({{ n }} % {{ d }}) > {{ d }} then 1
        when {{ mode }} = 'half_even' and 2 * ({{ n }} % {{ d }}) = {{ d }}
            and {{ div_floor(n, d) }} % 2 = 1 then 1
        when {{ mode }} = 'up' and {{ n }} % {{ d }} > 0 then 1
        else 0
    end)
{%- endmacro %}

{# Millionths of the currency as an amount: decimal(38, 6). #}
{% macro money(micros) -%}
    cast(cast({{ micros }} as decimal(32, 0)) * cast('0.000001' as decimal(6, 6)) as decimal(38, 6))
{%- endmacro %}

{# The amount as millionths; at most six digits behind the point. #}
{% macro micros(amount) -%}
    {{ whole('cast(' ~ amount ~ ' as decimal(28, 6)) * cast(1000000 as decimal(7, 0))') }}
{%- endmacro %}

{# Billionths of a quantity as a quantity: decimal(38, 9). #}
{% macro quantity(billionths) -%}
    {{ return(adapter.dispatch('quantity', 'weir')(billionths)) }}
{%- endmacro %}
{# A product of 29 and 9 digits would keep eight places of the nine; this quotient has nine. #}
{% macro default__quantity(billionths) -%}
    cast(
        cast({{ billionths }} as decimal(29, 0)) / cast(1000000000 as decimal(10, 0))
        as decimal(38, 9)
    )
{%- endmacro %}
{% macro duckdb__quantity(billionths) -%}
    cast(
        cast({{ billionths }} as decimal(29, 0)) * cast('0.000000001' as decimal(9, 9))
        as decimal(38, 9)
    )
{%- endmacro %}

{# Bytes as GB of 10^9, exact: decimal(38,9). #}
{% macro bytes_to_gb(bytes) -%}
    {{ quantity(bytes) }}
{%- endmacro %}
