{{ config(tags=['counters']) }}

with published as (

    select * from {{ source('bronze', 'vendor_usage') }}

),

ordered as (

    -- the last publication counts; of equal ones the content decides, never the order of arrival
    select
        *,
        count(*) over (partition by row_key) - 1 as publications_replaced,
        row_number() over (
            partition by row_key
            order by
                published_at desc nulls last, requests desc nulls last, bytes desc nulls last,
                quantity desc nulls last, sample_interval nulls last, rounding
        ) as place
    from published

),

final as (

    select
        row_key,
        event_time as slot_start,
        slot_end,
        cdn,
        account,
        scope_kind,
        scope_value,
        host,
        customer,
        country,
        region,
        counter,
        operation,
        requests,
        bytes,
        quantity,
        bytes_meaning,
        definition,
        rounding,
        requests_unit,
        bytes_unit,
        sample_interval,
        published_at,
        final_at,
        coalesce(published_at >= final_at, false) as is_final,
        publications_replaced
    from ordered
    where place = 1

)

select * from final
