{{ config(
    tags=['billing'],
    materialized='view' if kept_column('scope') == 'scope' else 'table'
) }}

-- Usage without what no contract tells apart, before anything is joined to it: this is the one step
-- that sees every row of a large usage. It is summed where scopes fall together, and kept; where
-- scopes are kept the rows are about as many as before, so each reader reads the usage itself.
select
    {{ kept_column('vendor') }} as vendor,
    {{ kept_column('scope') }} as scope,
    {{ kept_column('pop') }} as pop,
    {{ kept_column('region') }} as region,
    {{ kept_column('scheme') }} as scheme,
    slot_start,
    period,
    {{ kept_column('completeness_ppm') }} as completeness_ppm,
{% if kept_column('scope') == 'scope' %}
    {{ kept_column('requests') }} as requests,
    bytes,
    {{ kept_column('bytes_in') }} as bytes_in
from {{ ref('int_billing__traffic') }}
{% if kept_column('vendor') != 'vendor' %}
where vendor = {{ kept_column('vendor') }}
{% endif %}
{% else %}
    {{ whole('sum(' ~ kept_column('requests') ~ ')') }} as requests,
    {{ whole('sum(bytes)') }} as bytes,
    {{ whole('sum(' ~ kept_column('bytes_in') ~ ')') }} as bytes_in
from {{ ref('int_billing__traffic') }}
{% if kept_column('vendor') != 'vendor' %}
where vendor = {{ kept_column('vendor') }}
{% endif %}
group by slot_start, period
{%- for name in ['completeness_ppm', 'vendor', 'pop', 'region', 'scheme'] if kept_column(name) == name %}, {{ name }}{% endfor %}
{% endif %}
