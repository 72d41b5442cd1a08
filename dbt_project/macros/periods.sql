{#
    Which hours, days and months a run rebuilds, and time arithmetic. All intervals are half-open and UTC.

    A run asks with the variables `hours`, `days` and `months`, or else with the build plan; with neither it
    asks for everything. The orchestration uses the plan: other variables in each call make dbt
    parse the whole project each time (2 s of CPU).

    The variables come from outside. Their text never reaches SQL: it must match a pattern whole,
    is parsed, and SQL gets the parsed instant, formatted here.
#}

{% macro requested_hours() -%}
    {%- set asked = _requested('hours', '2026-11-16T05:00:00+00:00',
        '[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):00:00([+]00:00|Z)'
    ) -%}
    {{ return(asked or planned_periods('hour')) }}
{%- endmacro %}

{% macro requested_days() -%}
    {%- set asked = _requested('days', '2026-11-16', '[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]') -%}
    {{ return(asked or planned_periods('day')) }}
{%- endmacro %}

{% macro requested_months() -%}
    {%- set asked = _requested('months', '2026-11-01', '[0-9]{4}-(0[1-9]|1[0-2])-01') -%}
    {{ return(asked or planned_periods('month')) }}
{%- endmacro %}

{# Return the variable's instants, sorted, once each; all but a list of them is refused. #}
{% macro _requested(name, example, pattern) -%}
    {%- set given = var(name, []) -%}
    {%- if given is string or given is mapping or given is not iterable -%}
        {%- do exceptions.raise_compiler_error(
            "var '" ~ name ~ "' is " ~ given ~ "; expected a list such as ['" ~ example ~ "']. "
            ~ "Pass it as --vars '{\"" ~ name ~ "\": [\"" ~ example ~ "\"]}'.") -%}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for item in given -%}
        {%- set text = item | string -%}
        {%- if not modules.re.fullmatch(pattern, text) -%}
            {%- do exceptions.raise_compiler_error(
                "var '" ~ name ~ "' holds " ~ (text | tojson)
                ~ "; expected the start of one of the " ~ name ~ ", in UTC, as '" ~ example
                ~ "'. Correct it and run again.") -%}
        {%- endif -%}
        {%- do found.append(modules.datetime.datetime.fromisoformat(text)) -%}
    {%- endfor -%}
    {{ return(found | unique | sort) }}
{%- endmacro %}

{# Return [start, end) pairs: neighbouring hours become one range, so a day is one comparison. #}
{% macro hour_ranges() -%}
    {{ return(_joined(requested_hours(), modules.datetime.timedelta(hours=1))) }}
{%- endmacro %}

{% macro day_ranges() -%}
    {{ return(_joined(requested_days(), modules.datetime.timedelta(days=1))) }}
{%- endmacro %}

{% macro _joined(starts, length) -%}
    {%- set ranges = [] -%}
    {%- for start in starts -%}
        {%- set end = start + length -%}
        {%- if ranges and ranges[-1][1] == start -%}
            {%- do ranges.append((ranges.pop()[0], end)) -%}
        {%- else -%}
            {%- do ranges.append((start, end)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ranges) }}
{%- endmacro %}

{% macro month_ranges() -%}
    {%- set ranges = [] -%}
    {%- for start in requested_months() -%}
        {%- set end = (start + modules.datetime.timedelta(days=31)).replace(day=1) -%}
        {%- if ranges and ranges[-1][1] == start -%}
            {%- do ranges.append((ranges.pop()[0], end)) -%}
        {%- else -%}
            {%- do ranges.append((start, end)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ranges) }}
{%- endmacro %}

{# The condition "belongs to the requested hours"; column: an instant of any resolution. #}
{% macro in_requested_hours(column) -%}
    {{ _in_ranges(column, hour_ranges(), false) }}
{%- endmacro %}

{# The same for days. #}
{% macro in_requested_days(column) -%}
    {{ _in_ranges(column, day_ranges(), false) }}
{%- endmacro %}

{# The same for months; is_date: the column is a date, else an instant. #}
{% macro in_requested_months(column, is_date=true) -%}
    {{ _in_ranges(column, month_ranges(), is_date) }}
{%- endmacro %}

{#
    The condition "may belong to a requested month of some time zone": zones reach from 14 hours
    before UTC to 12 after it.
#}
{% macro near_requested_months(column) -%}
    {%- set wide = [] -%}
    {%- for start, end in month_ranges() -%}
        {%- do wide.append((start - modules.datetime.timedelta(hours=14),
            end + modules.datetime.timedelta(hours=12))) -%}
    {%- endfor -%}
    {{ _in_ranges(column, wide, false) }}
{%- endmacro %}

{% macro _in_ranges(column, ranges, is_date) -%}
    {%- if not ranges -%}
        true
    {%- else -%}
        (
        {%- for start, end in ranges -%}
            {%- if not loop.first %} or {% endif -%}
            ({{ column }} >= {{ _point(start, is_date) }}
            and {{ column }} < {{ _point(end, is_date) }})
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}

{% macro _point(moment, is_date) -%}
    {%- if is_date -%}
        date '{{ moment.strftime("%Y-%m-%d") }}'
    {%- else -%}
        {{ instant(moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")) }}
    {%- endif -%}
{%- endmacro %}

{# A literal instant. #}
{% macro instant(text) -%}{{ return(adapter.dispatch('instant', 'weir')(text)) }}{%- endmacro %}
{% macro default__instant(text) -%}timestamp '{{ text }}'{%- endmacro %}
{% macro duckdb__instant(text) -%}timestamptz '{{ text }}'{%- endmacro %}

{# The first day of the month (UTC) an instant lies in. #}
{% macro month_of(column) -%}cast(date_trunc('month', {{ column }}) as date){%- endmacro %}

{# What a test looks at: the periods the run built, by whichever column the relation has. #}
{% macro built_periods(hour_column, month_column, day_column=none) -%}
    {%- if hour_column -%}
        {{ in_requested_hours(hour_column) }}
    {%- elif day_column -%}
        {{ in_requested_days(day_column) }}
    {%- elif month_column -%}
        {{ in_requested_months(month_column) }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The starts of all days or minutes from one date to before another: MetricFlow's time spines. #}
{% macro spine(unit, first, until) -%}
    {{ return(adapter.dispatch('spine', 'weir')(unit, first, until)) }}
{%- endmacro %}
{% macro default__spine(unit, first, until) -%}
    select explode(sequence(
        timestamp '{{ first }}', timestamp '{{ until }}' - interval 1 {{ unit }}, interval 1 {{ unit }}
    )) as starts_at
{%- endmacro %}
{% macro duckdb__spine(unit, first, until) -%}
    select cast(unnest(range(
        timestamp '{{ first }}', timestamp '{{ until }}', interval '1 {{ unit }}'
    )) as timestamptz) as starts_at
{%- endmacro %}
