{{ config(tags=['delivery']) }}

{% for relation, column in [('qos_5m', 'slot_start'), ('qos_places_hourly', 'hour')] -%}
select '{{ relation }}' as relation, {{ column }} as starts_at, cdn
from {{ ref(relation) }}
where {{ in_requested_hours(column) }}
and (
    hit_requests + miss_requests + other_requests <> requests
    or hit_requests + miss_requests <> eligible_requests
    or client_errors + live_edge_errors <> errors_4xx
    or failed_requests > answerable_requests
    or answerable_requests > requests
)
{{ 'union all' if not loop.last }}
{% endfor %}
