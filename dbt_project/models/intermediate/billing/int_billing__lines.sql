{{ config(tags=['billing']) }}

-- The lines of every bill, under the low, expected and high estimate: usage by tier, then what a
-- contract adds to or takes off the sum. Each line is rounded once; from there on whole millionths.
with contracts as (

    select * from {{ source('contracts', 'price_contracts') }}

),

components as (

    select * from {{ source('contracts', 'price_components') }}

),

months as (

    select * from {{ ref('int_billing__months') }}

),

usage_lines as (

    select * from {{ ref('int_billing__usage_lines') }}

),

money as (

    select
        months.contract_key,
        months.month,
        estimates.estimate,
        components.component_no,
        components.measure,
        components.share_num,
        components.share_den,
        contracts.rounding_mode,
        contracts.micros_per_minor,
        {{ micros('components.amount') }} as amount_micros
    from months
    inner join components
        on components.contract_key = months.contract_key
        and components.measure in ('fee', 'commit', 'minimum', 'credit', 'tax')
        and (months.month >= components.first_month or components.first_month is null)
        and (months.month <= components.last_month or components.last_month is null)
    inner join contracts on contracts.contract_key = months.contract_key
    inner join {{ source('contracts', 'price_contract_estimates') }} as estimates
        on estimates.contract_key = months.contract_key

),

rounded as (

    select
        *,
        {{ div_rounded('amount_micros', 'micros_per_minor', 'rounding_mode') }} * micros_per_minor
            as amount_rounded
    from money

),

fees as (

    select * from rounded
    where measure = 'fee'

),

-- From here on every month in force, also one without a line of usage: its commit is due.
sums as (

    select
        months.contract_key,
        months.month,
        estimates.estimate,
        coalesce({{ whole('sum(first_lines.micros)') }}, 0) as micros
    from months
    inner join {{ source('contracts', 'price_contract_estimates') }} as estimates
        on estimates.contract_key = months.contract_key
    left join (
        select contract_key, month, estimate, micros from usage_lines
        union all
        select contract_key, month, estimate, amount_rounded as micros from fees
    ) as first_lines
        on first_lines.contract_key = months.contract_key
        and first_lines.month = months.month
        and first_lines.estimate = estimates.estimate
    group by 1, 2, 3

),

commits as (

    select
        rounded.*,
        sums.micros as before,
        case when sums.micros > rounded.amount_rounded
            then (sums.micros - rounded.amount_rounded) * share_num else 0 end as over_numerator,
        {{ whole('share_den') }} * micros_per_minor as over_denominator
    from rounded
    inner join sums
        on {{ same_bill('sums', 'rounded') }}
    where rounded.measure = 'commit'

),

commit_lines as (

    select
        contract_key,
        month,
        estimate,
        component_no,
        case when before < amount_rounded then 'shortfall' else 'surcharge' end as item,
        case when before < amount_rounded then amount_rounded - before
            else {{ div_rounded('over_numerator', 'over_denominator', 'rounding_mode') }}
                * micros_per_minor end as micros
    from commits

),

committed_sums as (

    select
        sums.contract_key,
        sums.month,
        sums.estimate,
        sums.micros + coalesce(commit_lines.micros, 0) as micros
    from sums
    left join commit_lines
        on {{ same_bill('commit_lines', 'sums') }}

),

minimum_lines as (

    select
        rounded.contract_key,
        rounded.month,
        rounded.estimate,
        rounded.component_no,
        greatest(rounded.amount_rounded - committed_sums.micros, 0) as micros
    from rounded
    inner join committed_sums
        on {{ same_bill('committed_sums', 'rounded') }}
    where rounded.measure = 'minimum'

),

subtotals as (

    select
        committed_sums.contract_key,
        committed_sums.month,
        committed_sums.estimate,
        committed_sums.micros + coalesce(minimum_lines.micros, 0) as micros
    from committed_sums
    left join minimum_lines
        on {{ same_bill('minimum_lines', 'committed_sums') }}

),

wanted_credits as (

    select
        rounded.*,
        subtotals.micros as before,
        subtotals.micros * coalesce(share_num, 0) as share_numerator,
        {{ whole('coalesce(share_den, 1)') }} * micros_per_minor as share_denominator
    from rounded
    inner join subtotals
        on {{ same_bill('subtotals', 'rounded') }}
    where rounded.measure = 'credit'

),

credit_amounts as (

    select
        *,
        coalesce(
            amount_rounded,
            {{ div_rounded('share_numerator', 'share_denominator', 'rounding_mode') }}
            * micros_per_minor
        ) as wanted
    from wanted_credits

),

credit_sums as (

    select
        *,
        {{ whole('sum(wanted) over (partition by contract_key, month, estimate
            order by component_no rows between unbounded preceding and current row)') }} as upto
    from credit_amounts

),

-- Credits take off what there is, in the contract's order; what is left over of them is lost.
credit_lines as (

    select
        contract_key,
        month,
        estimate,
        component_no,
        least(upto, before) - least(upto - wanted, before) as micros
    from credit_sums

),

taxable as (

    select
        subtotals.contract_key,
        subtotals.month,
        subtotals.estimate,
        subtotals.micros - coalesce({{ whole('sum(credit_lines.micros)') }}, 0) as micros
    from subtotals
    left join credit_lines
        on {{ same_bill('credit_lines', 'subtotals') }}
    group by subtotals.contract_key, subtotals.month, subtotals.estimate, subtotals.micros

),

taxed as (

    select
        rounded.*,
        taxable.micros * share_num as share_numerator,
        {{ whole('share_den') }} * micros_per_minor as share_denominator
    from rounded
    inner join taxable
        on {{ same_bill('taxable', 'rounded') }}
    where rounded.measure = 'tax'

),

money_lines as (

    select contract_key, month, estimate, component_no, 'fee' as item, amount_rounded as micros
    from fees

    union all

    select contract_key, month, estimate, component_no, item, micros
    from commit_lines
    where micros > 0

    union all

    select contract_key, month, estimate, component_no, 'minimum' as item, micros
    from minimum_lines
    where micros > 0

    union all

    select contract_key, month, estimate, component_no, 'credit' as item, -micros as micros
    from credit_lines
    where micros > 0

    union all

    select
        contract_key,
        month,
        estimate,
        component_no,
        'tax' as item,
        {{ div_rounded('share_numerator', 'share_denominator', 'rounding_mode') }}
        * micros_per_minor as micros
    from taxed

)

select * from usage_lines

union all

select {{ money_line_columns() }} from money_lines
