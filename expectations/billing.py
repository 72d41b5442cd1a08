"""Profiles of a month of the bills: usage, lines, totals and their parts, in exact arithmetic.

Belongs here: what an audit measures of them. Does not: what-ifs and unit costs (costs), the limits
(marts.yaml).
"""

from __future__ import annotations

from expectations.costs import COSTS
from expectations.parts import Part, count, doubled, not_negative

_BILL_KEY = "month, contract_id, vendor, currency"
BILLING: tuple[Part, ...] = (
    Part(
        "marts.usage_monthly",
        "month",
        {
            "usage_duplicate_keys": doubled("month", "cdn", "customer"),
            "usage_negative_rows": not_negative(
                "requests", "logged_bytes", "estimated_bytes", "coalesce(billed_bytes, 0)"
            ),
        },
    ),
    Part(
        "marts.bill_lines",
        "month",
        {
            "line_duplicate_keys": doubled("month", "contract_id", "vendor", "line_no"),
            "line_negative_rows": not_negative(
                "case when item = 'credit' then -amount else amount end", "coalesce(quantity, 0)"
            ),
            "line_tier_out_of_order_rows": count("tier_to <= tier_from"),
        },
    ),
    Part(
        "marts.bills",
        "month",
        {
            "bill_duplicate_keys": doubled(*_BILL_KEY.split(", ")),
            "bill_negative_rows": not_negative(
                "amount", "amount_low", "amount_high", "requests", "logged_bytes", "estimated_bytes"
            ),
        },
    ),
    Part(
        f"""(
            select {_BILL_KEY}, sum(amount) as amount, count(bill) as bills, count(line) as lines
            from (
                select {_BILL_KEY}, amount, 1 as bill, null as line
                from marts.bills where {{month_range}}
                union all
                select {_BILL_KEY}, -amount, null, 1
                from marts.bill_lines where {{month_range}}
            ) group by all
        )""",
        "month",
        {
            "amount_difference": "sum(abs(amount))",
            "unpaired_bills": count("bills = 0 or lines = 0"),
        },
    ),
    Part(
        # quantities are shown to nine digits: of a GB, the byte
        """(
            select month, contract_id, component_no, scope,
                (sum(quantity)::decimal(27, 9) * 1000000000::decimal(10, 0))::decimal(38, 9)
                    - (max(logged + estimated)::decimal(28, 0) * max(factor))::decimal(38, 9)
                    as difference
            from marts.bill_lines
            where {month_range} and item = 'tier' and unit = 'GB' and kind like 'per_gb_%'
            group by all
        )""",
        "month",
        {"tier_difference_bytes": "max(abs(difference))"},
    ),
    Part(
        """(
            select month, vendor, coalesce(sum(used), 0) as used, count(billed) as bills,
                case when min(zone) = 'UTC' and max(zone) = 'UTC'
                    then greatest(coalesce(sum(billed), 0) - coalesce(sum(used), 0), 0) end as over
            from (
                select month, cdn as vendor, logged_bytes::decimal(38, 0) as used,
                    null::decimal(38, 0) as billed, null as zone
                from marts.usage_monthly where {month_range}
                union all
                select month, vendor, null, logged_bytes, zone
                from marts.bills where {month_range}
            ) group by all
        )""",
        "month",
        {
            "billed_over_usage_bytes": "max(over)",
            "vendors_without_bill": count("bills = 0 and used > 0"),
        },
    ),
    Part(
        "marts.bill_allocations",
        "month",
        {
            "allocation_duplicate_keys": doubled(
                "month", "contract_id", "method", "dimension", "part"
            ),
        },
    ),
    Part(
        """(
            select b.month, greatest(abs(min(p.amount) - b.amount), abs(max(p.amount) - b.amount))
                as difference, count(p.amount) as sums
            from (select month, contract_id, amount from marts.bills where {month_range}) as b
            left join (
                select month, contract_id, method, dimension, sum(amount) as amount
                from marts.bill_allocations where {month_range} group by all
            ) as p on p.month = b.month and p.contract_id = b.contract_id
            group by b.month, b.contract_id, b.amount
        )""",
        "month",
        {
            "allocation_difference": "max(difference)",
            "bills_not_allocated": count("sums = 0"),
        },
    ),
    *COSTS,
)
