{# Columns that the branches of int_billing__lines share, and small expressions of rating. #}

{# One row for each element of a list: what stands behind the relation that has the list. #}
{% macro each_of(list, name) -%}
    {{ return(adapter.dispatch('each_of', 'weir')(list, name)) }}
{%- endmacro %}
{% macro default__each_of(list, name) -%}lateral view explode({{ list }}) exploded as {{ name }}{%- endmacro %}
{% macro duckdb__each_of(list, name) -%}cross join unnest({{ list }}) as exploded({{ name }}){%- endmacro %}

{#
    What rows of two relations have in common, by their aliases. A charge: of a component in a
    month, for the account or for a scope that is counted alone. The account's scope is '' where
    charges are measured and null in lines; is_scope_nullable: compare nulls as equal.
#}
{% macro same_charge(one, other, is_scope_nullable=false) -%}
{{ one }}.contract_key = {{ other }}.contract_key
        and {{ one }}.month = {{ other }}.month
        and {{ one }}.component_no = {{ other }}.component_no
        and {{ one }}.scope {{ 'is not distinct from' if is_scope_nullable else '=' }} {{ other }}.scope
{%- endmacro %}

{# A bill: of a contract in a month, under one estimate. #}
{% macro same_bill(one, other) -%}
{{ one }}.contract_key = {{ other }}.contract_key
        and {{ one }}.month = {{ other }}.month
        and {{ one }}.estimate = {{ other }}.estimate
{%- endmacro %}

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
    estimated,
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
    cast(null as string) as scope,
    cast(null as date) as billed_day,
    cast(null as integer) as tier_no,
    cast(null as decimal(38, 9)) as tier_from,
    cast(null as decimal(38, 9)) as tier_to,
    cast(null as decimal(38, 9)) as quantity,
    cast(null as decimal(18, 9)) as unit_price,
    cast(null as {{ whole_type() }}) as logged,
    cast(null as {{ whole_type() }}) as estimated,
    cast(null as {{ instant_type() }}) as billed_slot,
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

{#
    Usage under its contract: each row in its billing month and day, its region by the beginning of
    its PoP's name (the longest that fits), in the one contract of its customer, with the component
    that prices its traffic and the one that prices its requests. relation: usage as it came
    (int_billing__traffic), or summed already (int_billing__narrowed). of_months: a condition on the
    months (int_billing__months) that are asked for.
#}
{% macro billed_usage(relation, of_months='true') %}
with months as (

    select * from {{ ref('int_billing__months') }}
    where {{ of_months }}

),

slots as (

    select
        days.contract_key,
        days.vendor,
        days.month,
        days.day,
        {{ slot_after('days.starts_at', 'numbers.n') }} as slot_start
    from {{ ref('int_billing__days') }} as days
    inner join months
        on months.contract_key = days.contract_key
        and months.month = days.month
    inner join {{ numbers(300) }} as numbers on numbers.n < days.slots

),

{{ named_elsewhere() }},

fitting as (

    select
        regions.contract_key,
        pops.pop,
        regions.region,
        row_number() over (
            partition by regions.contract_key, pops.pop
            order by length(regions.pop_prefix) desc
        ) as place
    from (select distinct pop from {{ relation }} where pop is not null) as pops
    inner join {{ source('contracts', 'price_contract_regions') }} as regions
        on left(pops.pop, length(regions.pop_prefix)) = regions.pop_prefix

),

pop_regions as (

    select contract_key, pop, region from fitting
    where place = 1

),

placed as (

    select
        slots.contract_key,
        slots.month,
        slots.day,
        traffic.*
    from {{ relation }} as traffic
    inner join slots
        on slots.slot_start = traffic.slot_start
        and slots.vendor = traffic.vendor

    union all

    select
        months.contract_key,
        months.month,
        cast(null as date) as day,
        traffic.*
    from {{ relation }} as traffic
    inner join months
        on months.month = traffic.period
        and months.vendor = traffic.vendor
    where traffic.period is not null

),

parts as (

    select * from {{ source('contracts', 'price_component_parts') }}

),

rests as (

    select
        contract_key,
        max(case when measure in ('bytes', 'rate') then component_no end) as traffic_no,
        max(case when measure = 'requests' then component_no end) as requests_no
    from {{ source('contracts', 'price_components') }}
    where is_rest
    group by 1

)

select
    placed.contract_key,
    placed.month,
    placed.day,
    placed.slot_start,
    placed.scope,
    placed.pop,
    coalesce(placed.region, pop_regions.region, 'other') as region,
    coalesce(regions.component_no, rests.traffic_no) as traffic_no,
    coalesce(schemes.component_no, rests.requests_no) as requests_no,
    placed.requests,
    placed.bytes,
    placed.bytes_in,
    placed.completeness_ppm
from placed
inner join months
    on months.contract_key = placed.contract_key
    and months.month = placed.month
inner join rests on rests.contract_key = placed.contract_key
left join pop_regions
    on pop_regions.contract_key = placed.contract_key
    and pop_regions.pop = placed.pop
left join parts as regions
    on regions.contract_key = placed.contract_key
    and regions.part = coalesce(placed.region, pop_regions.region, 'other')
    and regions.measure = 'traffic'
left join parts as schemes
    on schemes.contract_key = placed.contract_key
    and schemes.part = coalesce(placed.scheme, 'other')
    and schemes.measure = 'requests'
{{ of_its_customers('months', 'placed') }}
{% endmacro %}

{# The CTE that of_its_customers needs: customers by vendor and month that some contract names. #}
{% macro named_elsewhere() -%}
named_elsewhere as (

    select distinct months.vendor, months.month, customers.customer
    from {{ ref('int_billing__months') }} as months
    inner join {{ source('contracts', 'price_contract_customers') }} as customers
        on customers.contract_key = months.contract_key

)
{%- endmacro %}

{#
    The last joins and the condition of a query on usage (an alias with scope) under months
    (another): usage of a customer that the contract names, or that none does where it covers the
    rest.
#}
{% macro of_its_customers(months, usage) -%}
left join {{ source('contracts', 'price_contract_customers') }} as customers
    on customers.contract_key = {{ months }}.contract_key
    and customers.customer = {{ usage }}.scope
left join named_elsewhere
    on named_elsewhere.vendor = {{ months }}.vendor
    and named_elsewhere.month = {{ months }}.month
    and named_elsewhere.customer = {{ usage }}.scope
where (
    customers.customer is not null
    or ({{ months }}.is_rest and named_elsewhere.customer is null)
)
{%- endmacro %}

{#
    A column of the usage that rating may do without: weir bill, which knows its contracts, puts a
    constant in place of scopes, PoPs, requests and bytes in that they do not ask for, and of their
    vendor where it is one; it reads less, and groups by less.
#}
{% macro kept_column(name) -%}{{ name }}{%- endmacro %}

{# What is reckoned of a column that is kept; kept: what stands for it, a constant where it is not. #}
{% macro of_kept(name, kept, reckoned) -%}{{ reckoned if kept == name else kept }}{%- endmacro %}


{#
  The series that are reckoned: "logged" for the low estimate, "completed" for the expected and the
  high one. Of slots with deliveries held or refused, "completed" counts what they would hold at the
  same density; where all slots are complete it is the same series, reckoned once.
#}
{% macro estimated_series(usage) -%}
select 'logged' as series

union all

select 'completed' as series
from (select min(completeness_ppm) as least from {{ usage }}) as completeness
where least < 1000000
{%- endmacro %}
