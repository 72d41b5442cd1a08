{{ config(tags=['billing']) }}

-- Lines of usage by tier, under each estimate, in millionths of the currency, each rounded once.
with contracts as (

    select * from {{ source('contracts', 'price_contracts') }}

),

components as (

    select * from {{ source('contracts', 'price_components') }}

),

tiered as (

    select
        quantities.*,
        components.tier_rule,
        tiers.tier_no,
        tiers.tier_from,
        tiers.tier_to,
        tiers.is_committed,
        tiers.unit_price,
        tiers.price_num,
        tiers.price_den,
        tiers.flat,
        contracts.rounding_mode,
        contracts.minors,
        contracts.micros_per_minor,
        tiers.from_base * quantities.scale as from_scaled,
        tiers.to_base * quantities.scale as to_scaled
    from {{ ref('int_billing__quantities') }} as quantities
    inner join components
        on components.contract_key = quantities.contract_key
        and components.component_no = quantities.component_no
    inner join {{ source('contracts', 'price_contract_tiers') }} as tiers
        on tiers.contract_key = quantities.contract_key
        and tiers.component_no = quantities.component_no
    inner join contracts on contracts.contract_key = quantities.contract_key

),

-- Tiers that the quantity reached: graduated all up to it, else the one it lies in. The first tier
-- is always reached: its flat amount, its commit and a line that says 0 do not wait for usage.
reached as (

    select
        *,
        case
            when tier_rule = 'graduated' then least(q, coalesce(to_scaled, q)) - from_scaled
            else q
        end as used,
        case when is_committed then to_scaled - from_scaled end as committed
    from tiered
    where tier_no = 1 and q = 0
    or (q > from_scaled and (tier_rule = 'graduated' or q <= to_scaled or to_scaled is null))

),

priced as (

    select
        *,
        unit_base * scale as unit_scaled,
        {{ whole('price_num') }} * prorate_num * minors as numerator,
        {{ whole('price_den') }} * prorate_den * unit_base * scale as denominator
    from reached

),

multiplied as (

    select
        *,
        used * numerator as used_numerator,
        committed * numerator as committed_numerator,
        used * 1000000000 as used_billionths,
        (committed - used) * 1000000000 as unused_billionths,
        {{ micros('flat') }} as flat_micros
    from priced

),

amounts as (

    select
        *,
        {{ div_rounded('used_numerator', 'denominator', 'rounding_mode') }} * micros_per_minor
            as used_micros,
        {{ div_rounded('committed_numerator', 'denominator', 'rounding_mode') }} * micros_per_minor
            as committed_micros,
        {{ div_rounded('used_billionths', 'unit_scaled', "'half_up'") }} as used_shown,
        {{ div_rounded('unused_billionths', 'unit_scaled', "'half_up'") }} as unused_shown,
        {{ div_rounded('flat_micros', 'micros_per_minor', 'rounding_mode') }} * micros_per_minor
            as flat_rounded
    from multiplied

)

select {{ line_columns("case when is_committed then 'commit' else 'tier' end",
    'used_shown', 'used_micros') }}
from amounts

union all

-- What is committed and unused: the whole commit's amount less that of the used part, so that
-- the two lines cost what the commit costs, to the cent.
select {{ line_columns("'commit_unused'", 'unused_shown', 'committed_micros - used_micros') }}
from amounts
where is_committed and committed > used

union all

select {{ line_columns("'flat'", 'cast(null as ' ~ whole_type() ~ ')', 'flat_rounded',
    is_flat=true) }}
from amounts
where flat > 0
