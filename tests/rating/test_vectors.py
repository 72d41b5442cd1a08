"""Published examples that span months: late usage, and the commits of a year.

Belongs here: vectors that need more than one bill. Those of one rule stand in test_rules.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from simulator.rating import Usage

from .cases import contract, rated

GB = 10**9
HOURS_AT_12 = {"kind": "requests", "price": 12, "package": 1}


def month(number: int) -> dt.date:
    """Return a month of 2026."""
    return dt.date(2026, number, 1)


def used(number: int, **fields: int) -> Usage:
    """Return usage of a month of 2026."""
    slot = dt.datetime(2026, number, 3, tzinfo=dt.UTC)
    return Usage(slot, "a", fields.get("bytes", 0), fields.get("requests", 0))


def test_late_usage_is_charged_in_the_period_it_belongs_to() -> None:
    """OpenMeter: price 10; 5 billed in p1, later snapshots p1 = 7 and p2 = 10 in all."""
    document = contract([{"kind": "per_gb_graduated", "tiers": [
        {"from_gb": 0, "price_per_gb": 10}]}])  # fmt: skip
    p1, p2 = month(4), month(5)
    first = [used(4, bytes=5 * GB)]
    assert rated(first, document).totals() == {p1: 50}
    late = [used(4, bytes=2 * GB), used(5, bytes=3 * GB)]
    then = rated([*first, *late], document).totals()
    assert then[p1] - 50 == 20  # a correction of p1
    assert then[p2] == 30


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [
        # A1: nothing a month, the rest of the year's 1200 is unused
        (None, ["48", "120", "60", *["0"] * 8, "972"]),
        # A2: at least 60 a month, of which 12 unused in the first
        ("60", ["60", "120", "60", *["60"] * 8, "480"]),
    ],
    ids=["A1", "A2"],
)
def test_a_commit_of_a_year_costs_1200_as_in_the_examples_of_focus(
    minimum: str | None, expected: list[str]
) -> None:
    """FOCUS 1.2: hours at 15 less 20 %: 4, 10 and 5 of them, then none.

    Contracts have no commit of a year: its last month is a version whose minimum is what is left.
    """
    usage = [used(n, requests=hours) for n, hours in ((1, 4), (2, 10), (3, 5), (12, 0))]
    monthly: list[dict[str, Any]] = [] if minimum is None else [
        {"kind": "minimum", "amount": minimum}
    ]  # fmt: skip
    months = contract([HOURS_AT_12, *monthly], contract_id="months", valid_to=month(12))
    found = rated(usage, months)
    assert found.by_line(month(1)).get((2, "minimum", "", None), Decimal(0)) == (
        12 if minimum else 0
    )
    left = 1200 - sum(found.totals().values())
    last = contract(
        [HOURS_AT_12, {"kind": "minimum", "amount": str(left)}],
        contract_id="last", valid_from=month(12),
    )  # fmt: skip
    billed = found.totals() | rated(usage, last).totals()
    assert [billed[month(n)] for n in range(1, 13)] == [Decimal(e) for e in expected]
    assert sum(billed.values()) == 1200
