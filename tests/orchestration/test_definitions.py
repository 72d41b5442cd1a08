"""What Dagster shows: names, groups, owners, checks and limits; and what loading it touches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from lake.marts import marts_of
from lake.records import LANDED
from lake.settings import PACKAGED_SOURCES
from orchestration.build import build_defs
from orchestration.resources import Clock, Lake
from orchestration.settings import PROJECT, tool

BILLING_STEPS = (
    "completeness",
    "days",
    "direct",
    "lines",
    "months",
    "narrowed",
    "quantities",
    "ranked",
    "reach",
    "samples",
    "slots",
    "stream_usage",
    "streams",
    "traffic",
    "usage",
    "usage_lines",
    "volumes",
    "ways",
)
ASSETS = {
    "landing": ["landing/cloudflare", "landing/cloudfront", "landing/rec_events"],
    "bronze": ["bronze/cdn_requests", "bronze/rec_events"],
    "feeds": [
        "bronze/creators",
        "bronze/experiment_assignments",
        "bronze/items",
        "bronze/player_events",
    ],
    "counters": [
        "bronze/capacities",
        "bronze/producer_rosters",
        "bronze/vendor_invoices",
        "bronze/vendor_usage",
    ],
    "ops": ["ops/check_results", "ops/deliveries", "ops/refreshes", "ops/rejects", "ops/releases"],
    "contracts": ["contracts/price_contracts"],
    "staging": [
        *(f"intermediate/int_billing__{step}" for step in BILLING_STEPS),
        "intermediate/int_cdn__duplicates_hourly",
        "intermediate/int_cdn__traffic_5m",
        "intermediate/int_rec__duplicates_hourly",
        "staging/stg_cdn__requests",
        "staging/stg_rec__events",
    ],
    "marts_metrics": [
        "marts/engagement_hourly",
        "marts/pop_headroom_hourly",
        "marts/qos_5m",
        "marts/qos_buckets_5m",
        "marts/qos_buckets_daily",
        "marts/qos_buckets_hourly",
        "marts/qos_daily",
        "marts/qos_hops_hourly",
        "marts/qos_hourly",
        "marts/qos_places_hourly",
        "marts/qos_pops_daily",
        "marts/rosetta_hourly",
        "marts/streams_hourly",
        "marts/traffic_5m",
        "marts/ttfb_buckets_hourly",
    ],
    "marts_billing": [
        "marts/bill_allocations",
        "marts/bill_lines",
        "marts/bills",
        "marts/unit_costs",
        "marts/usage_monthly",
        "marts/what_ifs",
    ],
    "gold": [
        "gold/bill_allocations",
        "gold/bill_lines",
        "gold/bills",
        "gold/engagement_hourly",
        "gold/pop_headroom_hourly",
        "gold/qos_5m",
        "gold/qos_buckets_5m",
        "gold/qos_buckets_daily",
        "gold/qos_buckets_hourly",
        "gold/qos_daily",
        "gold/qos_hops_hourly",
        "gold/qos_hourly",
        "gold/qos_places_hourly",
        "gold/qos_pops_daily",
        "gold/rosetta_hourly",
        "gold/streams_hourly",
        "gold/traffic_5m",
        "gold/ttfb_buckets_hourly",
        "gold/unit_costs",
        "gold/usage_monthly",
        "gold/what_ifs",
    ],
    "maintenance": [
        "maintenance/catalog_backup",
        "maintenance/orphans",
        "maintenance/tables",
    ],
}
MARTS = ASSETS["marts_metrics"] + ASSETS["marts_billing"]


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> AssetGraph:
    return defs.get_repository_def().asset_graph


def jobs(defs: dg.Definitions) -> dict[str, dg.JobDefinition]:
    found = {j.name: j for j in defs.get_repository_def().get_all_jobs()}
    found.pop("__ASSET_JOB")  # Dagster's own, for materializing by hand
    return found


def test_assets_and_their_groups_are_these(graph: AssetGraph) -> None:
    found: dict[str, list[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(str(graph.get(key).group_name), []).append(key.to_user_string())

    assert {group: sorted(keys) for group, keys in found.items()} == ASSETS


def test_every_asset_has_an_owner_and_a_description(graph: AssetGraph) -> None:
    nodes = [graph.get(k) for k in graph.get_all_asset_keys()]

    assert [n.key.to_user_string() for n in nodes if not n.owners or not n.description] == []


def test_every_owner_is_a_team(graph: AssetGraph) -> None:
    owners = {o for k in graph.get_all_asset_keys() for o in graph.get(k).owners}

    assert owners == {"team:data", "team:delivery", "team:finance", "team:recommendation"}


def test_what_would_publish_something_wrong_is_blocked_by_a_check(graph: AssetGraph) -> None:
    blocking = {
        f"{k.asset_key.to_user_string()} {k.name}"
        for k in graph.asset_check_keys
        if graph.get(k).blocking
    }

    assert blocking >= {f"{mart} expectations" for mart in MARTS}
    assert blocking >= {f"{b} lines_accounted" for b in ASSETS["bronze"]}


def test_what_only_reports_does_not_block(graph: AssetGraph) -> None:
    reporting = {
        f"{k.asset_key.to_user_string()} {k.name}"
        for k in graph.asset_check_keys
        if not graph.get(k).blocking and k.asset_key.path[0] != "marts"  # dbt's own warnings
    }

    assert reporting == {
        "bronze/cdn_requests deliveries_audited",
        "bronze/cdn_requests events_fresh",
        "bronze/rec_events deliveries_audited",
        "bronze/rec_events events_fresh",
        "gold/traffic_5m hours_fresh",
    }


def test_jobs_sensors_and_schedules_are_these(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()

    assert set(jobs(defs)) == {
        "back_up_catalog",
        "freshness",
        "ingest",
        "maintain",
        "refresh_billing",
        "refresh_delivery",
        "refresh_engagement",
        "refresh_rollup",
        "sweep_orphans",
    }
    assert {s.name for s in repository.sensor_defs} == {
        "new_deliveries",
        "stale_billing",
        "stale_delivery",
        "stale_engagement",
        "stale_rollup",
    }
    assert {s.name: s.cron_schedule for s in repository.schedule_defs} == {
        "ingest_hourly": "7 * * * *",
        "freshness_every_15_minutes": "*/15 * * * *",
        "maintain_hourly": "23 * * * *",
        "sweep_orphans_daily": "41 3 * * *",
        "back_up_catalog_daily": "11 2 * * *",
    }


def test_every_job_ends_some_day(defs: dg.Definitions) -> None:
    assert {j.tags.get("dagster/max_runtime") for j in jobs(defs).values()} == {"3600"}


def test_sensors_run_without_being_switched_on(defs: dg.Definitions) -> None:
    statuses = {s.default_status for s in defs.get_repository_def().sensor_defs}

    assert statuses == {dg.DefaultSensorStatus.RUNNING}


def test_maintenance_runs_without_being_switched_on(defs: dg.Definitions) -> None:
    schedules = {s.name: s for s in defs.get_repository_def().schedule_defs}

    for name in ("maintain_hourly", "sweep_orphans_daily", "back_up_catalog_daily"):
        assert schedules[name].default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_refresh_builds_audits_and_publishes_its_own_family_only(defs: dg.Definitions) -> None:
    selected = {
        name: {k.to_user_string() for k in job.asset_layer.executable_asset_keys}
        for name, job in jobs(defs).items()
        if name.startswith("refresh_")
    }

    assert {k for k in selected["refresh_delivery"] if k.startswith("gold/")} == {
        "gold/traffic_5m",
        "gold/qos_hourly",
        "gold/ttfb_buckets_hourly",
        "gold/pop_headroom_hourly",
        "gold/qos_5m",
        "gold/qos_buckets_5m",
        "gold/qos_buckets_hourly",
        "gold/qos_hops_hourly",
        "gold/qos_places_hourly",
        "gold/rosetta_hourly",
        "gold/streams_hourly",
    }
    assert selected["refresh_rollup"] == {
        f"{layer}/{mart}"
        for layer in ("marts", "gold")
        for mart in ("qos_daily", "qos_pops_daily", "qos_buckets_daily")
    }
    assert selected["refresh_billing"] == {
        f"{layer}/{mart.name}" for layer in ("marts", "gold") for mart in marts_of("billing")
    } | {f"intermediate/int_billing__{step}" for step in BILLING_STEPS}
    for keys in selected.values():
        assert not [k for k in keys if k.startswith(("bronze/", "landing/"))]


def test_a_refresh_runs_the_expectations_between_build_and_publication(
    defs: dg.Definitions,
) -> None:
    for family in ("delivery", "rollup", "engagement", "billing"):
        steps = [n.name for n in jobs(defs)[f"refresh_{family}"].nodes_in_topological_order]

        order = [f"{family}_models", f"{family}_expectations", f"publish_{family}"]
        assert [s for s in steps if s in order] == order


def test_one_writer_at_a_time_touches_the_build_file(defs: dg.Definitions) -> None:
    pools = {
        node.name: sorted(node.definition.pools)
        for name, job in jobs(defs).items()
        if name.startswith("refresh_")
        for node in job.nodes
    }

    assert set(map(tuple, pools.values())) == {("duckdb_writer",)}


def test_resources_can_be_overridden(tmp_path: Path) -> None:
    made = build_defs({"lake": Lake(home=str(tmp_path)), "clock": Clock(fixed="2026-11-16T00:00Z")})

    assert made.resources is not None
    assert made.resources["lake"].home == str(tmp_path)


LOAD = """
import socket, sys
def refuse(*_args, **_kwargs):
    raise AssertionError("the network was touched")
