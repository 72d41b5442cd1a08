{{ config(tags=['delivery'], hour_column='hour') }}

with measured as (

    select *
    from {{ ref('stg_cdn__requests') }}
    where is_viewer and {{ has_ttfb() }}

),

bucketed as (

    select
        {{ slot_start('event_time', 3600) }} as hour,
        cdn,
        {{ or_unknown('customer') }} as customer,
        {{ ttfb_bucket('ttfb_ms') }} as bucket,
        {{ count_requests() }} as requests
    from measured
    group by 1, 2, 3, 4

)

select * from bucketed
