{{ config(materialized='view', tags=['catalogue']) }}
{{ scd2(source('bronze', 'items'), 'item_id', [
    'customer', 'creator_id', 'duration_ms', 'category', 'language', 'is_live', 'status',
    'published_at',
]) }}
