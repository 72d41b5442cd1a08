{{ config(tags=['delivery'], hour_column='slot_start') }}

select
    slot_start,
    cdn,
    pop,
    customer
    {%- for name in qos_counts() %},
    {{ name }}
    {%- endfor %}
from {{ ref('int_cdn__traffic_5m') }}
