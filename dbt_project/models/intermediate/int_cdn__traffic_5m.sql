{{ config(tags=['delivery']) }}

with requests as (

    select
        *,
        coalesce(bytes_out_total, 0) as bytes_out,
        {{ slot_start('event_time', 300) }} as slot_start
    from {{ ref('stg_cdn__requests') }}
    where is_viewer

),

rolled_up as (

    select
        slot_start,
        cdn,
        {{ or_unknown('pop') }} as pop,
        {{ or_unknown('customer') }} as customer,
        {{ count_requests() }} as requests,
        {{ weighted_bytes('bytes_out') }} as bytes,
        {{ weighted_bytes('coalesce(bytes_in, 0)') }} as bytes_in,
        {{ count_requests(is_eligible()) }} as eligible_requests,
        {{ count_requests(is_hit()) }} as hit_requests,
        {{ weighted_bytes('bytes_out', is_eligible()) }} as eligible_bytes,
        {{ weighted_bytes('bytes_out', is_hit()) }} as hit_bytes,
        {{ count_requests('status >= 400 and status < 500 and status <> 499') }} as errors_4xx,
        {{ count_requests('status >= 500') }} as errors_5xx,
        {{ count_requests('status = 0') }} as no_response,
        {{ count_requests(is_aborted()) }} as aborted,
        {{ whole_sum('duplicates_removed') }} as duplicates_removed
    from requests
    group by 1, 2, 3, 4

)

select * from rolled_up
