{{ config(tags=['billing'], severity='warn') }}

-- Traffic that no contract prices is missing from the bills: worth a warning, not a stop.
select usage.month, usage.cdn, sum(usage.bytes) as bytes
from {{ ref('usage_monthly') }} as usage
left join {{ source('contracts', 'price_contract_tiers') }} as tiers
    on usage.cdn = tiers.vendor
    and usage.month >= tiers.valid_from
    and (usage.month < tiers.valid_to or tiers.valid_to is null)
where {{ in_requested_months('usage.month') }}
and tiers.vendor is null
group by 1, 2
