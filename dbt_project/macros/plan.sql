{# The starts of the plan's hours or months, sorted; none without a plan, and while parsing. #}
{% macro planned_periods(period) -%}
    {%- set starts = [] -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select cast(starts_at as string) from bronze.build_plan "
            ~ "where period = '" ~ period ~ "' order by starts_at") -%}
        {%- for text in found.columns[0].values() -%}
            {%- do starts.append(modules.datetime.datetime.fromisoformat(text[:19] ~ '+00:00')) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(starts) }}
{%- endmacro %}

{#
    The plugin shows the files of the plan's hours only. If a model then replaced an hour that the
    plan leaves out, it would find no rows and empty a good hour: refuse before anything is written.
#}
{% macro assert_plan_covers_request() -%}
    {%- set planned = planned_periods('hour') -%}
    {%- if planned -%}
        {%- set missing = requested_hours() | reject('in', planned) | list -%}
        {%- if missing -%}
            {%- do exceptions.raise_compiler_error(
                "the build plan (WEIR_BUILD_PLAN) shows " ~ (planned | length)
                ~ " hours, but var 'hours' asks for " ~ (missing | join(', '))
                ~ " as well, which would be emptied. Leave the variable out: the plan asks for "
                ~ "its own hours; or unset WEIR_BUILD_PLAN.") -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
