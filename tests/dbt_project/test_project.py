"""The project itself: its plugin, its plan, its descriptions, where it can be called from."""

import datetime as dt
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from dagster import AssetExecutionContext
from dagster_dbt import dbt_assets
from dbt.cli.main import dbtRunner
from hypothesis import given
from hypothesis import strategies as st

from lake import build_views
from lake.build_views import SOURCES
from lake.reads import pins_of

from .conftest import PROJECT, at, hour, message_of, request


@pytest.fixture
def plan(tmp_path, monkeypatch):
    def write(**content):
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(content))
        monkeypatch.setenv("WEIR_BUILD_PLAN", str(file))

    return write


def test_a_build_sees_the_pinned_snapshot_and_the_planned_hours(weir, plan):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    pins = pins_of(weir.catalog, ["bronze.cdn_requests"])
    weir.deliver(request("c", "00:40"))
    plan(pins=pins, hours=[hour(0)])
    weir.build("tag:delivery", hours=[hour(0)])
    assert weir.rows("select hour(slot_start), requests from marts.traffic_5m") == [(0, 1)]
    # files of the other hour are not even opened
    (view,) = weir.rows("select sql from duckdb_views() where view_name = 'cdn_requests'")
    assert view[0].count(".parquet") == 1
    plan(pins={"bronze.cdn_requests": None}, hours=[])
    weir.build("tag:delivery")
    assert weir.rows("select count(*) from marts.traffic_5m") == [(0,)]


def test_hours_that_the_plan_does_not_show_are_refused_before_anything_is_emptied(weir, plan):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    weir.build("tag:delivery")
    plan(hours=[hour(0)])
    result = weir.run("tag:delivery", hours=[hour(0), hour(1)])
    assert not result.success
    assert "asks for 2026-11-16 01:00:00+00:00 as well, which would be emptied" in message_of(
        result
    )
    assert weir.rows("select sum(requests) from marts.traffic_5m") == [(2,)]


def test_the_plan_alone_says_what_is_rebuilt(weir, plan):
    weir.deliver(request("a", "00:30"), request("b", "01:30"), request("c", "02:30"))
    plan(hours=[hour(2), hour(0)])
    weir.build("tag:delivery")
    assert weir.rows("select hour(hour) from marts.qos_hourly order by 1") == [(0,), (2,)]
    # a variable asks for less than the plan; other hours stay
    weir.catalog.purge_table("bronze.cdn_requests")
    weir.build("tag:delivery", hours=[hour(2)])
    assert weir.rows("select hour(hour) from marts.qos_hourly") == [(0,)]
    # unit tests have rows of their own, whatever the plan asks for
    result = weir.invoke("build", "--select", "tag:delivery")
    assert result.success, message_of(result)


def test_the_plan_names_months_as_well(weir, plan):
    slots = [dt.datetime(2026, month, 28, tzinfo=dt.UTC) for month in (1, 2, 3, 12)]
    weir.publish_traffic([{"slot_start": slot, "bytes": 10**9} for slot in slots])
    plan(months=["2026-12-01", "2026-02-01", "2026-03-01"])
    weir.build("tag:billing")
    months = "select distinct month(month) from marts.bills order by 1"
    assert weir.rows(months) == [(2,), (3,), (12,)]
    weir.build("tag:billing", months=["2026-01-01"])
    assert weir.rows("select count(distinct month) from marts.bills") == [(4,)]


