{{ config(tags=['billing'], severity='warn') }}

-- Traffic that no contract prices is missing from the bills: worth a warning, not a stop.
select usage.month, usage.cdn, sum(usage.logged_bytes) as bytes
from {{ ref('usage_monthly') }} as usage
left join {{ source('contracts', 'price_contracts') }} as contracts
    on usage.cdn = contracts.vendor
    and usage.month >= contracts.valid_from
    and (usage.month < contracts.valid_to or contracts.valid_to is null)
where {{ in_requested_months('usage.month') }}
and contracts.vendor is null
group by 1, 2
