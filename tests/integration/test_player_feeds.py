"""Simulated players, assignments, items and creators: what bronze holds equals the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from lake.audit import AuditReport, CheckResult
from lake.catalog import ensure_all, open_catalog
from lake.deliveries import Delivery, read_ledger
from lake.feeds import FEEDS
from lake.formats import FEED_FAMILIES
from lake.ingest import Ingest
from lake.landing import FolderLanding
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.reads import connect, relation_sql
from lake.settings import load_settings
from lake.source import load_sources
from simulator import Plan, Scenario, simulate
from simulator.board import Arrival

START = datetime(2026, 11, 16, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "docs/sources"
NAMES = tuple(f.name for f in FEED_FAMILIES)
KINDS = {
    "bronze.player_events": "event_type",
    "bronze.experiment_assignments": "variant",
    "bronze.items": "change_kind",
    "bronze.creators": "change_kind",
}
Counts = dict[tuple[Any, ...], int]


def passes(subjects: Any) -> AuditReport:
    return AuditReport(
        tuple(
            CheckResult("delivery", "none", "none", s.delivery_id, "warning", True, None, None)
            for s in subjects
        )
    )


@dataclass(frozen=True)
class Fed:
    """A lake that took the feeds of a run in two waves."""

    plan: Plan
    catalog: Catalog
    #: rows by feed, hour and kind after what was on time
    first: Counts

    def query(self, sql: str, table: str = "bronze.player_events") -> list[tuple[Any, ...]]:
        with connect(self.catalog) as connection:
            relation = relation_sql(self.catalog.load_table(table))
            return connection.execute(sql.format(f"({relation})")).fetchall()

    def deliveries(self) -> dict[str, Delivery]:
        return {d.key: d for d in read_ledger(self.catalog).values()}


def rows_of(catalog: Catalog) -> Counts:
    """Count distinct rows by feed, hour and kind."""
    counts: Counts = {}
    with connect(catalog) as connection:
        for table, kind in KINDS.items():
            found = connection.execute(
                f"select source, date_trunc('hour', event_time), {kind}, count(distinct row_key) "
                f"from ({relation_sql(catalog.load_table(table))}) group by all"
            ).fetchall()
            counts.update({(feed, hour, what): n for feed, hour, what, n in found})
    return counts


@pytest.fixture(scope="module")
def fed(tmp_path_factory) -> Fed:
    home = tmp_path_factory.mktemp("fed")
    plan = simulate(Scenario(7, START, 4, 8_000, frozenset(), feeds=True))
    catalog = open_catalog(load_settings({}, home=home))
    ensure_all(catalog)
    sources = load_sources(EXAMPLES)

    def ingest() -> None:
        for record in FEEDS:
            Ingest(
                catalog=catalog,
                landing=FolderLanding(home / "landing"),
                sources={n: sources[n] for n in NAMES},
                record=record,
                audit=passes,
                protection=Protection(Keyring.of(b"a key of the tests")),
                now=START + timedelta(days=3),
            ).run()

    plan.deliver(home / "landing", None, plan.on_time_until)
    ingest()
    first = rows_of(catalog)
    plan.deliver(home / "landing", plan.on_time_until, plan.last_arrival_at)
    ingest()
    return Fed(plan, catalog, first)


@pytest.fixture(scope="module")
def said(fed) -> list[Arrival]:
    return [a for a in fed.plan.arrivals if a.feed in NAMES]


def test_rows_by_type_and_hour_equal_the_truth(fed):
    truth = {(r["feed"], r["hour"], r["kind"]): r["rows"] for r in fed.plan.feeds.rows.to_pylist()}
    assert rows_of(fed.catalog) == truth
    kinds = {kind for feed, _, kind in truth if feed in ("player_beacons", "cmcd_events")}
    assert kinds >= {
        "playbackRequest", "playbackStart", "playbackStall", "playbackFinish", "heartbeat",
        "renditionChange",
    }  # fmt: skip


def test_what_was_late_was_missing_and_nothing_else(fed, said):
    late = [a for a in said if a.at > fed.plan.on_time_until]
    assert {a.feed for a in late} == set(NAMES)
    now = rows_of(fed.catalog)
    missing: Counter[str] = Counter()
    for at, count in now.items():
        missing[at[0]] += count - fed.first.get(at, 0)
    assert all(0 < missing[a.feed] <= a.counts.good for a in late)


def test_every_line_is_accounted_for_and_a_second_name_adds_nothing(fed, said):
    found = fed.deliveries()
    assert found.keys() == {a.key for a in said}
    states = {a.key: "duplicate" if a.same_content_as else "loaded" for a in said}
    assert {k: d.state for k, d in found.items()} == states
    for one in said:
        d = found[one.key]
        assert (d.lines, d.accepted, d.rejected) == (one.counts.good, one.counts.good, 0)
        assert d.unknown_fields == ()
    loaded = sum(a.counts.good for a in said if not a.same_content_as)
    rows = sum(fed.query("select count(*) from {}", table)[0][0] for table in KINDS)
    assert rows == loaded
    again = rows - sum(rows_of(fed.catalog).values())
    assert again > 0, "players send some beacons again"


def test_startups_stalls_and_failures_equal_the_truth(fed):
    """Stalls are timed by the instants of events, which both feeds have."""
    found = fed.query(
        "with events as (select distinct on (row_key) * from {}), "
        "told as (select *, lag(event_type) over w as before, "
        "  event_time - lag(event_time) over w as since from events "
        "  where event_type in ('playbackRequest', 'playbackStart', 'playbackStall', "
        "  'playbackFinish', 'playbackFail') window w as (partition by session_id "
        "  order by event_time, event_type = 'playbackFinish')) "
        "select source, session_id, min(event_time), max(startup_ms), "
        "count(*) filter (event_type = 'playbackStall'), "
        "cast(coalesce(sum(epoch_ms(since)) filter (before = 'playbackStall'), 0) as bigint), "
        "bool_or(event_type = 'playbackFail') from told group by all"
    )
    truth = [tuple(r.values()) for r in fed.plan.feeds.sessions.to_pylist()]
    assert sorted(found, key=str) == sorted(truth, key=str)
    assert sum(r[4] for r in truth) >= 10
    assert any(r[6] for r in truth)
    assert {r[0] for r in truth} == {"player_beacons", "cmcd_events"}


def test_reports_of_cmcd_stray_in_nothing_from_the_specification(fed):
    (strays,) = fed.query(
        "select count(*) filter (cmcd_deviations is not null), count(*) from {} "
        "where source = 'cmcd_events'"
    )
    assert strays[0] == 0
    assert strays[1] > 100
