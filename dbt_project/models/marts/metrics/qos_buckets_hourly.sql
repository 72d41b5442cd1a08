{{ config(tags=['delivery'], hour_column='hour') }}

with requests as (

    select
        *,
        {{ slot_start('event_time', 3600) }} as hour,
        {{ or_unknown('country') }} as place,
        coalesce(asn, 0) as network,
        {{ http_protocol() }} as protocol
    from {{ ref('stg_cdn__requests') }}
    where is_viewer

),

bucketed as (

    {{ qos_buckets('requests', {
        'hour': 'hour', 'cdn': 'cdn', 'country': 'place', 'asn': 'network',
        'protocol': 'protocol', 'object_type': 'object_type',
    }) }}

)

select * from bucketed
