{#
    Tests over rows that hold for a span of time, half open; a span without an end is open. Keys
    may be null: rows without them are of one kind.
#}

{% test spans_do_not_overlap(model, keys, starts, ends) %}
    select *
    from (
        select
            *,
            lead({{ starts }}) over (
                partition by {{ keys | join(', ') }} order by {{ starts }}, {{ ends }} nulls last
            ) as next_starts
        from {{ model }}
    ) as followed
    where next_starts < {{ ends }} or ({{ ends }} is null and next_starts is not null)
{% endtest %}

{% test one_value_per(model, keys, value) %}
    select {{ keys | join(', ') }}, count(distinct {{ value }}) as found
    from {{ model }}
    group by {{ keys | join(', ') }}
    having count(distinct {{ value }}) > 1
{% endtest %}
