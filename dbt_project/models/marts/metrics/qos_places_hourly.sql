{{ config(tags=['delivery'], hour_column='hour') }}

with requests as (

    select
        *,
        {{ slot_start('event_time', 3600) }} as hour,
        {{ http_protocol() }} as protocol
    from {{ ref('stg_cdn__requests') }}
    where is_viewer

),

rolled_up as (

    select
        hour,
        cdn,
        {{ or_unknown('country') }} as country,
        coalesce(asn, 0) as asn,
        protocol,
        object_type
        {%- for name, expression in qos_counts().items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}
    from requests
    group by 1, 2, 3, 4, 5, 6

)

select * from rolled_up
