{#
    Tests over the columns of a grain, restricted to what the run built: a test of an hour must not
    cost a scan of all history.
#}

{% test grain_is_unique(model, columns, hour_column=none, month_column=none, day_column=none) %}
    select {{ columns | join(', ') }}, count(*) as copies
    from {{ model }}
    where {{ built_periods(hour_column, month_column, day_column) }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}

{% test never_null(model, columns, hour_column=none, month_column=none, day_column=none) %}
    select *
    from {{ model }}
    where {{ built_periods(hour_column, month_column, day_column) }}
    and ({% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %})
{% endtest %}
