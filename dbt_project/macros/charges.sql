{# What a bill charges for usage, before rates are taken (macros/rates.sql) and prices applied. #}

{#
    Bytes and requests by the component that prices them, as logged and with incomplete slots filled
    up: one row per contract, month and component, and per scope where it counts those alone.
#}
{% macro counted_usage() -%}
with placed as (

    select * from {{ ref('int_billing__volumes') }}

),

components as (

    select * from {{ source('contracts', 'price_components') }}

)
{% for measure in ['bytes', 'requests'] %}
select
    placed.contract_key,
    placed.month,
    components.component_no,
    case when components.is_per_scope then placed.scope else '' end as scope,
    {{ whole('sum(placed.' ~ measure ~ ')') }} as logged,
    {{ whole('sum(' ~ completed('placed.' ~ measure) ~ ')') }} as completed
from placed
inner join components
    on components.contract_key = placed.contract_key
    and components.component_no
    = placed.{{ 'traffic_no' if measure == 'bytes' else 'requests_no' }}
    and components.measure = '{{ measure }}'
group by 1, 2, 3, 4
{% if not loop.last %}
union all
{% endif %}{% endfor %}
{%- endmacro %}

{#
    Each charge for usage, also where there was none: the account is charged in a month without a
    byte too, a scope in the months it was seen. counted: a relation of counted_usage.
#}
{% macro charges_of_usage(counted) -%}
select months.contract_key, months.month, components.component_no, '' as scope
from {{ ref('int_billing__months') }} as months
inner join {{ source('contracts', 'price_components') }} as components
    on components.contract_key = months.contract_key
    and components.measure in ('bytes', 'requests', 'rate')
where not components.is_per_scope

union

select contract_key, month, component_no, scope from {{ counted }}

union

select contract_key, month, component_no, scope from {{ ref('int_billing__ranked') }}
{%- endmacro %}
