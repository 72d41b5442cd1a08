{{ config(month_column='month') }}

with usage as (

    -- A contract's tiers count all that a vendor delivered in the month, over all customers.
    select month, cdn as vendor, cast(sum(bytes) as decimal(38, 0)) as bytes
    from {{ ref('usage_monthly') }}
    where {{ in_requested_months('month') }}
    group by 1, 2

),

tiers as (

    select * from {{ source('contracts', 'price_contract_tiers') }}

),

sliced as (

    -- The part of the month's bytes that lies in each tier, cut at its edges in whole bytes.
    select
        usage.month,
        tiers.contract_id,
        tiers.vendor,
        tiers.currency,
        tiers.line_no,
        tiers.kind,
        tiers.tier_from_gb,
        tiers.tier_to_gb,
        tiers.unit_price,
        {{ bytes_to_gb(
            'least(usage.bytes, coalesce(tiers.tier_to_bytes, usage.bytes)) - tiers.tier_from_bytes'
        ) }} as quantity_gb
    from usage
    inner join tiers
        on usage.vendor = tiers.vendor
        and usage.month >= tiers.valid_from
        and (usage.month < tiers.valid_to or tiers.valid_to is null)
        and usage.bytes > tiers.tier_from_bytes

)

select
    month,
    contract_id,
    vendor,
    currency,
    line_no,
    kind,
    tier_from_gb,
    tier_to_gb,
    quantity_gb,
    unit_price,
    {{ round_money(cost_of('quantity_gb', 'unit_price')) }} as amount
from sliced
