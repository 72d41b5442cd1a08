{{ config(tags=['engagement']) }}
{% do assert_plan_covers_request() %}
{% set columns = [
    'event_time', 'event_id', 'event_type', 'request_id', 'user_key', 'session_id', 'item_id',
    'creator_id', 'position', 'customer', 'scene', 'experiment_id', 'variant', 'model_version',
    'watch_ms', 'item_duration_ms',
] %}

with delivered as (

    select {{ columns | join(', ') }}, row_key
    from {{ source('bronze', 'rec_events') }}
    where {{ in_requested_hours('event_time') }}

),

repeated as (

    select row_key, count(*) as copies
    from delivered
    group by row_key
    having count(*) > 1

),

final as (

    {{ deduplicate('delivered', 'repeated', columns) }}

)

select * from final