def test_another_plan_needs_no_new_parse(tmp_path, monkeypatch):
    """One home, one name of the plan, no variables: the project is parsed once."""
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    monkeypatch.setenv("WEIR_BUILD_PLAN", str(tmp_path / "builds" / "plan.json"))
    (tmp_path / "builds").mkdir()
    paths = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    paths += ["--target-path", str(tmp_path / "dbt"), "--log-path", str(tmp_path / "dbt")]
    said = []
    for number in range(2):
        (tmp_path / "builds" / "plan.json").write_text(json.dumps({"hours": [hour(number)]}))
        result = dbtRunner(callbacks=[lambda event: said.append(event.info.name)]).invoke(
            ["--quiet", "ls", *paths]
        )
        assert result.success, result.exception
    assert said.count("PartialParsingNotEnabled") == 0
    assert said.count("UnableToPartialParse") == 1  # the first: nothing was parsed yet


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"pins": {"a": "x"}}',
        '{"hours": ["2026-11-16T00:30:00+00:00"]}',
        '{"hours": ["2026-11-16T00:00:00"]}',
        '{"months": ["2026-11-16"]}',
        '{"months": ["2026-11-01T00:00:00+00:00"]}',
        '{"months": [11]}',
        '{"selects": ["bronze.cdn_requests"]}',
    ],
)
def test_a_plan_that_is_none_is_refused(lake_plugin, tmp_path, content):
    file = tmp_path / "plan.json"
    file.write_text(content)
    with pytest.raises(lake_plugin.BuildPlanError, match=r"build plan .*plan\.json"):
        lake_plugin.read_plan(str(file))


@given(st.sets(st.integers(0, 3000), min_size=1, max_size=300), st.integers(1, 50))
def test_few_ranges_cover_every_planned_hour(numbers, most):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    hours = sorted(start + dt.timedelta(hours=n) for n in numbers)
    exact = build_views._ranges(hours)
    assert sum((b - a) / dt.timedelta(hours=1) for a, b in exact) == len(hours)
    covering = build_views._covering(exact, most)
    assert len(covering) == min(most, len(exact))
    assert all(any(a <= h < b for a, b in covering) for h in hours)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(covering))


def test_a_build_file_that_another_process_holds_is_named_with_its_holder_and_the_remedy(weir):
    weir.invoke("run", "--select", "stg_rec__events")
    file = weir.home / "build.duckdb"
    hold = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        result = weir.run("stg_rec__events")
    finally:
        holder.communicate("\n")
    assert not result.success
    said = message_of(result)
    assert f"build file {file} is held by process {holder.pid}" in said
    assert "Wait for the running refresh" in said
    assert "WEIR_BUILD_FILE" in said


def test_a_read_only_connection_keeps_the_views_it_has(weir, lake_plugin):
    weir.invoke("run", "--select", "stg_rec__events")
    config = {"home": str(weir.home), "plan": "", "price_contracts": "nowhere"}
    plugin = lake_plugin.Plugin("weir_lake", config)
    with duckdb.connect(str(weir.home / "build.duckdb"), read_only=True) as connection:
        plugin.configure_connection(connection)
        assert connection.execute("select count(*) from bronze.rec_events").fetchall() == [(0,)]


