{{ config(tags=['delivery'], materialized='view') }}

select
    {{ slot_start('event_time', 3600) }} as hour,
    cdn,
    is_viewer,
    count(*) + {{ whole_sum('duplicates_removed') }} as rows_delivered,
    {{ whole_sum('duplicates_removed') }} as duplicates_removed,
    count(*) as rows_kept
from {{ ref('stg_cdn__requests') }}
group by 1, 2, 3
