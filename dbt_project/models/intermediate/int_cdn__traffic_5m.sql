{{ config(tags=['delivery']) }}

with requests as (

    select *, {{ slot_start('event_time', 300) }} as slot_start
    from {{ ref('stg_cdn__requests') }}
    where is_viewer

),

rolled_up as (

    select
        slot_start,
        cdn,
        {{ or_unknown('pop') }} as pop,
        {{ or_unknown('customer') }} as customer
        {%- for name, expression in qos_counts().items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}
    from requests
    group by 1, 2, 3, 4

)

select * from rolled_up
