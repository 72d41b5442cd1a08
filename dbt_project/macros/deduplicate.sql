{#
    One row per row_key. Which of several rows with one key survives follows their content alone,
    not the delivery, the line or the time of ingest: those differ from one order to another.
    Content is what staging selects; rows that differ elsewhere are the same row here.

    Only keys that occur more than once pay for an ordering; the others go straight through.
    relation: the rows; repeated: the keys that occur more than once and their `copies`.
    Rows with one key have one event_time, so a key's rows are always in one requested hour.
#}
{% macro deduplicate(relation, repeated, columns) -%}
    select
        {% for column in columns %}{{ relation }}.{{ column }}, {% endfor %}
        {{ relation }}.row_key,
        cast(0 as bigint) as duplicates_removed
    from {{ relation }}
    left join {{ repeated }} on {{ relation }}.row_key = {{ repeated }}.row_key
    where {{ repeated }}.row_key is null

    union all

    select
        {% for column in columns %}{{ column }}, {% endfor %}
        row_key,
        copies - 1 as duplicates_removed
    from (
        select
            {{ relation }}.*,
            {{ repeated }}.copies,
            row_number() over (
                partition by {{ relation }}.row_key
                order by
                    {% for column in columns -%}
                    {{ relation }}.{{ column }} nulls last{{ ', ' if not loop.last }}
                    {% endfor %}
            ) as place
        from {{ relation }}
        inner join {{ repeated }} on {{ relation }}.row_key = {{ repeated }}.row_key
    ) as ordered
    where place = 1
{%- endmacro %}
