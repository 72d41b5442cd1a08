{{ config(tags=['billing'], materialized='view') }}

-- Usage without what no contract tells apart, before anything is joined to it: this is the one step
-- that sees every row of a large usage. It is summed where scopes fall together; where they are kept
-- the rows are about as many as before, and int_billing__summed sums them once, not twice.
select
    vendor,
    {{ kept_column('scope') }} as scope,
    {{ kept_column('pop') }} as pop,
    region,
    scheme,
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
group by 1, 2, 3, 4, 5, 6, 7, 8
{% endif %}
