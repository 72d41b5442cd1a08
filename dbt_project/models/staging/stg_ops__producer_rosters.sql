{{ config(tags=['counters']) }}

with delivered as (

    select * from {{ source('bronze', 'producer_rosters') }}

),

ordered as (

    select
        *,
        row_number() over (
            partition by row_key
            order by
                published_at desc nulls last, valid_to desc nulls first, cadence_s nulls last,
                last_seq desc nulls last, last_seq_at desc nulls last
        ) as place
    from delivered

),

final as (

    select
        row_key,
        feed,
        producer,
        event_time as valid_from,
        valid_to,
        cadence_s,
        last_seq,
        last_seq_at,
        published_at
    from ordered
    where place = 1

)

select * from final
