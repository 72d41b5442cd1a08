{{ config(tags=['billing']) }}

-- The billed sample of each percentile and peak with its slot: one row a month where the contract
-- ranks the month, one a day where it ranks days. Only slots that hold anything are ranked: those
-- behind them are zeros, so a rank that none reaches is 0.
with components as (

    select * from {{ source('contracts', 'price_components') }}
    where measure = 'rate'

),

months as (

    select * from {{ ref('int_billing__months') }}

),

days as (

    select * from {{ ref('int_billing__days') }}

),

series as (

    {{ estimated_series(ref('int_billing__volumes')) | indent }}

),

samples as (

    {{ billed_samples(is_summed(), is_rest_of_direct=true) | indent }}

),

ranked_samples as (

    select
        samples.contract_key,
        samples.month,
        samples.component_no,
        samples.scope,
        series.series,
        components.valid_days_rule,
        case when components.month_rule <> 'p95' then samples.day end as day,
        days.day_bit,
        {{ turn(slots_between('months.starts_at', 'samples.slot_start')) }} as turn,
        case
            when components.month_rule = 'p95' then {{ top_rank() }}
            when components.day_rank = 0 then {{ div_floor('days.slots * 5', '100') }} + 1
            else components.day_rank
        end as top_rank,
        case when series.series = 'completed' then samples.completed else samples.logged end
            as sample
    from samples
    inner join components
        on components.contract_key = samples.contract_key
        and components.component_no = samples.component_no
    inner join months
        on months.contract_key = samples.contract_key
        and months.month = samples.month
    inner join days
        on days.contract_key = samples.contract_key
        and days.day = samples.day
    cross join series

),

tops as (

    select
        contract_key,
        month,
        component_no,
        scope,
        series,
        valid_days_rule,
        day,
        max(top_rank) as day_rank,
        bit_or(case when sample > 0 then day_bit else 0 end) as traffic_days,
        {{ largest(sample_key('sample', 'turn'), 'coalesce(top_rank, 1)') }} as keys
    from ranked_samples
    group by 1, 2, 3, 4, 5, 6, 7

    union all

    select
        direct.contract_key,
        direct.month,
        direct.component_no,
        direct.scope,
        series.series,
        direct.valid_days_rule,
        cast(null as date) as day,
        cast(null as integer) as day_rank,
        coalesce(direct.traffic_days, 0) as traffic_days,
        direct.keys
    from {{ ref('int_billing__direct') }} as direct
    cross join series
    where direct.is_exact and direct.is_sampled

),

-- Days with traffic, where only those are valid.
traffic as (

    select
        tops.contract_key,
        tops.month,
        tops.component_no,
        tops.scope,
        tops.series,
        count(*) as valid_days,
        cast(sum(days.slots) as bigint) as valid_slots
    from tops
    inner join days
        on days.contract_key = tops.contract_key
        and days.month = tops.month
        and (tops.traffic_days & days.day_bit) <> 0
    where tops.valid_days_rule = 'traffic'
    and tops.day is null
    group by 1, 2, 3, 4, 5

),

counted as (

    select
        tops.*,
        coalesce(traffic.valid_days, 0) as traffic_day_count,
        coalesce(traffic.valid_slots, 0) as traffic_slots,
        case
            when tops.day is not null then tops.day_rank
            when tops.valid_days_rule = 'month'
                then {{ div_floor('months.slot_count * 5', '100') }} + 1
            when tops.valid_days_rule = 'activation'
                then {{ div_floor('months.active_slots * 5', '100') }} + 1
            else {{ div_floor('coalesce(traffic.valid_slots, 0) * 5', '100') }} + 1
        end as billed_rank,
        months.starts_at
    from tops
    inner join months
        on months.contract_key = tops.contract_key
        and months.month = tops.month
    left join traffic
        on {{ same_charge('traffic', 'tops') }}
        and traffic.series = tops.series

),

billed as (

    select
        *,
        {{ nth('keys', 'billed_rank') }} as billed_key,
        {{ nth('keys', 'nullif(billed_rank - 1, 0)') }} as key_above
    from counted

),

-- Keys below `next_key` are of the billed sample or of smaller ones; mostly the one above is not.
bounded as (

    select
        *,
        {{ sample_key(key_sample('billed_key') ~ ' + 1', '0') }} as next_key
    from billed

),

first_billed as (

    select
        *,
        coalesce({{ key_sample('billed_key') }}, 0) as value,
        case when key_above >= next_key then billed_key
            else {{ first_below('keys', 'next_key') }} end as first_key
    from bounded

)

select
    contract_key,
    month,
    component_no,
    scope,
    series,
    day,
    traffic_days > 0 as has_traffic,
    traffic_day_count,
    traffic_slots,
    value,
    case when value > 0 then {{ slot_after('starts_at', key_place('first_key')) }} end
        as billed_slot
from first_billed
