{{ config(month_column='month') }}

-- The sum of rounded lines, as on the vendor's invoice; never the rounded sum. Low counts
-- delivered rows only, with the low end of the contract's interval of network overhead; expected and
-- high also count what deliveries that are held or were refused are taken to hold, high with the
-- interval's high end.
with sums as (

    select
        contract_key,
        month,
        {{ whole("sum(case when estimate = 'low' then micros else 0 end)") }} as low,
        {{ whole("sum(case when estimate = 'expected' then micros else 0 end)") }} as expected,
        {{ whole("sum(case when estimate = 'high' then micros else 0 end)") }} as high
    from {{ ref('int_billing__lines') }}
    group by 1, 2

),

usage as (

    select
        contract_key,
        month,
        cast(sum(requests) as decimal(38, 0)) as requests,
        cast(sum(bytes) as decimal(38, 0)) as logged_bytes,
        {{ whole('sum(' ~ completed('bytes') ~ ')') }} as completed_bytes,
        count(distinct slot_start) as incomplete_slots
    from {{ ref('int_billing__volumes') }}
    group by 1, 2

)

select
    sums.month,
    contracts.contract_id,
    contracts.contract_version,
    contracts.vendor,
    contracts.account,
    contracts.currency,
    contracts.zone,
    {% if kept_column('requests') == 'requests' -%}
    coalesce(usage.requests, 0)
    {%- else %}cast(null as decimal(38, 0)){% endif %} as requests,
    coalesce(usage.logged_bytes, 0) as logged_bytes,
    cast(coalesce(usage.completed_bytes - usage.logged_bytes, 0) as decimal(38, 0))
        as estimated_bytes,
    cast(coalesce(usage.incomplete_slots, 0) as integer) as incomplete_slots,
    -- the whole quantity at a cheaper tier may cost less than a smaller one: order the three
    {{ money('least(sums.low, sums.expected, sums.high)') }} as amount_low,
    {{ money('sums.expected') }} as amount,
    {{ money('greatest(sums.low, sums.expected, sums.high)') }} as amount_high
from sums
inner join {{ source('contracts', 'price_contracts') }} as contracts
    on contracts.contract_key = sums.contract_key
    and contracts.stands_for is null
left join usage
    on usage.contract_key = sums.contract_key
    and usage.month = sums.month
