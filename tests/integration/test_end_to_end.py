"""Simulated traffic through the whole job, beside the truth of what was delivered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner

from lake.publish import MARTS, last_release
from lake.reads import create_views
from lake.records import RECORDS
from orchestration.cli import app
from orchestration.commands.demo_figures import PERCENTILES
from orchestration.commands.truth import Truth
from orchestration.partitions import starts_between


@pytest.fixture(scope="module")
def truth(undisturbed: Any) -> Iterator[Truth]:
    weir = undisturbed.weir
    shown = last_release(weir.catalog)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        create_views(connection, weir.catalog, RECORDS)
        create_views(connection, weir.catalog, [m.gold for m in MARTS], shown.marts)
        yield Truth(connection, weir.settings.home / "truth")


def test_every_figure_is_the_truth_of_what_was_delivered(truth: Truth) -> None:
    checks = truth.checks()

    assert {c.name: c.difference for c in checks if c.difference != 0} == {}
    groups = {c.group for c in checks}
    assert groups == {"lines", "traffic", "qos", "engagement", "usage", "bill", "places"}
    assert sum(c.truth != 0 for c in checks) > len(checks) / 2


def test_every_percentile_is_within_its_stated_error(truth: Truth) -> None:
    estimates = truth.estimates(PERCENTILES)

    assert estimates
    assert [e.name for e in estimates if not e.is_within] == []


def test_every_run_ended_well(undisturbed: Any) -> None:
    assert [r for r in (*undisturbed.first, *undisturbed.second) if not r.is_success] == []


def test_the_same_landing_again_makes_no_run_and_no_snapshot(undisturbed: Any) -> None:
    assert undisturbed.repeat == []
    assert undisturbed.rewritten == set()


def test_no_run_is_left_pending(undisturbed: Any) -> None:
    with undisturbed.weir.instance() as instance:
        statuses = {r.status for r in instance.get_runs()}

    assert statuses == {dg.DagsterRunStatus.SUCCESS}


def partitions_of(outcomes: list[Any], family: str) -> set[tuple[str, datetime]]:
    found = set()
    for outcome in outcomes:
        if outcome.job_name == f"refresh_{family}":
            first, _, last = outcome.partitions.partition(" .. ")
            found |= {(family, s) for s in starts_between(family, first, last or first)}
    return found


@pytest.mark.parametrize("family", ["delivery", "engagement"])
def test_the_second_wave_refreshes_exactly_the_hours_whose_input_changed(
    undisturbed: Any, family: str
) -> None:
    changed = {p for p in undisturbed.changed if p[0] == family}

    assert partitions_of(undisturbed.second, family) == changed


def test_run_tags_name_exactly_the_partitions_that_the_run_recorded(undisturbed: Any) -> None:
    weir = undisturbed.weir
    outcomes = [r for r in (*undisturbed.first, *undisturbed.second) if r.job_name != "ingest"]
    recorded: dict[str, set[datetime]] = {}
    for run_id, start in weir.query(
        "select refresh_id, partition_start from {ops_refreshes} where outcome = 'published'"
    ):
        recorded.setdefault(run_id, set()).add(start)

    named = {
        o.run_id: {s for _, s in partitions_of([o], o.job_name.removeprefix("refresh_"))}
        for o in outcomes
    }
    assert recorded == named


def test_dagster_shows_each_partition_of_gold_as_materialized(undisturbed: Any) -> None:
    weir = undisturbed.weir
    published = {
        family: {
            s.strftime("%Y-%m-%d" if family in ("billing", "rollup") else "%Y-%m-%d-%H:%M")
            for s in starts
        }
        for family, starts in weir.query(
            "select family, list(distinct partition_start) from {ops_refreshes} group by 1"
        )
    }
    with weir.instance() as instance:
        for mart in MARTS:
            key = dg.AssetKey(["gold", mart.name])
            assert instance.get_materialized_partitions(key) == published[mart.family]


def test_readers_see_all_marts_of_the_last_release(undisturbed: Any) -> None:
    weir = undisturbed.weir
    with duckdb.connect(str(weir.settings.serving_file), read_only=True) as serving:
        serving.execute("set TimeZone = 'UTC'")
        served = {m.gold: serving.sql(f"from {m.gold} order by all").fetchall() for m in MARTS}

    assert served == weir.gold()


def test_status_and_sql_answer_from_the_same_lake(undisturbed: Any) -> None:
    home = str(undisturbed.weir.settings.home)
    runner = CliRunner()

    status = json.loads(runner.invoke(app, ["status", "--json", "--dir", home]).stdout)
    asked = runner.invoke(
        app, ["sql", "select count(*) as n from gold.traffic_5m", "--json", "--dir", home]
    )

    assert {f: s["partitions"] for f, s in status["stale"].items()} == {
        "delivery": 0,
        "rollup": 0,
        "engagement": 0,
        "billing": 0,
    }
    assert status["release"]["release_no"] == last_release(undisturbed.weir.catalog).release_no
    assert json.loads(asked.stdout) == [{"n": len(undisturbed.weir.gold()["gold.traffic_5m"])}]
