{{ config(tags=['delivery'], hour_column='hour') }}

-- The largest streams of an hour and CDN by name, the rest of each customer as one: rows are bounded
-- by locations, customers and that number, however many titles there are.
with counted as (

    select
        {{ slot_start('event_time', 3600) }} as hour,
        cdn,
        {{ or_unknown('pop') }} as pop,
        {{ or_unknown('customer') }} as customer,
        {{ or_unknown('stream') }} as stream,
        {{ count_requests() }} as requests,
        {{ whole_sum('bytes') }} as bytes
    from {{ ref('stg_cdn__requests') }}
    where is_viewer
    group by 1, 2, 3, 4, 5

),

ranked as (

    select
        hour,
        cdn,
        customer,
        stream,
        row_number() over (
            partition by hour, cdn
            order by sum(bytes) desc, sum(requests) desc, customer, stream
        ) as place
    from counted
    group by 1, 2, 3, 4

),

named as (

    select
        counted.hour,
        counted.cdn,
        counted.pop,
        counted.customer,
        case when ranked.place <= {{ streams_named() }} then counted.stream
            else {{ other_streams() }} end as stream,
        {{ whole_sum('counted.requests') }} as requests,
        {{ whole_sum('counted.bytes') }} as bytes
    from counted
    inner join ranked
        on ranked.hour = counted.hour
        and ranked.cdn = counted.cdn
        and ranked.customer = counted.customer
        and ranked.stream = counted.stream
    group by 1, 2, 3, 4, 5

)

select * from named