socket.socket.connect = refuse
from lake.marts import marts_of
from orchestration.build import build_defs
build_defs().get_repository_def()
print("great_expectations" in sys.modules)
"""


def test_loading_touches_no_catalog_no_landing_no_secret_and_no_network(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "DAGSTER_"))},
        "WEIR_HOME": str(home),
        "WEIR_CATALOG_URI": "postgresql://nobody@127.0.0.1:1/none",
        "WEIR_LANDING": str(tmp_path / "landing"),
    }

    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["False"]
    assert not home.exists()
    assert not (tmp_path / "landing").exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("check", "defs"), ("list", "defs", "--json")])
def test_dg_loads_the_project(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [tool("dg"), *arguments],
        cwd=PROJECT,
        env={**os.environ, "WEIR_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    if "list" in arguments:
        listed = json.loads(done.stdout)
        assert {a["asset_key"] for a in listed["assets"]} >= set(ASSETS["gold"])
    assert not (tmp_path / "home").exists()


def test_counters_that_a_source_feeds_are_ingested_like_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (PACKAGED_SOURCES, PACKAGED_SOURCES / "counters", PROJECT / "docs/sources"):
        for source in file.glob("*.yaml"):
            (tmp_path / source.name).write_text(source.read_text(encoding="utf-8"))
    monkeypatch.setenv("WEIR_SOURCES", str(tmp_path))
    defs = build_defs()

    ingested = {k.to_user_string() for k in jobs(defs)["ingest"].asset_layer.executable_asset_keys}
    assert ingested == {r.identifier.replace(".", "/") for r in LANDED}
