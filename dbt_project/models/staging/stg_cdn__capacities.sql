{{ config(tags=['counters']) }}

with delivered as (

    select * from {{ source('bronze', 'capacities') }}

),

ordered as (

    select
        *,
        row_number() over (
            partition by row_key
            order by
                published_at desc nulls last, valid_to desc nulls first, capacity_bps desc
        ) as place
    from delivered

),

final as (

    select
        row_key,
        cdn,
        kind,
        name,
        event_time as valid_from,
        valid_to,
        capacity_bps,
        published_at
    from ordered
    where place = 1

)

select * from final
