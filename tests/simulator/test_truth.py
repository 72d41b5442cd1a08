"""The ledger against a naive recount of the written logs, for runs with and without incidents."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.events import PLAY, valid_plays
from simulator.facts import delivered_rows, request_facts
from simulator.world import ISPS

RUNS = ("quiet", "disturbed", "larger")
QOS = (
    "requests",
    "bytes",
    "eligible_requests",
    "hit_requests",
    "eligible_bytes",
    "hit_bytes",
    "errors_4xx",
    "errors_5xx",
    "no_response",
    "aborted",
)
ENGAGEMENT = ("impressions", "clicks", "plays", "valid_plays", "watch_ms", "likes")


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def by_key(table: pa.Table, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[key] for key in keys): row for row in table.to_pylist()}


def test_five_minute_traffic_equals_the_recount(run: Any) -> None:
    truth = by_key(run.plan.ledger.traffic_5m, "slot_start", "cdn", "pop", "customer")
    arrived = {key: row for key, row in truth.items() if row["requests_delivered"]}
    found = run.found.traffic()
    assert arrived.keys() == found.keys()
    for key, row in arrived.items():
        assert row["requests_delivered"] == found[key]["requests"]
        assert row["bytes_delivered"] == found[key]["bytes"]
        assert row["hits_delivered"] == found[key]["hit_requests"]
        assert row["hit_bytes_delivered"] == found[key]["hit_bytes"]


def test_hourly_quality_equals_the_recount(run: Any) -> None:
    truth = by_key(run.plan.ledger.qos_hourly, "hour", "cdn")
    assert {key: {name: row[name] for name in QOS} for key, row in truth.items()} == run.found.qos()


def test_hourly_places_equal_the_recount(run: Any) -> None:
    truth = by_key(run.plan.ledger.places_hourly, "hour", "cdn", "country", "asn")
    found = run.found.places()
    assert len({key[2:] for key in found}) > len(ISPS) // 2
    measures = ("requests", "bytes")
    assert {k: [row[m] for m in measures] for k, row in truth.items()} == {
        k: [row[m] for m in measures] for k, row in found.items()
    }


def test_latency_percentiles_equal_the_recount(run: Any) -> None:
    rows = run.plan.ledger.ttfb.to_pylist()
    assert [row["cdn"] for row in rows] == ["cloudfront", "cloudflare"]
    for row in rows:
        for percent in (50, 95, 99):
            assert row[f"p{percent}_ms"] == run.found.ttfb(row["cdn"], Fraction(percent, 100))


def test_hourly_engagement_equals_the_recount(run: Any) -> None:
    truth = by_key(run.plan.ledger.engagement_hourly, "hour", "customer", "scene")
    arrived = {
        key: {name: row[f"{name}_delivered"] for name in ENGAGEMENT} for key, row in truth.items()
    }
    assert {key: row for key, row in arrived.items() if any(row.values())} == run.found.engagement()


def test_monthly_usage_equals_the_recount(run: Any) -> None:
    truth = by_key(run.plan.ledger.usage_monthly, "month", "cdn")
    found = run.found.usage()
    assert truth.keys() == found.keys()
    for key, row in truth.items():
        assert row["requests_delivered"] == found[key]["requests"]
        assert row["bytes_delivered"] == found[key]["bytes"]


def test_bills_follow_from_the_recounted_bytes(run: Any) -> None:
    gigabytes = {cdn: Decimal(row["bytes"]) / 10**9 for (_, cdn), row in run.found.usage().items()}
    bills = run.plan.ledger.bills.to_pylist()
    flat = [row for row in bills if row["vendor"] == "cloudflare"]
    assert Decimal(flat[0]["total"]) == round(gigabytes["cloudflare"] * Decimal("0.05"), 2)
    tiers = [row for row in bills if row["vendor"] == "cloudfront"]
    assert len(tiers) == 3
    assert sum(Decimal(row["quantity"]) for row in tiers) == gigabytes["cloudfront"]
    assert {row["total"] for row in tiers} == {str(sum(Decimal(row["amount"]) for row in tiers))}


def test_final_files_hold_the_lines_that_the_ledger_lists(run: Any) -> None:
    rows = run.plan.ledger.files.to_pylist()
    landed = [row for row in rows if row["is_final_version"] and row["arrival_at"]]
    assert len(landed) == len([path for path in run.landing.rglob("*") if path.is_file()])
    whole = [row for row in landed if row["is_whole"]]
    assert sorted(row["key"] for row in landed if not row["is_whole"]) == run.found.unreadable
    for feed in ("cloudfront", "cloudflare", "rec_events"):
        mine = [row for row in whole if row["feed"] == feed]
        assert sum(row["lines_header"] for row in mine) == run.found.header[feed]
        assert sum(row["lines_blank"] for row in mine) == run.found.blank[feed]
        assert sum(row["lines_good"] for row in mine) == run.found.good[feed]
        broken = sum(
            row["lines_physical"] - row["lines_header"] - row["lines_blank"] - row["lines_good"]
            for row in mine
        )
        assert broken == run.found.broken[feed]


def test_without_incidents_everything_generated_is_delivered(quiet: Any) -> None:
    for row in quiet.plan.ledger.traffic_5m.to_pylist():
        assert row["requests_generated"] == row["requests_delivered"]
        assert row["bytes_generated"] == row["bytes_delivered"]
    for row in quiet.plan.ledger.engagement_hourly.to_pylist():
        for name in ENGAGEMENT:
            assert row[f"{name}_generated"] == row[f"{name}_delivered"]


def test_incidents_leave_what_is_generated_alone(quiet: Any, disturbed: Any) -> None:
    for name, keys in (("traffic_5m", 4), ("engagement_hourly", 3), ("usage_monthly", 2)):
        calm, rough = getattr(quiet.plan.ledger, name), getattr(disturbed.plan.ledger, name)
        columns = [*calm.column_names[:keys], *(c for c in calm.column_names if "generated" in c)]
        assert calm.select(columns).equals(rough.select(columns))


def test_five_minute_sums_equal_the_monthly_usage(larger: Any) -> None:
    slots, months = larger.plan.ledger.traffic_5m, larger.plan.ledger.usage_monthly
    for name in ("requests_delivered", "bytes_delivered", "bytes_generated"):
        assert sum(slots[name].to_pylist()) == sum(months[name].to_pylist())


def test_written_ledger_reads_back_as_it_was_added_up(disturbed: Any, tmp_path: Path) -> None:
    disturbed.plan.write_truth(tmp_path)
    ledger = disturbed.plan.ledger
    for name in ("files", "traffic_5m", "qos_hourly", "ttfb", "engagement_hourly", "bills"):
        assert pq.read_table(tmp_path / f"{name}.parquet").equals(getattr(ledger, name))
    document = json.loads((tmp_path / "truth.json").read_text())
    assert document["scenario"]["lines"] == 5_000
    assert document["totals"]["cloudfront"]["lines_good"] > 0
    assert len(document["incidents"]) == len(disturbed.plan.incidents)


def test_event_times_are_those_that_each_format_carries(quiet: Any) -> None:
    world, arrivals = quiet.plan.world, quiet.plan.arrivals
    facts = request_facts(world, delivered_rows(world, arrivals))
    truth = sorted(zip(facts["cdn"].to_pylist(), facts["event_at"].to_pylist(), strict=True))
    assert truth == sorted((row["cdn"], row["at"]) for row in quiet.found.requests.values())


@pytest.mark.parametrize(
    ("duration_ms", "watch_ms", "is_valid"),
    [
        (7_000, 7_000, True),
        (7_000, 6_999, False),
        (7_001, 7_000, False),
        (7_001, 7_001, True),
        (60_000, 7_000, False),
    ],
)
def test_a_play_is_valid_by_its_length_on_either_side_of_seven_seconds(
    quiet: Any, duration_ms: int, watch_ms: int, is_valid: bool
) -> None:
    one = quiet.plan.world.events.take(np.zeros(1, dtype=np.int64))
    columns = {"kind": PLAY, "duration_ms": duration_ms, "watch_ms": watch_ms}
    play = replace(one, **{name: np.asarray([value]) for name, value in columns.items()})
    assert valid_plays(play).tolist() == [is_valid]