def test_dbt_runs_from_anywhere_and_parse_makes_no_database(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    environment["WEIR_HOME"] = "relative"
    arguments = [
        "--project-dir",
        PROJECT,
        "--profiles-dir",
        PROJECT,
        "--target-path",
        tmp_path / "t",
    ]
    arguments += ["--log-path", tmp_path / "l"]
    dbt = Path(sys.executable).with_name("dbt")

    def call(*verb: str) -> None:
        done = subprocess.run(
            [dbt, "--quiet", *verb, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    call("parse")
    assert not (tmp_path / "relative").exists()
    call("run", "--select", "stg_rec__events")
    assert (tmp_path / "relative" / "build.duckdb").exists()


def test_every_model_and_column_has_a_description(weir, runner):
    weir.invoke("run")
    models = [n for n in runner.manifest.nodes.values() if n.resource_type == "model"]
    assert len(models) == 52
    for model in models:
        assert model.description, model.name
        built = weir.rows(
            "select column_name from information_schema.columns "
            f"where table_schema = '{model.schema}' and table_name = '{model.name}' order by all"
        )
        assert sorted(model.columns) == [name for (name,) in built], model.name
        assert [c.name for c in model.columns.values() if not c.description] == []
    for source in runner.manifest.sources.values():
        assert source.description, source.name
        assert [c.name for c in source.columns.values() if not c.description] == []
    assert all(e.description for e in runner.manifest.exposures.values())


def test_marts_have_contracts_owners_and_versions_of_their_metrics(runner):
    marts = [n for n in runner.manifest.nodes.values() if "marts" in n.fqn]
    models = [n for n in marts if n.resource_type == "model"]
    assert len(models) == 21
    for model in models:
        assert model.config.contract.enforced, model.name
        dagster = model.config.meta["dagster"]
        assert dagster["group"] in ("marts_metrics", "marts_billing")
        assert dagster["owners"][0].startswith("team:")
        assert set(model.tags) & {"delivery", "rollup", "engagement", "billing"}
    versioned = [
        (m.name, c.name)
        for m in models
        for c in m.columns.values()
        if c.data_type in ("bigint", "double")
        and c.name != "asn"  # a number that names, not one that counts
        and "definition_version" not in c.config.meta
    ]
    assert versioned == []


OWNERS = {
    "staging": "team:data",
    "intermediate": "team:data",
    "metrics": "team:delivery",
    "rollup": "team:delivery",
    "billing": "team:finance",
}


def test_dagster_shows_every_test_as_a_check_of_one_model_of_its_family(runner):
    manifest = runner.manifest.writable_manifest().to_dict()
    checks: dict[str, str] = {}
    for family in ("delivery", "rollup", "engagement", "billing"):
        assets = dbt_assets(manifest=manifest, select=f"tag:{family}", name=family)(_build)
        for check in assets.check_specs:
            assert check.name not in checks
            checks[check.name] = check.asset_key.path[-1]
            # a generic test goes with its model; the others bear the tag themselves
            node = _node(manifest, check.name)
            assert node.get("attached_node") or family in node["tags"], check.name
        for key, spec in assets.specs_by_key.items():
            layer, folder = _node(manifest, key.path[-1])["fqn"][-3:-1]
            folder = layer if layer == "intermediate" else folder
            owner = "team:recommendation" if key.path[-1] == "engagement_hourly" else OWNERS[folder]
            assert spec.owners == [owner], key
    # what vendors say themselves is no family yet: no mart reads it, so no run builds it
    counters = {k for k, n in manifest["nodes"].items() if n.get("tags") == ["counters"]}
    tests = [
        n
        for n in manifest["nodes"].values()
        if n["resource_type"] == "test" and n.get("attached_node") not in counters
    ]
    assert set(checks) == {n["name"] for n in tests}
    singular = [n for n in tests if not n.get("attached_node")]
    assert all(n["meta"]["description"] == n["description"] for n in singular)
    assert checks["lines_add_up_to_the_bill"] == "bills"
    assert checks["traffic_is_what_staging_holds"] == "traffic_5m"


def _build(context: AssetExecutionContext):
    """Never runs."""


def _node(manifest, name):
    (node,) = (n for n in manifest["nodes"].values() if n["name"] == name)
    return node


@pytest.mark.parametrize("name", [n for n in SOURCES if n.startswith("gold.")])
def test_an_empty_published_mart_has_the_columns_of_its_contract(weir, lake_plugin, name):
    weir.invoke("run", "--select", "stg_rec__events")
    fields = lake_plugin.contract_fields(name)
    rows = weir.rows(f"select column_name from (describe {name})")
    assert [r[0] for r in rows] == [f.name for f in fields] != []


def test_rows_of_one_hour_are_kept_by_half_open_bounds(weir):
    weir.deliver(
        request("a", "00:59:59.999999"), request("b", "01:00:00"), request("c", "02:00:00")
    )
    weir.build("tag:delivery", hours=[hour(1)])
    assert weir.rows("select slot_start from marts.traffic_5m") == [(at("01:00"),)]
