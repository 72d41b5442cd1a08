{{ config(tags=['delivery']) }}

-- Both directions, from the rows and their decimal weights; rounded once per hour, CDN and customer.
with counted as (

    select hour, customer, sum(bytes) as bytes, sum(bytes_in) as bytes_in
    from (
        select
            {{ slot_start('event_time', 3600) }} as hour,
            cdn,
            {{ or_unknown('customer') }} as customer,
            sum(case when sample_weight = floor(sample_weight)
                then sample_weight * coalesce(bytes_out_total, 0) else 0 end)
            + round(sum(case when sample_weight = floor(sample_weight)
                then 0 else sample_weight * coalesce(bytes_out_total, 0) end), 0) as bytes,
            sum(case when sample_weight = floor(sample_weight)
                then sample_weight * coalesce(bytes_in, 0) else 0 end)
            + round(sum(case when sample_weight = floor(sample_weight)
                then 0 else sample_weight * coalesce(bytes_in, 0) end), 0) as bytes_in
        from {{ ref('stg_cdn__requests') }}
        where is_viewer
        group by 1, 2, 3
    ) as by_cdn
    group by 1, 2

),

rolled_up as (

    select
        {{ slot_start('slot_start', 3600) }} as hour, customer,
        sum(bytes) as bytes, sum(bytes_in) as bytes_in
    from {{ ref('qos_5m') }}
    where {{ in_requested_hours('slot_start') }}
    group by 1, 2

)

select *
from counted
full join rolled_up
    on counted.hour = rolled_up.hour
    and counted.customer = rolled_up.customer
where counted.hour is null
or rolled_up.hour is null
or counted.bytes <> rolled_up.bytes
or counted.bytes_in <> rolled_up.bytes_in
