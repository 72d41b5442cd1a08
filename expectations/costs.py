"""Profile parts of the cost marts: what-ifs and unit costs against the bills they come from.

Belongs here: what an audit measures of them. Does not: the limits (marts.yaml).
"""

from __future__ import annotations

from expectations.parts import Part, doubled, violations

_WHAT_IF_KEY = "month, contract_id, contract_version, terms_contract_id, terms_contract_version"
_UNIT_KEY = "month, subject, name, unit, currency"


COSTS: tuple[Part, ...] = (
    Part(
        "marts.what_ifs",
        "month",
        {
            "what_if_duplicate_keys": doubled(_WHAT_IF_KEY),
            "what_if_negative_rows": violations("amount >= 0 and billed_amount >= 0"),
        },
    ),
    Part(
        """(
            select b.month, coalesce(w.amount, -b.amount - 1) - b.amount as difference
            from (select month, contract_id, amount from marts.bills where {month_range}) as b
            left join (
                select month, contract_id, amount from marts.what_ifs
                where {month_range} and is_in_force
            ) as w on w.month = b.month and w.contract_id = b.contract_id
        )""",
        "month",
        {"what_if_difference": "sum(abs(difference))"},
    ),
    Part(
        "marts.unit_costs",
        "month",
        {
            "unit_cost_duplicate_keys": doubled(_UNIT_KEY),
            "unit_cost_negative_rows": violations("quantity >= 0"),
        },
    ),
    Part(
        # each way of cutting holds the bills whole, once for each of its units
        """(
            select month, currency, subject, unit, sum(amount) as difference
            from (
                select month, currency, subject, unit, amount from marts.unit_costs
                where {month_range}
                union all
                select b.month, b.currency, s.subject, s.unit, -b.amount
                from marts.bills as b, (values ('cdn', 'GB'), ('platform', 'viewing hour'),
                    ('platform', 'thousand plays'), ('customer', 'viewing hour'),
                    ('customer', 'thousand plays')) as s(subject, unit)
                where {month_range}
            ) group by all
        )""",
        "month",
        {"unit_cost_difference": "sum(abs(difference))"},
    ),
)
