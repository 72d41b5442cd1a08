{#
    The billing calendar: months, days and 5-minute slots in a contract's own time zone. What a
    month or a day is decides how many samples a percentile has, so it comes from the calendar and
    never from the rows that happen to be there.
#}

{# A relation of one column n: 0, 1, ... below the given number. #}
{% macro numbers(below) -%}{{ return(adapter.dispatch('numbers', 'weir')(below)) }}{%- endmacro %}
{% macro default__numbers(below) -%}(select id as n from range({{ below }})){%- endmacro %}
{% macro duckdb__numbers(below) -%}(select range as n from range({{ below }})){%- endmacro %}

{# The first day of the month n months after a first day. #}
{% macro add_months(first_day, n) -%}
    {{ return(adapter.dispatch('add_months', 'weir')(first_day, n)) }}
{%- endmacro %}
{% macro default__add_months(first_day, n) -%}
    add_months({{ first_day }}, cast({{ n }} as int))
{%- endmacro %}
{% macro duckdb__add_months(first_day, n) -%}
    cast({{ first_day }} + to_months(cast({{ n }} as integer)) as date)
{%- endmacro %}

{% macro add_days(day, n) -%}{{ return(adapter.dispatch('add_days', 'weir')(day, n)) }}{%- endmacro %}
{% macro default__add_days(day, n) -%}date_add({{ day }}, cast({{ n }} as int)){%- endmacro %}
{% macro duckdb__add_days(day, n) -%}({{ day }} + cast({{ n }} as integer)){%- endmacro %}

{% macro days_between(start, end) -%}
    {{ return(adapter.dispatch('days_between', 'weir')(start, end)) }}
{%- endmacro %}
{% macro default__days_between(start, end) -%}datediff({{ end }}, {{ start }}){%- endmacro %}
{% macro duckdb__days_between(start, end) -%}
    cast(date_diff('day', {{ start }}, {{ end }}) as integer)
{%- endmacro %}

{# The instant at which a day begins in a time zone. #}
{% macro midnight(day, zone) -%}
    {{ return(adapter.dispatch('midnight', 'weir')(day, zone)) }}
{%- endmacro %}
{% macro default__midnight(day, zone) -%}
    to_utc_timestamp(cast({{ day }} as timestamp), {{ zone }})
{%- endmacro %}
{% macro duckdb__midnight(day, zone) -%}
    timezone({{ zone }}, cast({{ day }} as timestamp))
{%- endmacro %}

{# How many 5-minute slots lie between two instants: 288 in a day, 276 or 300 where clocks change. #}
{% macro slots_between(start, end) -%}
    {{ return(adapter.dispatch('slots_between', 'weir')(start, end)) }}
{%- endmacro %}
{% macro default__slots_between(start, end) -%}
    cast((unix_micros({{ end }}) - unix_micros({{ start }})) div 300000000 as int)
{%- endmacro %}
{% macro duckdb__slots_between(start, end) -%}
    cast((epoch_us({{ end }}) - epoch_us({{ start }})) // 300000000 as integer)
{%- endmacro %}

{# The start of the slot of so many seconds that an instant lies in. #}
{% macro slot_start(column, seconds) -%}
    {{ return(adapter.dispatch('slot_start', 'weir')(column, seconds)) }}
{%- endmacro %}
{% macro default__slot_start(column, seconds) -%}
    timestamp_seconds(unix_seconds({{ column }}) div {{ seconds }} * {{ seconds }})
{%- endmacro %}
{# Integer arithmetic: date_trunc on timestamptz asks the calendar for each row. #}
{% macro duckdb__slot_start(column, seconds) -%}
    make_timestamptz(epoch_us({{ column }}) // {{ seconds }}000000 * {{ seconds }}000000)
{%- endmacro %}

{# The number of the slot an instant lies in, from 1970: what slots are joined by, being narrow. #}
{% macro slot_number(instant) -%}
    {{ return(adapter.dispatch('slot_number', 'weir')(instant)) }}
{%- endmacro %}
{% macro default__slot_number(instant) -%}
    cast(unix_seconds({{ instant }}) div 300 as int)
{%- endmacro %}
{% macro duckdb__slot_number(instant) -%}
    cast(epoch_us({{ instant }}) // 300000000 as integer)
{%- endmacro %}

{# The start of the n-th slot after an instant, from 0. #}
{% macro slot_after(start, n) -%}
    {{ return(adapter.dispatch('slot_after', 'weir')(start, n)) }}
{%- endmacro %}
{% macro default__slot_after(start, n) -%}
    timestamp_micros(unix_micros({{ start }}) + 300000000 * cast({{ n }} as bigint))
{%- endmacro %}
{% macro duckdb__slot_after(start, n) -%}
    make_timestamptz(epoch_us({{ start }}) + 300000000 * {{ n }})
{%- endmacro %}

{#
    Which versions of the contracts count: those known last, or with the variable `known_at` those
    known then, so that a closed month can be rated again as it was rated.
#}
{% macro is_known() -%}
    {%- set at = var('known_at', '') | string -%}
    {%- if not at -%}
        known_to is null
    {%- elif not modules.re.fullmatch(
        '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([+]00:00|Z)', at) -%}
        {%- do exceptions.raise_compiler_error(
            "var 'known_at' is " ~ (at | tojson)
            ~ "; expected an instant in UTC, as '2026-05-10T00:00:00Z'. Correct it.") -%}
    {%- else -%}
        (known_from <= {{ instant(at) }} and (known_to is null or known_to > {{ instant(at) }}))
    {%- endif -%}
{%- endmacro %}

{# The type of an instant. #}
{% macro instant_type() -%}{{ return(adapter.dispatch('instant_type', 'weir')()) }}{%- endmacro %}
{% macro default__instant_type() -%}timestamp{%- endmacro %}
{% macro duckdb__instant_type() -%}timestamptz{%- endmacro %}
