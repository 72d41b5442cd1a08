{{ config(month_column='month') }}

-- What the usage of each contract in force would have cost under the terms of every contract on
-- file, beside its bill. The terms are rated by the models that rate bills, as contracts of their own
-- (lake/contracts/what_if.py); in the billing zone of the terms, whose month may hold other hours.
with sums as (

    select
        contract_key,
        month,
        {{ whole('sum(micros)') }} as micros
    from {{ ref('int_billing__lines') }}
    where estimate = 'expected'
    group by 1, 2

),

contracts as (

    select * from {{ source('contracts', 'price_contracts') }}

)

select
    sums.month,
    in_force.contract_id,
    in_force.contract_version,
    in_force.vendor,
    terms.contract_id as terms_contract_id,
    terms.contract_version as terms_contract_version,
    terms.contract_id = in_force.contract_id
    and terms.contract_version = in_force.contract_version as is_in_force,
    in_force.currency,
    {{ money('bills.micros') }} as billed_amount,
    terms.currency as terms_currency,
    {{ money('sums.micros') }} as amount,
    case when terms.currency = in_force.currency
        then {{ money('sums.micros - bills.micros') }} end as difference
from sums
inner join contracts as terms
    on terms.contract_key = sums.contract_key
    and terms.stands_for is not null
inner join contracts as in_force on in_force.contract_key = terms.stands_for
inner join sums as bills
    on bills.contract_key = terms.stands_for
    and bills.month = sums.month
