{#
    States with the stretch they were in force, of rows that say what held from an instant on
    (slowly changing dimension, type 2). Half-open: valid_from <= t < valid_to; null: still.

    Equal rows count once, whatever deliveries they came in. Of several states of one instant the
    producer's highest number counts; a change counts before a row of a snapshot. A state that
    repeats the one before it opens no stretch, a delete ends one and opens none.
    relation: the rows; key: what a state is of; columns: the state.
#}
{% macro scd2(relation, key, columns) -%}
with stated as (

    select distinct
        {{ key }},
        event_time as valid_from,
        change_kind = 'delete' as is_deleted,
        change_kind = 'snapshot' as is_snapshot,
        producer_seq,
        row_key,
        {{ columns | join(', ') }}
    from {{ relation }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by {{ key }}, valid_from
            order by is_snapshot, producer_seq desc nulls last, row_key
        ) as place
    from stated

),

followed as (

    select
        *,
        lag(valid_from) over (partition by {{ key }} order by valid_from) as previous_from,
        lag(is_deleted) over (partition by {{ key }} order by valid_from) as previous_is_deleted
        {%- for column in columns %},
        lag({{ column }}) over (partition by {{ key }} order by valid_from) as previous_{{ column }}
        {%- endfor %}
    from ranked
    where place = 1

),

changed as (

    select *
    from followed
    where previous_from is null
    or is_deleted <> previous_is_deleted
    {%- for column in columns %}
    or {{ column }} is distinct from previous_{{ column }}
    {%- endfor %}

),

stretched as (

    select
        {{ key }},
        valid_from,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as valid_to,
        is_deleted,
        {{ columns | join(', ') }}
    from changed

)

select
    {{ key }},
    valid_from,
    valid_to,
    {{ columns | join(', ') }}
from stretched
where not is_deleted
{%- endmacro %}
