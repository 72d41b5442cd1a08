"""One run of the data plane, as a process that can be killed: ingest, build, publish, release.

The build is a few SQL statements in place of dbt: enough rows in each mart to tell hours apart.
Its jobs are started by warm.py.
"""

from __future__ import annotations

import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import duckdb

import lake.ingest
import lake.publish
from lake.audit import AuditReport, CheckResult
from lake.catalog import ensure_all, open_catalog, table_of
from lake.commit import complete_pending
from lake.ingest import Ingest
from lake.landing import FolderLanding, open_landing
from lake.ledger import Ledger
from lake.maintenance.backup import back_up
from lake.maintenance.policy import load_policy
from lake.maintenance.recovery import rebuild
from lake.maintenance.run import upkeep
from lake.maintenance.sweep import sweep
from lake.marts import marts_of
from lake.publish import publish_partitions, release
from lake.reads import relation_sql
from lake.records import BRONZE, DELIVERIES
from lake.replay import Replay
from lake.selection import Selection
from lake.settings import PACKAGED_SOURCES, load_settings
from lake.source import load_sources
from lake.versions import hour_versions, read_refreshes, stale

MARTS = {
    "traffic_5m": "select time_bucket(interval 5 minute, event_time) as slot_start, cdn, "
    "count(distinct row_key) as requests from cdn group by all",
    "qos_hourly": "select date_trunc('hour', event_time) as hour, status, "
    "count(distinct row_key) as requests from cdn group by all",
    "ttfb_buckets_hourly": "select date_trunc('hour', event_time) as hour, ttfb_ms, "
    "count(distinct row_key) as requests from cdn group by all",
    "engagement_hourly": "select date_trunc('hour', event_time) as hour, event_type, "
    "count(distinct row_key) as events from rec group by all",
}


def some_marts(family):
    """Return the marts that are made here; the others go out by the same steps."""
    return [m for m in marts_of(family) if m.name in MARTS]


def audit(subjects):
    """Hold every delivery whose name has a word in it."""
    return AuditReport(
        tuple(
            CheckResult(
                "delivery", "tests", "word", s.delivery_id, "critical",
                "hold" not in s.key, s.key, "no such word",
            )
            for s in subjects
        )
    )  # fmt: skip


def build(catalog, build_file: Path) -> None:
    """Write every mart from bronze."""
    build_file.unlink(missing_ok=True)
    with duckdb.connect(str(build_file)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, record in zip(("cdn", "rec"), BRONZE, strict=True):
            rows = relation_sql(catalog.load_table(record.identifier))
            connection.execute(f"create temp view {name} as {rows}")
        connection.execute("create schema marts")
        for name, query in MARTS.items():
            connection.execute(f"create table marts.{name} as {query}")


def run(home: Path, now: datetime) -> None:
    """Do everything that is due."""
    settings = load_settings({}, home=home)
    catalog = open_catalog(settings)
    ensure_all(catalog)
    for record in BRONZE:
        Ingest(
            catalog=catalog,
            landing=FolderLanding(settings.landing),
            sources=load_sources(PACKAGED_SOURCES),
            record=record,
            audit=audit,
            protection=settings.protection(),
            now=now,
        ).run()
    with Ledger(table_of(catalog, DELIVERIES)) as ledger:
        current, done = hour_versions(ledger), read_refreshes(catalog)
    complete_pending(catalog)
    due = {f: stale(current, done, f) for f in ("delivery", "engagement")}
    if any(due.values()):
        build(catalog, settings.build_file)
    for family, passed in due.items():
        if passed:
            run_id = f"{family}-{now:%H%M%S}"
            with patch.object(lake.publish, "marts_of", some_marts):
                publish_partitions(catalog, settings.build_file, family, passed, {}, run_id, now)
    release(catalog, settings.serving_file, f"refresh-{now:%H%M%S}", now)


def maintain(home: str, now: str) -> None:
    """Do everything that maintenance does, with a policy that finds something to do."""
    settings, at = load_settings({}, home=Path(home)), datetime.fromisoformat(now)
    catalog = open_catalog(settings)
    policy = load_policy()
    changed = {"min_files": 3, "keep_snapshots": 1, "max_manifests": 1}
    policy = policy.model_copy(
        update={
            "defaults": policy.defaults.model_copy(update=changed),
            "tables": {name: {**own, **changed} for name, own in policy.tables.items()},
        }
    )
    upkeep(catalog, policy, at, serving_file=settings.serving_file)
    for moment in (at, at + policy.reader_grace):
        sweep(catalog, policy, str(settings.landing), moment)
    back_up(catalog, 2, at)


def rebuild_catalog(home: str) -> None:
    """Build a lost catalog again."""
    rebuild(open_catalog(load_settings({}, home=Path(home))))


def feeds(stray: str):
    """Return the packaged sources; stray: how far events may lie outside the period of a file."""
    sources = dict(load_sources(PACKAGED_SOURCES))
    source = sources["rec_events"]
    far = timedelta(minutes=int(stray))
    period = source.period.model_copy(update={"early": far, "late": far})
    return {**sources, "rec_events": source.model_copy(update={"period": period})}


def once(settings, stray: str, now: datetime, *, replays: bool) -> int:
    """Ingest what is new and, where asked, read again what has rejects; return the changes."""
    catalog = open_catalog(settings)
    ensure_all(catalog)
    changes = 0
    for record in BRONZE:
        given = {
            "catalog": catalog,
            "landing": open_landing(settings),
            "sources": feeds(stray),
            "record": record,
            "audit": audit,
            "protection": settings.protection(),
            "now": now,
        }
        changes += len(Ingest(**given).run().changes)
        if replays:
            changes += len(Replay(**given).run(Selection()).changes)
    return changes


def keep_going(home: str, stray: str, seed: int) -> None:
    """Ingest and replay in small batches until killed, or until a file says stop."""
    lake.ingest.BATCH_DELIVERIES = 3
    settings = load_settings(home=Path(home))
    rng = random.Random(seed)
    while not (Path(home) / "stop").exists():
        once(settings, stray, datetime.now(UTC), replays=rng.random() < 0.3)


def ingest_once(home: str, stray: str = "5") -> None:
    """Ingest what is new."""
    once(load_settings(home=Path(home)), stray, datetime.now(UTC), replays=False)


def go(home: str, now: str) -> None:
    """Do everything that is due, as a process that a service manager asks to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run(Path(home), datetime.fromisoformat(now))
