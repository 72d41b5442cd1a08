"""Each Dagster check of deliveries and freshness, passing and failing."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from lake.ingest import IngestReport
from lake.publish import MARTS, marts_of, publish_partitions, release
from lake.reads import relation_sql
from lake.records import BRONZE, CHECK_RESULTS
from lake.settings import LakeSettings
from lake.versions import Family, Stale
from orchestration import resources
from orchestration.build import build_defs
from orchestration.operations import open_lake, run_ingest
from orchestration.resources import Clock, Lake
from simulator import Plan

END = datetime.fromisoformat("2026-11-16T03:00:00+00:00")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
EVENTS = [dg.AssetCheckKey(dg.AssetKey([r.namespace, r.name]), "events_fresh") for r in BRONZE]
HOURS = dg.AssetCheckKey(dg.AssetKey(["gold", "traffic_5m"]), "hours_fresh")


def late_in(evaluations: list[Any]) -> set[str]:
    return {text.split(":")[0] for e in evaluations for text in e.metadata["late"].value}


def sla_rows(home: Any, at: datetime) -> list[tuple[str, bool]]:
    table = home.catalog.load_table(CHECK_RESULTS.identifier)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(
            f"select subject, is_passed from ({relation_sql(table)}) where layer = 'sla' "
            "and checked_at = $at order by all",
            {"at": at},
        ).fetchall()


def test_events_are_fresh_when_the_last_file_just_came(filled: Any) -> None:
    found = filled.run_checks(*EVENTS, at=END)

    assert [e.passed for e in found] == [True, True]
    assert sla_rows(filled, END) == [
        ("cloudflare", True),
        ("cloudfront", True),
        ("rec_events", True),
    ]


def test_events_are_late_hours_later_and_the_feeds_are_named(filled: Any) -> None:
    later = END + timedelta(hours=4)

    found = filled.run_checks(*EVENTS, at=later)

    assert [e.passed for e in found] == [False, False]
    assert {e.severity for e in found} == {dg.AssetCheckSeverity.ERROR}
    assert late_in(found) == {"cloudflare", "cloudfront", "rec_events"}
    assert sla_rows(filled, later) == [
        ("cloudflare", False),
        ("cloudfront", False),
        ("rec_events", False),
    ]


def test_each_feed_is_held_to_its_own_objective(filled: Any) -> None:
    found = filled.run_checks(*EVENTS, at=END + timedelta(minutes=45))

    assert late_in(found) == {"cloudflare"}


def test_a_feed_that_never_delivered_is_late(home: Any) -> None:
    found = home.run_checks(*EVENTS, at=END)

    assert [e.passed for e in found] == [False, False]
    assert all("never delivered" in str(e.metadata["late"].value) for e in found)


def test_marts_that_were_never_released_are_late(home: Any) -> None:
    (found,) = home.run_checks(HOURS, at=END)

    assert not found.passed
    assert late_in([found]) == {m.gold for m in MARTS if m.unit == "hour"}


def publish_hour(settings: LakeSettings, hour: datetime) -> None:
    """Publish and release one row of an hour in every hourly mart."""
    catalog = open_lake(settings)
    families: tuple[Family, ...] = ("delivery", "engagement")
    with duckdb.connect(str(settings.build_file)) as build:
        build.execute("create schema if not exists marts")
        for family in families:
            for mart in marts_of(family):
                build.execute(
                    f"create or replace table {mart.build} as "
                    f"select timestamptz '{hour.isoformat()}' as {mart.partition_by}, 1 as n"
                )
    for family in families:
        passed = [Stale(family, hour, "v", 0)]
        publish_partitions(catalog, settings.build_file, family, passed, {}, "run", END)
    release(catalog, settings.serving_file, "run", END)


def test_the_newest_released_hour_of_every_mart_is_judged(home: Any) -> None:
    home.settings.home.mkdir(parents=True)
    publish_hour(home.settings, END - timedelta(hours=1))

    (fresh,) = home.run_checks(HOURS, at=END)
    (late,) = home.run_checks(HOURS, at=END + timedelta(hours=3))

    assert fresh.passed
    assert fresh.metadata["judged"].value == sum(m.unit == "hour" for m in MARTS)
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.ERROR
    assert "gold.traffic_5m: expected between -5 and 180 min old, found 240.00 min old" in (
        late.metadata["late"].value
    )


def run_ingest_job(home: Any) -> dg.ExecuteInProcessResult:
    given = {"lake": Lake(home=str(home.path)), "clock": Clock(fixed=END.isoformat())}
    job = build_defs(given).get_repository_def().get_job("ingest")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def evaluations(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    return {
        e.asset_key.to_user_string(): e
        for e in result.get_asset_check_evaluations()
        if e.check_name == name
    }


def test_an_ingest_without_trouble_passes_its_checks(home: Any, traffic: Plan) -> None:
    home.deliver(traffic)

    result = run_ingest_job(home)

    assert result.success
    assert [e.passed for e in result.get_asset_check_evaluations()] == [True] * 4


def test_lines_that_are_not_accounted_for_fail_the_ingest(
    home: Any, traffic: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_a_line(*arguments: Any) -> IngestReport:
        report = run_ingest(*arguments)
        first, *others = report.changes
        return replace(report, changes=(replace(first, lines=(first.lines or 0) + 1), *others))

    monkeypatch.setattr(resources, "run_ingest", lose_a_line)
    home.deliver(traffic)

    result = run_ingest_job(home)

    found = evaluations(result, "lines_accounted")
    assert not result.success
    assert {k: e.passed for k, e in found.items()} == {
        "bronze/cdn_requests": False,
        "bronze/rec_events": False,
    }
    assert len(found["bronze/rec_events"].metadata["wrong"].value) == 1


def test_a_held_delivery_warns_and_does_not_fail_the_ingest(home: Any, traffic: Plan) -> None:
    one, other = [a for a in traffic.arrivals if a.feed == "cloudflare"][:2]
    good = gzip.decompress(one.data)
    home.land(one.key, gzip.compress(good + b"garbage\n" * 40))
    home.land(other.key, other.data)

    result = run_ingest_job(home)

    found = evaluations(result, "deliveries_audited")["bronze/cdn_requests"]
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    (reason,) = found.metadata["held"].value.values()
    assert reason.startswith("rejected_share_is_low")
    assert evaluations(result, "lines_accounted")["bronze/cdn_requests"].passed
