{{ config(tags=['billing']) }}

select month, contract_id, amount_low, amount, amount_high
from {{ ref('bills') }}
where {{ in_requested_months('month') }}
and not (amount_low <= amount and amount <= amount_high)
