{#
    Capacities as they were said last: of equal beginnings the last publication counts, then the one
    that holds longer. One place for the marts; lake.capacities makes hours stale by the same rule,
    and a test holds the two to each other (tests/dbt_project/test_capacities.py).
#}
{% macro capacities_said_last() -%}
    select *
    from (
        select
            *,
            row_number() over (
                partition by row_key
                order by
                    published_at desc nulls last, valid_to desc nulls first, capacity_bps desc
            ) as place
        from {{ source('bronze', 'capacities') }}
    ) as ordered
    where place = 1
{%- endmacro %}
