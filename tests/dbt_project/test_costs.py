"""What-ifs and unit costs of the bills, worked by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField

from lake.catalog import ensure_table

from .conftest import Weir

GB = 10**9
MARCH = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
MBPS = 37_500_000


@pytest.fixture
def contracts(tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))

    def write(contract_id: str, *components: dict[str, Any], **fields: Any) -> None:
        document = {
            "contract_id": contract_id, "vendor": "cloudfront", "currency": "USD",
            "valid_from": dt.date(2026, 1, 1), "components": list(components),
        } | fields  # fmt: skip
        (folder / f"{contract_id}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    return write


def per_gb(price: str) -> dict[str, Any]:
    return {"kind": "per_gb_graduated", "tiers": [{"from_gb": 0, "price_per_gb": price}]}


def watch(weir: Weir, plugin: Any, *rows: dict[str, Any]) -> None:
    """Append rows to the published engagement."""
    fields = plugin.contract_fields("gold.engagement_hourly")
    schema = Schema(*(NestedField(f.field_id, f.name, f.field_type) for f in fields))
    table = ensure_table(weir.catalog, "gold.engagement_hourly", schema)
    base = {"hour": MARCH, "customer": "acme", "scene": "feed", "plays": 0, "watch_ms": 0}
    table.append(pa.Table.from_pylist([base | r for r in rows], schema_to_pyarrow(schema)))


def test_usage_is_rated_under_the_terms_of_every_contract_on_file(weir, contracts):
    contracts("flat", per_gb("0.10"))
    contracts("p95", {"kind": "p95", "price_per_mbps": "2", "commit_mbps": 10,
                      "overage_price_per_mbps": "3"}, vendor="fastly")  # fmt: skip
    contracts("yuan", per_gb("0.5"), vendor="alibaba", currency="CNY", timezone="Asia/Shanghai")
    # a byte in each of 600 slots: above the 446 that are dropped, the 447th is 40 Mbps
    slots = [MARCH + dt.timedelta(minutes=5 * i) for i in range(600)]
    weir.publish_traffic([{"slot_start": s, "bytes": 40 * MBPS} for s in slots])
    weir.build("tag:billing")
    rows = weir.rows(
        "select contract_id, terms_contract_id, is_in_force, billed_amount, amount, difference "
        "from marts.what_ifs order by 1, 2"
    )
    # 900 GB at 0.10; 10 Mbps at 2 and 30 at 3; 900 GB at 0.5 yuan
    assert rows[:3] == [
        ("flat", "flat", True, 90, 90, 0),
        ("flat", "p95", False, 90, 110, 20),
        ("flat", "yuan", False, 90, 450, None),
    ]
    # vendors without traffic: their commit is due under its own terms alone
    assert rows[3:] == [
        ("p95", "flat", False, 20, 0, -20),
        ("p95", "p95", True, 20, 20, 0),
        ("p95", "yuan", False, 20, 0, None),
        ("yuan", "flat", False, 0, 0, None),
        ("yuan", "p95", False, 0, 20, None),
        ("yuan", "yuan", True, 0, 0, 0),
    ]
    assert weir.rows("select contract_id, amount from marts.bills order by 1") == [
        ("flat", 90), ("p95", 20), ("yuan", 0),
    ]  # fmt: skip
    assert weir.rows("select distinct contract_id from marts.bill_lines order by 1") == [
        ("flat",), ("p95",), ("yuan",),
    ]  # fmt: skip


def test_terms_are_tried_on_the_customers_of_the_contract_in_force_alone(weir, contracts):
    contracts("acme", per_gb("1"), customers=["acme"])
    contracts("rest", per_gb("2"))
    weir.publish_traffic(
        [{"slot_start": MARCH, "bytes": 10 * GB},
         {"slot_start": MARCH, "bytes": 7 * GB, "customer": "other"}]
    )  # fmt: skip
    weir.build("tag:billing")
    assert weir.rows("select contract_id, terms_contract_id, amount from marts.what_ifs "
                     "order by all") == [
        ("acme", "acme", 10), ("acme", "rest", 20), ("rest", "acme", 7), ("rest", "rest", 14),
    ]  # fmt: skip


def test_a_gb_an_hour_watched_and_a_thousand_plays_cost_what_the_bills_say(
    weir, contracts, lake_plugin
):
    contracts("flat", per_gb("0.10"))
    weir.publish_traffic(
        [{"slot_start": MARCH, "bytes": 75 * GB},
         {"slot_start": MARCH, "bytes": 25 * GB, "customer": "other"}]
    )  # fmt: skip
    hour = 3_600_000
    watch(weir, lake_plugin, {"watch_ms": 6 * hour, "plays": 400},
          {"watch_ms": hour // 2, "plays": 100, "scene": "search"},
          {"watch_ms": 99 * hour, "plays": 9, "hour": MARCH + dt.timedelta(days=31)})  # fmt: skip
    weir.build("tag:billing")
    assert weir.rows(
        "select subject, name, unit, amount, quantity, unit_cost from marts.unit_costs "
        "where month = date '2026-03-01' order by 1, 2, 3"
    ) == [
        ("cdn", "cloudfront", "GB", 10, 100, Decimal("0.1")),
        ("customer", "acme", "thousand plays", Decimal("7.5"), Decimal("0.5"), 15),
        # 7.50 / 6.5 hours
        ("customer", "acme", "viewing hour", Decimal("7.5"), Decimal("6.5"),
         Decimal("1.153846154")),
        ("customer", "other", "thousand plays", Decimal("2.5"), 0, None),
        ("customer", "other", "viewing hour", Decimal("2.5"), 0, None),
        ("platform", "all", "thousand plays", 10, Decimal("0.5"), 20),
        ("platform", "all", "viewing hour", 10, Decimal("6.5"), Decimal("1.538461538")),
    ]  # fmt: skip


def test_a_bill_is_split_over_the_billing_regions_of_its_contract(weir, contracts):
    contracts("regional", per_gb("1"), per_gb("3") | {"regions": ["eu"]},
              regions={"eu": ["FRA"]})  # fmt: skip
    weir.publish_traffic(
        [{"slot_start": MARCH, "bytes": 10 * GB},
         {"slot_start": MARCH, "bytes": 10 * GB, "pop": "NRT1"}]
    )  # fmt: skip
    weir.build("tag:billing")
    regions = weir.rows(
        "select part, amount from marts.bill_allocations where method = 'volume' "
        "and dimension = 'region' order by 1"
    )
    assert regions == [("eu", 30), ("other", 10)]
