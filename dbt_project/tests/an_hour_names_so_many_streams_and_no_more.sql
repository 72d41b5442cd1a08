{{ config(tags=['delivery']) }}

select hour, cdn, count(distinct customer || ' ' || stream) as streams
from {{ ref('streams_hourly') }}
where {{ in_requested_hours('hour') }}
and stream <> {{ other_streams() }}
group by 1, 2
having count(distinct customer || ' ' || stream) > {{ streams_named() }}
