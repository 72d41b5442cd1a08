{{ config(tags=['billing'], materialized='view') }}

-- Usage under its contract: each row in its billing month and day, its region by the beginning of
-- its PoP's name (the longest that fits), in the one contract of its customer, with the component
-- that prices its traffic and the one that prices its requests.
with traffic as (

    select * from {{ ref('int_billing__traffic') }}

),

months as (

    select * from {{ ref('int_billing__months') }}

),

customers as (

    select * from {{ source('contracts', 'price_contract_customers') }}

),

slots as (

    select
        days.contract_key,
        days.vendor,
        days.month,
        days.day,
        {{ slot_after('days.starts_at', 'numbers.n') }} as slot_start
    from {{ ref('int_billing__days') }} as days
    inner join {{ numbers(300) }} as numbers on numbers.n < days.slots

),

named_elsewhere as (

    select distinct months.vendor, months.month, customers.customer
    from months
    inner join customers on customers.contract_key = months.contract_key

),

fitting as (

    select
        regions.contract_key,
        pops.pop,
        regions.region,
        row_number() over (
            partition by regions.contract_key, pops.pop
            order by length(regions.pop_prefix) desc
        ) as place
    from (select distinct pop from traffic where pop is not null) as pops
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
    from traffic
    inner join slots
        on slots.slot_start = traffic.slot_start
        and slots.vendor = traffic.vendor

    union all

    select
        months.contract_key,
        months.month,
        cast(null as date) as day,
        traffic.*
    from traffic
    inner join months
        on months.month = traffic.period
        and months.vendor = traffic.vendor

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
left join customers
    on customers.contract_key = placed.contract_key
    and customers.customer = placed.scope
left join named_elsewhere
    on named_elsewhere.vendor = placed.vendor
    and named_elsewhere.month = placed.month
    and named_elsewhere.customer = placed.scope
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
where customers.customer is not null
or (months.is_rest and named_elsewhere.customer is null)
