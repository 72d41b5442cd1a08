{{ config(materialized='view', tags=['catalogue']) }}
{{ scd2(source('bronze', 'creators'), 'creator_id', [
    'customer', 'country', 'language', 'category', 'tier', 'followers', 'status', 'level',
]) }}
