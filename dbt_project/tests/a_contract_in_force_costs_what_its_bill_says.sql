{{ config(tags=['billing']) }}

-- The terms of a contract for its own usage are its bill; none in force is without that row.
select bills.month, bills.contract_id, bills.amount, what_ifs.amount as what_if
from (
    select * from {{ ref('bills') }}
    where {{ in_requested_months('month') }}
) as bills
left join {{ ref('what_ifs') }} as what_ifs
    on what_ifs.month = bills.month
    and what_ifs.contract_id = bills.contract_id
    and what_ifs.contract_version = bills.contract_version
    and what_ifs.is_in_force
where what_ifs.amount is null
or what_ifs.amount <> bills.amount
or what_ifs.billed_amount <> bills.amount
or what_ifs.difference <> 0
