{{ config(tags=['counters']) }}

with published as (

    select * from {{ source('bronze', 'vendor_invoices') }}

),

dated as (

    select
        *,
        max(published_at) over (partition by cdn, issuer, event_time) as month_published_at,
        max(published_at) over (
            partition by cdn, issuer, event_time, invoice_id
        ) as invoice_published_at
    from published

),

current_lines as (

    -- an invoice counts whole: its corrected version may have fewer lines. Lines that no invoice
    -- has yet count in the month's last publication alone: later they stand on one.
    select *
    from dated
    where
        coalesce(
            published_at
            = case when invoice_id is null then month_published_at else invoice_published_at end,
            month_published_at is null or (invoice_id is not null and invoice_published_at is null)
        )

),

ordered as (

    select
        *,
        row_number() over (
            partition by row_key
            order by
                amount desc, quantity desc nulls last, unit_price desc nulls last,
                charge_description nulls last, charge_category, currency
        ) as place
    from current_lines

),

final as (

    select
        row_key,
        cdn,
        invoice_id,
        line_no,
        issuer,
        billing_account,
        sub_account,
        event_time as billing_period_start,
        billing_period_end,
        charge_period_start,
        charge_period_end,
        charge_category,
        charge_class,
        charge_description,
        service_name,
        sku_id,
        region,
        scope,
        quantity,
        unit,
        unit_price,
        amount,
        currency,
        amount_decimals,
        published_at
    from ordered
    where place = 1

)

select * from final
