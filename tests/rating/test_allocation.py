"""Bills split over their parts: exact sums, and who used the billed slot."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from simulator.rating import Usage

from .cases import contract, local_slots, rated
from .splits import allocated

MBPS = 37_500_000
GB = 10**9
APRIL = dt.date(2026, 4, 1)
P95 = {"kind": "p95", "price_per_mbps": 1}


def _halves() -> list[Usage]:
    slots = local_slots("UTC", APRIL, 30)
    return [Usage(s, "a" if i < 4320 else "b", 100 * MBPS) for i, s in enumerate(slots)]


def test_two_domains_in_disjoint_halves_share_the_100_and_not_200():
    parts = allocated(_halves(), contract([P95]))
    assert rated(_halves(), contract([P95])).totals() == {APRIL: 100}
    assert parts["volume", "customer", "a"] == parts["volume", "customer", "b"] == 50
    slot = {k[2]: v for k, v in parts.items() if k[:2] == ("billed_slot", "customer")}
    assert slot == {"a": 100, "b": 0}  # the first slot that holds the billed sample is a's


def test_a_cent_that_cannot_be_shared_goes_to_the_largest_remainder():
    slot = dt.datetime(2026, 4, 3, tzinfo=dt.UTC)
    usage = [Usage(slot, "abc"[i], share * GB) for i, share in enumerate((2, 2, 3))]
    fee = {"kind": "fee", "amount": "0.10"}
    parts = allocated(usage, contract([{"kind": "per_gb_graduated", "tiers": [
        {"from_gb": 0, "price_per_gb": 0}]}, fee]))  # fmt: skip
    shares = {k[2]: v for k, v in parts.items() if k[:2] == ("volume", "customer")}
    # 0.10 * (2, 2, 3) / 7 = 2.86, 2.86, 4.29 cents
    assert shares == {"a": Decimal("0.03"), "b": Decimal("0.03"), "c": Decimal("0.04")}


def test_parts_sum_to_the_bill_with_credits_taxes_and_scopes_of_their_own():
    usage = [
        Usage(u.slot_start, "abc"[i % 3], u.bytes // (1 + i % 11), requests=i % 5)
        for i, u in enumerate(_halves())
    ]
    document = contract(
        [
            P95 | {"per": "scope", "price_per_mbps": "0.333"},
            {"kind": "requests", "price": "0.017"},
            {"kind": "credit", "percent": "3.33"},
            {"kind": "tax", "percent": "7.7"},
        ]
    )
    (total,) = rated(usage, document).totals().values()
    parts = allocated(usage, document)
    for method in ("volume", "billed_slot"):
        for dimension in ("customer", "pop", "region", "stream"):
            found = [v for k, v in parts.items() if k[:2] == (method, dimension)]
            assert sum(found) == total


def test_a_commit_that_nobody_used_has_one_part():
    usage = [Usage(dt.datetime(2026, 4, 3, tzinfo=dt.UTC), "a", 0)]
    one = P95 | {"commit_mbps": 10, "overage_price_per_mbps": 1}
    parts = allocated(usage, contract([one]))
    assert parts["volume", "customer", "a"] == 10
