"""Delivery quality over simulated traffic, beside an independent reckoning of its bronze."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from dbt.cli.main import dbtRunner

from lake.catalog import table_of
from lake.records import CDN_REQUESTS
from orchestration.commands.ingest import run as ingest
from orchestration.commands.rosetta import definitions, markdown, side_by_side
from simulator import Scenario, simulate

from .asking import REGISTRY, ask
from .conftest import PROJECT, Row, Weir
from .reckoning import NAIVE, hit, sent, timed, transferred


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, runner: dbtRunner, plugins: None) -> Iterator[Weir]:
    """Return a lake of simulated traffic with its incidents, ingested and built."""
    home = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
            patch.delenv(name, raising=False)
        patch.setenv("WEIR_HOME", str(home))
        plan = simulate(Scenario(hours=3, lines=5000), ())
        plan.deliver(home / "landing", None, plan.last_arrival_at)
        assert ingest(home, (), as_json=True) == 0
        weir = Weir(home, runner)
        weir.build("tag:delivery")
        yield weir


@pytest.fixture(scope="module")
def viewers(simulated: Weir) -> list[Row]:
    """Return bronze's viewer rows, one for each identity."""
    rows = table_of(simulated.catalog, CDN_REQUESTS).scan().to_arrow().to_pylist()
    return list({r["row_key"]: r for r in rows if r["is_viewer"]}.values())


def test_every_metric_equals_an_independent_reckoning_over_simulated_traffic(simulated, viewers):
    assert len(viewers) > 1000
    assert {r["cdn"] for r in viewers} == {"cloudfront", "cloudflare"}
    assert all(r["sample_weight"] == Decimal(1) for r in viewers)
    keys: dict[tuple[str, ...], Callable[[Row], tuple[Any, ...]]] = {
        ("cdn", "pop"): lambda r: (r["cdn"], r["pop"] or "unknown"),
        ("cdn", "country"): lambda r: (r["cdn"], r["country"] or "unknown"),
        ("asn", "object_type"): lambda r: (r["asn"] or 0, r["object_type"]),
        ("customer",): lambda r: (r["customer"] or "unknown",),
    }
    for by, of in keys.items():
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in viewers:
            hour = row["event_time"].replace(minute=0, second=0, microsecond=0)
            groups.setdefault((hour, *of(row)), []).append(row)
        for name, naive in NAIVE.items():
            found = {r[: len(by) + 1]: r[len(by) + 1] for r in ask(
                simulated, name, by=by, grain="hour")}  # fmt: skip
            expected = {group: naive(rows) for group, rows in groups.items()}
            assert {g: v for g, v in found.items() if v is not None} == pytest.approx(
                {g: v for g, v in expected.items() if v is not None}, rel=1e-9
            ), (name, by)
            if all(isinstance(v, int) for v in expected.values()):
                assert found == expected, (name, by)


def test_no_metric_of_requests_goes_unreckoned():
    requests = {m.name for m in REGISTRY.metrics.values() if m.owner == "team:delivery"}
    apart = {  # percentiles and hops have tests of their own, a peak is the largest of its slots
        n
        for n in requests
        if n.startswith(("ttfb_p", "ttfb_hit", "ttfb_miss", "throughput_p", "hop_"))
    } | {"peak_egress_bps"}
    assert set(NAIVE) == requests - apart


def test_the_peak_is_the_fullest_five_minutes(simulated, viewers):
    for by in ((), ("cdn", "pop")):
        slots: dict[tuple[Any, ...], dict[dt.datetime, int]] = {}
        for r in viewers:
            slot = r["event_time"].replace(
                minute=r["event_time"].minute // 5 * 5, second=0, microsecond=0
            )
            of = slots.setdefault(tuple(r[b] or "unknown" for b in by), {})
            of[slot] = of.get(slot, 0) + (r["bytes_out_total"] or 0)
        expected = {group: max(of.values()) * 8 / 300 for group, of in slots.items()}
        found = {r[: len(by)]: r[len(by)] for r in ask(simulated, "peak_egress_bps", by=by)}
        assert found == pytest.approx(expected, rel=1e-9)


def test_percentiles_are_within_one_per_cent_of_the_nearest_rank_of_bronze(simulated, viewers):
    def speed(r: Row) -> float | None:
        return sent(r) * 8 / (r["duration_ms"] - r["ttfb_ms"]) if transferred(r) else None

    def first(r: Row) -> float | None:
        return r["ttfb_ms"] if timed(r) else None

    wanted: dict[str, tuple[int, Callable[[Row], float | None], Callable[[Row], bool]]] = {
        "ttfb_p50_ms": (50, first, lambda _: True),
        "ttfb_p95_ms": (95, first, lambda _: True),
        "ttfb_p99_ms": (99, first, lambda _: True),
        "ttfb_hit_p95_ms": (95, first, hit),
        "ttfb_miss_p95_ms": (95, first, lambda r: not hit(r)),
        "throughput_p5_kbps": (5, speed, lambda _: True),
        "throughput_p50_kbps": (50, speed, lambda _: True),
    }
    for name, (percent, value, only) in wanted.items():
        for by in (("cdn", "pop"), ("cdn", "country"), ()):
            groups: dict[tuple[Any, ...], list[float]] = {}
            for r in viewers:
                measured = value(r) if only(r) else None
                if measured is not None:
                    group = tuple(r[b] or "unknown" for b in by)
                    groups.setdefault(group, []).append(max(0.0, measured))
            found = {r[: len(by)]: r[len(by) :] for r in ask(simulated, name, by=by)}
            assert found.keys() == groups.keys()
            for group, values in groups.items():
                rank = math.ceil(percent * len(values) / 100)
                assert found[group][1] == len(values)
                assert found[group][0] == pytest.approx(sorted(values)[rank - 1], rel=0.01)


def test_the_page_of_definitions_holds_the_figures_of_the_same_rows(simulated):
    with duckdb.connect() as connection:
        connection.execute(f"attach '{simulated.home / 'build.duckdb'}' as build (read_only)")
        connection.execute("create schema gold")
        connection.execute("create view gold.rosetta_hourly as from build.marts.rosetta_hourly")
        page = markdown(side_by_side(connection, by_cdn=False))
        by_cdn = side_by_side(connection, by_cdn=True)
    path = PROJECT.parent / "docs" / "metric-rosetta.md"
    assert path.read_text() == page, "write what `weir rosetta --markdown` prints of this lake"
    assert len(by_cdn) == 2 * len(definitions())
    ours = {r["definition"]: r for r in by_cdn if r["cdn"] == "cloudfront"}
    assert ours["weir"]["difference_from_weir"] == 0
