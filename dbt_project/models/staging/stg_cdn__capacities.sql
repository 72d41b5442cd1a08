{{ config(tags=['counters']) }}

with said as (

    {{ capacities_said_last() }}

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
    from said

)

select * from final
