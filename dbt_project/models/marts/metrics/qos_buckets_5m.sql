{{ config(tags=['delivery'], hour_column='slot_start') }}

with requests as (

    select
        *,
        {{ slot_start('event_time', 300) }} as slot_start,
        {{ or_unknown('pop') }} as location
    from {{ ref('stg_cdn__requests') }}
    where is_viewer

),

bucketed as (

    {{ qos_buckets('requests', {
        'slot_start': 'slot_start', 'cdn': 'cdn', 'pop': 'location',
    }) }}

)

select * from bucketed
