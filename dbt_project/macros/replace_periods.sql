{#
    Incremental strategies replace_hours, replace_days and replace_months: delete the *requested* periods from the
    target, then insert what the query gives, in one transaction.

    Why not those that come with dbt: delete+insert and merge delete what the query gives, so a
    group that vanished and an hour that became empty stay for ever; microbatch wants contiguous
    ranges, goes on after a failed batch and pays for each empty one.

    A model names its column: `hour_column` (an hour or any finer slot), `day_column`
    (an instant) or `month_column` (a date).
    Nothing requested means everything: the whole table is replaced.
#}

{% macro get_incremental_replace_hours_sql(arg_dict) -%}
    {{ return(
        _replace(arg_dict, in_requested_hours(_period_column('hour_column', 'replace_hours')))
    ) }}
{%- endmacro %}

{% macro get_incremental_replace_days_sql(arg_dict) -%}
    {{ return(
        _replace(arg_dict, in_requested_days(_period_column('day_column', 'replace_days')))
    ) }}
{%- endmacro %}

{% macro get_incremental_replace_months_sql(arg_dict) -%}
    {{ return(
        _replace(arg_dict, in_requested_months(_period_column('month_column', 'replace_months')))
    ) }}
{%- endmacro %}

{% macro _period_column(setting, strategy) -%}
    {%- set column = config.get(setting) -%}
    {%- if not column -%}
        {%- do exceptions.raise_compiler_error(
            "model " ~ model.name ~ " uses " ~ strategy ~ " without the config '" ~ setting
            ~ "'; expected the column that says which period a row belongs to. Add it.") -%}
    {%- endif -%}
    {{ return(column) }}
{%- endmacro %}

{% macro _replace(arg_dict, is_requested) -%}
    {{ return(adapter.dispatch('replace_periods_sql', 'weir')(
        arg_dict['target_relation'], arg_dict['temp_relation'],
        get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')), is_requested)) }}
{%- endmacro %}

{# Two statements of dbt's one transaction: where the insert fails, the old rows are still there. #}
{% macro default__replace_periods_sql(target, temp, columns, is_requested) %}
    delete from {{ target }} where {{ is_requested }};

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ temp }}
{% endmacro %}

{# Spark has no transaction over two statements; Iceberg replaces and inserts in one commit. #}
{% macro spark__replace_periods_sql(target, temp, columns, is_requested) %}
    insert into {{ target }} replace where {{ is_requested }}
    select {{ columns }} from {{ temp }}
{% endmacro %}
