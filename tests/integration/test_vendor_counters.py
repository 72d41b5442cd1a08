"""What simulated vendors say, ingested and judged, against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from lake.counters import VENDOR_USAGE
from lake.reads import connect, create_views
from lake.records import CHECK_RESULTS, COUNTERS, RECORDS
from lake.settings import PACKAGED_SOURCES, LakeSettings, load_settings
from orchestration.operations import open_lake, run_ingest
from simulator import Plan, Scenario, load_tariffs, simulate
from simulator.vendor_counters import DEFINITIONS, POP_BPS
from simulator.world import DISTRIBUTIONS, POPS, PRODUCERS

START = datetime(2026, 11, 16, tzinfo=UTC)
NOW = datetime(2026, 12, 20, tzinfo=UTC)
TARIFFS = load_tariffs(Path(__file__).parents[2] / "dbt_project" / "price_contracts")
INVOICES = """
name: invoices_cloudfront
description: invoices of the simulator
owner: team:finance
format: invoice
cdn: cloudfront
landing: {prefix: invoices/cloudfront/, suffix: .csv}
period:
  pattern: '/(?P<start>\\d{4}-\\d{2})_(?P<published>\\d{4}-\\d{2}-\\d{2})\\.csv$'
  start_format: '%Y-%m'
  published_format: '%Y-%m-%d'
  length: 31d
published: {issuer: Weir Test CloudFront}
"""


def make_plan(**changes: Any) -> Plan:
    scenario = Scenario(7, START, 26, 4_000, frozenset(), counters=True, **changes)
    return simulate(scenario, TARIFFS)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan()


@dataclass(frozen=True)
class Told:
    """A lake that everything was ingested into, in two steps; rows of usage after the first."""

    settings: LakeSettings
    first_rows: int

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        catalog = open_lake(self.settings)
        with connect(catalog) as connection:
            create_views(connection, catalog, RECORDS)
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def told(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tmp_path_factory.mktemp("told")
    sources = home / "sources"
    sources.mkdir()
    for name in ("cloudflare_usage", "cloudfront_usage", "rosters", "capacities"):
        text = (PACKAGED_SOURCES / "counters" / f"{name}.yaml").read_text(encoding="utf-8")
        (sources / f"{name}.yaml").write_text(text, encoding="utf-8")
    (sources / "invoices.yaml").write_text(INVOICES, encoding="utf-8")
    settings = load_settings({"WEIR_SOURCES": str(sources)}, home=home)
    middle = START + timedelta(days=1, hours=12)
    plan.deliver(settings.landing_folder, None, middle)
    run_ingest(settings, VENDOR_USAGE, NOW)
    first = Told(settings, 0).ask("select count(*) from bronze.vendor_usage")[0][0]
    plan.deliver(settings.landing_folder, middle, plan.last_arrival_at)
    for record in COUNTERS:
        run_ingest(settings, record, NOW)
    return Told(settings, first)


def test_what_vendors_say_differs_from_the_truth_by_what_they_define(plan, told):
    assert told.ask("select state, count(*) from ops.deliveries group by 1 order by 1") == [
        ("loaded", 9),
        ("replaced", 2),
    ]
    found = told.ask(
        "select event_time, cdn, sum(requests)::bigint, sum(bytes)::bigint, "
        "max(slot_end - event_time) from bronze.vendor_usage group by all order by 1, 2"
    )
    truth = plan.said.usage.to_pylist()
    published = [
        (r["hour"], r["cdn"], r["requests_published"], r["bytes_published"], timedelta(hours=1))
        for r in truth
    ]
    assert found == published
    assert 0 < told.first_rows < told.ask("select count(*) from bronze.vendor_usage")[0][0]
    for row in truth:
        said = DEFINITIONS[row["cdn"]]
        off = row["bytes_published"] * 100 - row["bytes"] * said.bytes_percent
        assert abs(off) <= 50 * said.bytes_unit + 100
        assert abs(row["requests_published"] - row["requests"]) <= said.requests_unit / 2
    # and the truth is that of the logs: nothing got lost in this run
    traffic = plan.ledger.traffic_5m
    assert sum(r["requests"] for r in truth) == pc.sum(traffic["requests_delivered"]).as_py()
    assert sum(r["bytes"] for r in truth) == pc.sum(traffic["bytes_delivered"]).as_py()
    assert told.ask(f"select count(*) from {CHECK_RESULTS.identifier} where not is_passed") == [
        (0,)
    ]


def of_cloudfront(rows):
    return [row for row in rows if row["vendor"] == "cloudfront"]


def test_an_invoice_is_the_bill_to_the_cent(plan, told):
    found = told.ask(
        "select invoice_id, line_no, quantity, unit_price, amount, published_at "
        "from bronze.vendor_invoices order by all"
    )
    bill = [
        (
            f"{row['contract_id']}-{row['month']:%Y%m}",
            number,
            Decimal(row["quantity"]),
            Decimal(row["unit_price"]),
            Decimal(row["amount"]),
            datetime(2026, 12, 5, tzinfo=UTC),
        )
        for number, row in enumerate(of_cloudfront(plan.ledger.bills.to_pylist()), 1)
        if Decimal(row["quantity"])
    ]
    assert bill
    assert found == bill


def test_a_planted_discrepancy_is_in_the_invoice_and_nowhere_else(plan):
    planted = make_plan(invoice_discrepancy=Decimal("0.05"))
    assert planted.ledger.bills == plan.ledger.bills
    assert planted.said.usage == plan.said.usage
    honest, inflated = (
        next(b for b in p.said.bills if b.vendor == "cloudfront") for p in (plan, planted)
    )
    ratio = inflated.lines[0].quantity / honest.lines[0].quantity
    assert abs(ratio - Fraction("1.05")) < Fraction("1e-6")


def test_rosters_and_capacities_name_everybody(plan, told):
    found = told.ask(
        "select feed, producer, cadence_s, last_seq from bronze.producer_rosters order by 1, 2"
    )
    events = plan.world.events
    last = [int(events.sequence[events.producer == n].max()) for n in range(len(PRODUCERS))]
    assert found == [
        *(("cloudfront", p, 3600, None) for p in sorted(d.distribution_id for d in DISTRIBUTIONS)),
        *(("rec_events", p, 3600, n) for p, n in zip(PRODUCERS, last, strict=True)),
    ]
    places = told.ask("select cdn, name, capacity_bps from bronze.capacities order by 1, 2")
    assert places == sorted(
        ("cloudflare" if p.colo_id else "cloudfront", p.name, POP_BPS) for p in POPS
    )


def test_a_run_without_the_switch_has_the_same_logs_and_no_counters(plan):
    plain = simulate(Scenario(7, START, 26, 4_000, frozenset()), TARIFFS)
    assert plain.said is None
    counted = {one.key for one in plan.said.arrivals}
    kept = [(one.key, one.data) for one in plan.arrivals if one.key not in counted]
    assert kept == [(one.key, one.data) for one in plain.arrivals]
