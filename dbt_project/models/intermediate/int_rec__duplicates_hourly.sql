{{ config(tags=['engagement'], materialized='view') }}

select
    {{ slot_start('event_time', 3600) }} as hour,
    event_type,
    count(*) + {{ whole_sum('duplicates_removed') }} as rows_delivered,
    {{ whole_sum('duplicates_removed') }} as duplicates_removed,
    count(*) as rows_kept
from {{ ref('stg_rec__events') }}
group by 1, 2
