{# Columns that the branches of int_billing__lines share, and small expressions of rating. #}

{# What a slot would hold if its missing deliveries were like those that are in; rounded up. #}
{% macro completed(count) -%}
    case when completeness_ppm = 1000000 then {{ count }}
        else {{ div_floor(whole(count) ~ ' * 1000000 + completeness_ppm - 1', 'completeness_ppm') }}
    end
{%- endmacro %}

{% macro line_columns(item, billionths, micros, is_flat=false) -%}
    contract_key,
    month,
    estimate,
    component_no,
    {{ item }} as item,
    nullif(scope, '') as scope,
    day as billed_day,
    tier_no,
    tier_from,
    tier_to,
    {{ 'cast(null as decimal(38, 9))' if is_flat else quantity(billionths) }} as quantity,
    {{ 'cast(null as decimal(18, 9))' if is_flat else 'unit_price' }} as unit_price,
    logged,
    billed_slot,
    billed_rank,
    samples,
    valid_days,
    month_days,
    {{ whole(micros) }} as micros
{%- endmacro %}

{% macro money_line_columns() -%}
    contract_key,
    month,
    estimate,
    component_no,
    item,
    cast(null as varchar) as scope,
    cast(null as date) as billed_day,
    cast(null as integer) as tier_no,
    cast(null as decimal(38, 9)) as tier_from,
    cast(null as decimal(38, 9)) as tier_to,
    cast(null as decimal(38, 9)) as quantity,
    cast(null as decimal(18, 9)) as unit_price,
    cast(null as {{ whole_type() }}) as logged,
    cast(null as {{ 'timestamptz' if target.type == 'duckdb' else 'timestamp' }}) as billed_slot,
    cast(null as integer) as billed_rank,
    cast(null as bigint) as samples,
    cast(null as bigint) as valid_days,
    cast(null as integer) as month_days,
    {{ whole('micros') }} as micros
{%- endmacro %}

{# A bill's lines in the order in which they are reckoned. #}
{% macro line_order(item) -%}
    case {{ item }}
        when 'fee' then 2 when 'shortfall' then 3 when 'surcharge' then 3 when 'minimum' then 4
        when 'credit' then 5 when 'tax' then 6 else 1
    end
{%- endmacro %}
{% macro line_suborder(item) -%}
    case {{ item }} when 'commit_unused' then 2 when 'flat' then 3 else 1 end
{%- endmacro %}
