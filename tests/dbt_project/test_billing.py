"""Bills as marts: from published traffic, month by month, under the contracts of a folder."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import ROUND_HALF_UP, Decimal

import pytest
import yaml

from lake.contracts import load_contracts

from .conftest import PROJECT, message_of

GB = 10**9
TIERS = [
    {"from_gb": 0, "to_gb": 10240, "price_per_gb": "0.085"},
    {"from_gb": 10240, "price_per_gb": "0.080"},
]


def _contract(**fields: object) -> dict[str, object]:
    return {
        "contract_id": "c1",
        "vendor": "cloudfront",
        "currency": "USD",
        "valid_from": dt.date(2026, 1, 1),
        "unit": "GB",
        "components": [{"kind": "per_gb_graduated", "tiers": TIERS}],
    } | fields


@pytest.fixture
def contracts(tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))

    def write(**fields):
        contract = _contract(**fields)
        file = folder / f"{contract['contract_id']}.yaml"
        file.write_text(yaml.safe_dump(contract))
        return file

    return write


def _slot(year: int, month: int, day: int = 1, **columns: object) -> dict[str, object]:
    return {"slot_start": dt.datetime(year, month, day, tzinfo=dt.UTC)} | columns


def test_51200_gb_cost_4147_dollars_20(weir, contracts):
    # CloudFront's own example (price list, US): 10,240 GB at 0.085 and the rest at 0.080
    contracts()
    weir.publish_traffic(
        [
            _slot(2026, 2, bytes=50_000 * GB, requests=3),
            _slot(2026, 2, 28, bytes=1_200 * GB, requests=4, customer="other"),
        ]
    )
    weir.build("tag:billing")
    assert weir.rows(
        "select line_no, tier_from, tier_to, quantity, unit_price, amount "
        "from marts.bill_lines order by line_no"
    ) == [
        (1, 0, 10240, 10240, Decimal("0.085"), Decimal("870.40")),
        (2, 10240, None, 40960, Decimal("0.080"), Decimal("3276.80")),
    ]
    assert weir.rows(
        "select month, contract_id, currency, logged_bytes, amount from marts.bills"
    ) == [(dt.date(2026, 2, 1), "c1", "USD", 51_200 * GB, Decimal("4147.20"))]
    assert weir.rows(
        "select month, cdn, customer, requests, logged_bytes, contract_id, factor, billed_bytes "
        "from marts.usage_monthly order by customer"
    ) == [
        (dt.date(2026, 2, 1), "cloudfront", "acme", 3, 50_000 * GB, "c1", 1, 50_000 * GB),
        (dt.date(2026, 2, 1), "cloudfront", "other", 4, 1_200 * GB, "c1", 1, 1_200 * GB),
    ]


def test_usage_stands_as_logged_beside_the_factor_in_force_and_as_billed(weir, contracts):
    contracts(overhead={"factor": "1.1", "low": "1.05", "high": "1.15"}, customers=["acme"])
    contracts(contract_id="rest", overhead={"factor": "1.033333"})
    weir.publish_traffic(
        [
            _slot(2026, 2, bytes=15),
            _slot(2026, 2, bytes=1_000_001, customer="other"),
            _slot(2026, 2, bytes=7, cdn="fastly"),
        ]
    )
    weir.build("tag:billing")
    factors = ["factor_low", "factor", "factor_high"]
    assert weir.rows(
        f"select cdn, customer, contract_id, logged_bytes, {', '.join(factors)}, billed_bytes "
        "from marts.usage_monthly order by 1, 2"
    ) == [
        # 16.5, half away from zero
        ("cloudfront", "acme", "c1", 15, Decimal("1.05"), Decimal("1.1"), Decimal("1.15"), 17),
        ("cloudfront", "other", "rest", 1_000_001, *[Decimal("1.033333")] * 3, 1_033_334),
        ("fastly", "acme", None, 7, None, None, None, None),
    ]


def test_bills_equal_an_independent_reckoning_to_the_cent(weir):
    tiers = yaml.safe_load((PROJECT / "price_contracts" / "cloudfront-2026.yaml").read_text())
    tiers = tiers["components"][0]["tiers"]
    dice = random.Random(3)
    months = [(2026, m) for m in range(1, 13)] + [(2027, m) for m in range(1, 13)]
    edges = [100 * GB, 100 * GB + 1, 300 * GB - 1, 300 * GB + 1, 1, 10**17]
    usage = edges + [dice.randrange(1, 500 * GB) for _ in months[len(edges) :]]
    weir.publish_traffic([_slot(y, m, bytes=b) for (y, m), b in zip(months, usage, strict=True)])
    weir.build("tag:billing")
    bills = dict(weir.rows("select month, amount from marts.bills where vendor = 'cloudfront'"))
    for (year, month), total in zip(months, usage, strict=True):
        amount = Decimal(0)
        for tier in tiers:
            start, end = tier["from_gb"] * GB, tier.get("to_gb", 10**9) * GB
            inside = max(0, min(total, end) - start)
            line = Decimal(inside) / GB * Decimal(tier["price_per_gb"])
            amount += line.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert bills[dt.date(year, month, 1)] == amount


def test_a_month_is_priced_by_the_contract_in_force(weir, contracts):
    contracts()
    contracts(
        contract_id="c2",
        valid_from=dt.date(2026, 3, 1),
        components=[
            {"kind": "per_gb_graduated", "tiers": [{"from_gb": 0, "price_per_gb": "0.05"}]}
        ],
    )
    weir.publish_traffic(
        [_slot(2025, 12, 31, bytes=GB), _slot(2026, 2, 28, bytes=GB), _slot(2026, 3, bytes=GB)]
    )
    result = weir.run("tag:billing")
    assert result.success, message_of(result)
    assert weir.rows("select month, contract_id, amount from marts.bills order by month") == [
        (dt.date(2026, 2, 1), "c1", Decimal("0.09")),  # 0.085: half away from zero
        (dt.date(2026, 3, 1), "c2", Decimal("0.05")),
    ]
    # December has traffic and no contract: said, not swallowed
    assert "cdns_have_a_contract_in_force: Got 1 result" in message_of(result)


def test_a_refresh_touches_the_requested_months_alone_and_empties_what_became_empty(weir):
    weir.publish_traffic([_slot(2026, m, bytes=m * GB) for m in (1, 2, 3, 12)])
    weir.build("tag:billing")
    before = {t: weir.rows(f"select * from marts.{t} order by all") for t in _BILLING}
    weir.catalog.purge_table("gold.traffic_5m")
    weir.publish_traffic([_slot(2026, 3, 31, bytes=50 * GB), _slot(2027, 1, bytes=GB)])
    weir.build("tag:billing", months=["2026-02-01", "2026-03-01", "2026-12-01"])
    assert weir.rows("select month, logged_bytes from marts.usage_monthly order by month") == [
        (dt.date(2026, 1, 1), GB),
        (dt.date(2026, 3, 1), 50 * GB),
    ]
    for table in _BILLING:
        january = [row for row in before[table] if row[0] == dt.date(2026, 1, 1)]
        where = "month = date '2026-01-01'"
        assert weir.rows(f"select * from marts.{table} where {where} order by all") == january
    assert weir.rows("select distinct month(month) from marts.bills order by 1") == [(1,), (3,)]


_BILLING = (
    "usage_monthly", "bill_lines", "bills", "bill_allocations", "what_ifs", "unit_costs",
)  # fmt: skip


def test_no_column_of_the_billing_marts_is_a_double(weir):
    weir.build("tag:billing")
    types = weir.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        f"where table_schema = 'marts' and table_name in {_BILLING}"
    )
    assert {table for table, _, _ in types} == set(_BILLING)
    assert [t for t in types if t[2] in ("DOUBLE", "FLOAT", "REAL")] == []


def test_a_broken_contract_stops_bills_with_its_message_and_nothing_else(weir, contracts):
    contracts()
    weir.publish_traffic([_slot(2026, 2, bytes=GB)])
    weir.build("tag:billing")
    bills = weir.rows("select * from marts.bills")
    file = contracts(unit="TB")
    result = weir.run("tag:billing")
    assert not result.success
    assert f"{file}: line 11: unit: unknown unit 'TB'; expected one of" in message_of(result)
    assert weir.rows("select * from marts.bills") == bills
    weir.build("tag:delivery tag:engagement")
    contracts()
    weir.build("tag:billing")


def test_the_contracts_of_the_project_are_sound():
    contracts = [g.contract for g in load_contracts(PROJECT / "price_contracts")]
    assert {c.vendor for c in contracts} >= {"cloudfront"}


def test_a_version_known_later_replaces_the_one_before_it_unless_one_asks_as_of_then(
    weir, contracts
):
    contracts()
    file = contracts(version=2, known_from=dt.date(2026, 5, 10), unit="GiB")
    file.rename(file.with_name("c1-v2.yaml"))
    contracts()
    weir.publish_traffic([_slot(2026, 2, bytes=100 * 2**30)])
    weir.build("tag:billing")
    sql = "select contract_version, amount from marts.bills"
    assert weir.rows(sql) == [(2, Decimal("8.50"))]
    as_of = json.dumps({"known_at": "2026-05-09T23:59:59Z"})
    result = weir.invoke("run", "--select", "tag:billing", "--vars", as_of)
    assert result.success, message_of(result)
    assert weir.rows(sql) == [(1, Decimal("9.13"))]  # 107.3741824 GB at 0.085
    refused = weir.invoke("run", "--select", "tag:billing", "--vars", '{"known_at": "1\' or"}')
    assert "expected an instant in UTC" in message_of(refused)


def test_a_month_of_another_time_zone_takes_its_hours_from_two_months_of_utc(weir, contracts):
    contracts(timezone="Asia/Shanghai")
    last = dt.datetime(2026, 1, 31, 15, 55, tzinfo=dt.UTC)
    first = dt.datetime(2026, 1, 31, 16, tzinfo=dt.UTC)
    weir.publish_traffic(
        [{"slot_start": last, "bytes": GB}, {"slot_start": first, "bytes": 100 * GB}]
    )
    weir.build("tag:billing", months=["2026-02-01"])
    assert weir.rows("select month, logged_bytes from marts.bills") == [
        (dt.date(2026, 2, 1), 100 * GB)
    ]
