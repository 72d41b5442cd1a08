{{ config(tags=['delivery'], hour_column='hour') }}

-- The only mart with rows of inner hops: shields, midgress and workers, beside the edge they serve.
with requests as (

    select
        *,
        {{ slot_start('event_time', 3600) }} as hour,
        {{ or_unknown('pop') }} as location,
        case when is_viewer then 'edge' else 'inner' end as hop
    from {{ ref('stg_cdn__requests') }}

),

rolled_up as (

    select
        hour,
        cdn,
        location as pop,
        hop,
        {{ count_requests() }} as hop_requests,
        {{ whole_sum('bytes') }} as hop_bytes,
        {{ count_requests('is_edge_hit') }} as hop_hit_requests,
        {{ count_requests('is_origin_fetch') }} as hop_origin_requests,
        {{ sum_where('bytes', 'is_origin_fetch') }} as hop_origin_bytes,
        {{ count_requests('status >= 500') }} as hop_errors_5xx
    from requests
    group by 1, 2, 3, 4

)

select * from rolled_up
