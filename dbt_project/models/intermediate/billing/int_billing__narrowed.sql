{{ config(
    tags=['billing'],
    materialized='view' if kept_column('scope') == 'scope' else 'table'
) }}

-- Usage without what no contract tells apart, before anything is joined to it: this is the one step
-- that sees every row of a large usage. It is summed where scopes fall together, and kept; where
-- scopes are kept the rows are about as many as before, so each reader reads the usage itself.
select
    vendor,
    {{ kept_column('scope') }} as scope,
    {{ kept_column('pop') }} as pop,
    {{ kept_column('region') }} as region,
    {{ kept_column('scheme') }} as scheme,
    slot_start,
    period,
    completeness_ppm,
{% if kept_column('scope') == 'scope' %}
    requests,
    bytes,
    bytes_in
from {{ ref('int_billing__traffic') }}
{% else %}
    {{ whole('sum(requests)') }} as requests,
    {{ whole('sum(bytes)') }} as bytes,
    {{ whole('sum(bytes_in)') }} as bytes_in
from {{ ref('int_billing__traffic') }}
group by vendor, slot_start, period, completeness_ppm
{%- for name in ['pop', 'region', 'scheme'] if kept_column(name) == name %}, {{ name }}{% endfor %}
{% endif %}
