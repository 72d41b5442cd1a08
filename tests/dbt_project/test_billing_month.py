"""A simulated month of usage under every price model, from traffic to marts, beside the truth."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pytest
import yaml

from lake.contracts.components import KINDS
from simulator.bills import bills_of
from simulator.tariffs import load_tariffs

MONTH = dt.date(2026, 3, 1)
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin")
_TIERS = [{"from_gb": 0, "to_gb": 700, "price_per_gb": "0.0851", "flat": 5},
          {"from_gb": 700, "price_per_gb": "0.0777"}]  # fmt: skip
_MBPS = [{"from_mbps": 0, "to_mbps": 20, "price_per_mbps": "3.3"},
         {"from_mbps": 20, "price_per_mbps": "2.9"}]  # fmt: skip
FIELDS: dict[str, dict[str, Any]] = {
    "per_gb_graduated": {"tiers": _TIERS},
    "per_gb_volume": {"tiers": _TIERS, "per": "scope"},
    "requests": {"price": "0.0123", "count": "ceil"},
    "p95": {"price_per_mbps": "1.7", "commit_mbps": 11, "overage_price_per_mbps": "2.1"},
    "daily_peak": {"tiers": _MBPS},
    "average_daily_peak": {"price_per_mbps": "2.22", "valid_days": "traffic"},
    "average_daily_p95": {"price_per_mbps": "2.22", "per": "scope"},
    "fourth_peak": {"tiers": _MBPS, "tier_rule": "graduated"},
    "monthly_top5": {"price_per_mbps": "1.9", "round_mbps": "up"},
}
MONEY = [
    {"kind": "fee", "amount": "12.34"},
    {"kind": "commit", "amount": "40", "overage_multiplier": "1.1"},
    {"kind": "minimum", "amount": "50"},
    {"kind": "credit", "percent": "1.5"},
    {"kind": "tax", "percent": "8.25"},
]


def _documents() -> list[dict[str, Any]]:
    """Return a contract for each kind of usage, each of a vendor of its own."""
    return [
        {
            "contract_id": f"{kind.replace('_', '-')}-2026",
            "vendor": f"cdn_{kind}",
            "currency": "USD",
            "valid_from": dt.date(2026, 1, 1),
            "timezone": ZONES[i % len(ZONES)],
            "components": [{"kind": kind, **fields}, *MONEY],
        }
        for i, (kind, fields) in enumerate(FIELDS.items())
    ]


def _traffic(vendors: list[str]) -> list[dict[str, Any]]:
    """Return a month of five-minute traffic with days and nights, and silent slots."""
    dice = random.Random(11)
    start = dt.datetime(2026, 2, 28, tzinfo=dt.UTC)
    rows = []
    for vendor in vendors:
        for i in range(33 * 288):
            if dice.random() < 0.2:
                continue
            level = 1 + abs(i % 288 - 144)
            rows.append(
                {
                    "slot_start": start + dt.timedelta(minutes=5 * i),
                    "cdn": vendor,
                    "pop": dice.choice(["FRA1", "AMS2"]),
                    "customer": dice.choice(["aurora", "borealis"]),
                    "requests": dice.randrange(1000),
                    "bytes": dice.randrange(level * 8_000_000),
                }
            )
    return rows


def test_each_price_model_is_in_the_month():
    assert {c["kind"] for d in _documents() for c in d["components"]} == set(KINDS)


@pytest.mark.slow
def test_a_month_under_every_price_model_differs_by_0_from_the_truth(weir, tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))
    for document in _documents():
        text = yaml.safe_dump(document, sort_keys=False)
        (folder / f"{document['contract_id']}.yaml").write_text(text)
    traffic = _traffic([d["vendor"] for d in _documents()])
    weir.publish_traffic(traffic)
    weir.build("tag:billing", months=["2026-03-01"])

    truth = {b.contract_id: b for b in bills_of(traffic, load_tariffs(folder)) if b.month == MONTH}
    ours = dict(weir.rows("select contract_id, amount from marts.bills"))
    assert ours == {name: bill.total for name, bill in truth.items()}
    assert len(ours) == len(FIELDS)
    lines = weir.rows("select contract_id, component_no, item, sum(amount) from marts.bill_lines "
                      "group by all")  # fmt: skip
    theirs: dict[Any, Decimal] = {}
    for name, bill in truth.items():
        for line in bill.lines:
            key = (name, line.component_no, line.item)
            theirs[key] = theirs.get(key, Decimal(0)) + line.amount
    assert {tuple(r[:3]): r[3] for r in lines} == theirs
    shared = weir.rows("select contract_id, method, dimension, sum(amount) from "
                       "marts.bill_allocations group by all")  # fmt: skip
    assert all(amount == ours[name] for name, _, _, amount in shared)
    assert len(shared) == 2 * 4 * len(FIELDS)  # methods by customer, pop, region and stream
