{{ config(tags=['delivery']) }}
{% do assert_plan_covers_request() %}
{% set columns = [
    'event_time', 'cdn', 'pop', 'customer', 'method', 'status', 'bytes_out_total', 'bytes_in',
    'ttfb_ms', 'cache_status', 'is_edge_hit', 'client_aborted', 'is_viewer', 'sample_weight',
    'country', 'asn', 'http_version', 'object_type', 'duration_ms', 'bytes_out_body',
    'is_origin_fetch', 'stream_type', 'stream',
] %}
{% set computed = {
    'stream_type': 'cmcd.st as stream_type',
    'stream': stream_of() ~ ' as stream',
} %}

with delivered as (

    select
        {% for column in columns %}{{ computed.get(column, column) }}, {% endfor %}
        row_key
    from {{ source('bronze', 'cdn_requests') }}
    where {{ in_requested_hours('event_time') }}

),

repeated as (

    select row_key, count(*) as copies
    from delivered
    group by row_key
    having count(*) > 1

),

deduplicated as (

    {{ deduplicate('delivered', 'repeated', columns) }}

),

final as (

    {{ whole_weights('deduplicated', columns + ['row_key', 'duplicates_removed']) }}

)

select * from final
