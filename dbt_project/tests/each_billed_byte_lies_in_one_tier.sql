{{ config(tags=['billing']) }}

-- Where a GB is 10^9 bytes and nothing is added to the log, quantities are exact to the byte.
with components as (

    select
        month,
        contract_id,
        component_no,
        scope,
        max(logged + estimated) as counted,
        sum(quantity) as quantity
    from {{ ref('bill_lines') }}
    where {{ in_requested_months('month') }}
    and kind in ('per_gb_graduated', 'per_gb_volume')
    and item = 'tier'
    and unit = 'GB'
    and factor = 1
    group by 1, 2, 3, 4

)

select * from components
where quantity <> {{ bytes_to_gb('counted') }}
