{{ config(tags=['billing'], materialized='view') }}

-- What bills are split over streams by: the published streams, padded like the traffic. weir bill,
-- whose usage names no streams, has none here.
select
    cdn as vendor,
    customer as scope,
    pop,
    hour,
    stream,
    requests,
    bytes
from {{ source('gold', 'streams_hourly') }}
where {{ near_requested_months('hour') }}
