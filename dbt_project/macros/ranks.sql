{#
    Ranks of samples. A sample and the place of its slot in the month make one whole number, its
    key, so that the largest keys give both in one pass: the k-th largest sample, and the first
    slot that holds it. Months have up to 8,928 slots and an hour of changed clocks.
#}

{#
    The key of a sample: larger samples first, of equal ones the earlier slot, which has the larger
    turn. turn: of a place in the month, a whole number from 0 to 9,999.
#}
{% macro turn(place) -%}(9999 - ({{ place }})){%- endmacro %}
{% macro sample_key(sample, turn) -%}(({{ sample }}) * 16384 + {{ turn }}){%- endmacro %}
{% macro key_sample(key) -%}{{ div_floor(key, '16384') }}{%- endmacro %}
{% macro key_place(key) -%}cast(9999 - ({{ key }}) % 16384 as bigint){%- endmacro %}
{# A row below it may have a key in 64 bits, also with both directions added up. #}
{% macro key_limit() -%}281474976710656{%- endmacro %}

{# No 95th percentile lies deeper: 31 days and an hour of changed clocks have 8,940 slots. #}
{% macro top_rank() -%}448{%- endmacro %}

{# The k largest values of a group, largest first; k: the same in the whole group. #}
{% macro largest(value, k) -%}
    {{ return(adapter.dispatch('largest', 'weir')(value, k)) }}
{%- endmacro %}
{% macro default__largest(value, k) -%}
    slice(sort_array(collect_list({{ value }}), false), 1, cast(max({{ k }}) as int))
{%- endmacro %}
{# A heap of k values a group: quantile_disc takes no fraction by group, a window sorts it all. #}
{% macro duckdb__largest(value, k) -%}max({{ value }}, {{ k }}){%- endmacro %}

{# The k-th element of a list from 1, null where it has fewer. #}
{% macro nth(list, k) -%}{{ return(adapter.dispatch('nth', 'weir')(list, k)) }}{%- endmacro %}
{% macro default__nth(list, k) -%}try_element_at({{ list }}, cast({{ k }} as int)){%- endmacro %}
{% macro duckdb__nth(list, k) -%}list_extract({{ list }}, {{ k }}){%- endmacro %}

{# Of a list of keys, largest first, the first below a bound. #}
{% macro first_below(keys, bound) -%}
    {{ return(adapter.dispatch('first_below', 'weir')(keys, bound)) }}
{%- endmacro %}
{% macro default__first_below(keys, bound) -%}
    try_element_at(filter({{ keys }}, x -> x < {{ bound }}), 1)
{%- endmacro %}
{% macro duckdb__first_below(keys, bound) -%}
    list_extract(list_filter({{ keys }}, lambda x: x < {{ bound }}), 1)
{%- endmacro %}

{# How many different turns, of whole numbers from 0 to 9,999, a group has; none where all are null. #}
{% macro count_turns(turn) -%}
    {{ return(adapter.dispatch('count_turns', 'weir')(turn)) }}
{%- endmacro %}
{% macro default__count_turns(turn) -%}count(distinct {{ turn }}){%- endmacro %}
{# A bit a turn: a set of them costs ten times as much. #}
{% macro duckdb__count_turns(turn) -%}
    coalesce(bit_count(bitstring_agg({{ turn }}, 0, 9999)), 0)
{%- endmacro %}
