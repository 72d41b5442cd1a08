"""Plans of builds and their audits: what is refused, and what makes a partition stale."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lake.audit import AuditReport, BrokenAuditError, CheckResult
from lake.catalog import table_of
from lake.counters import CAPACITIES
from lake.deliveries import read_ledger, to_arrow
from lake.publish import marts_of, publish_partitions
from lake.records import DELIVERIES
from lake.settings import LakeSettings, load_settings
from lake.versions import Family, Stale, day_versions, read_refreshes
from orchestration import refresh
from orchestration.assets.models import manifest
from orchestration.operations import open_lake
from orchestration.refresh import (
    BuildError,
    BuildPlan,
    audited,
    contracts_version,
    find_stale,
    hand_to_dbt,
    load_plan,
    make_plan,
    save_audit,
    subject_of,
)
from orchestration.settings import PRICE_CONTRACTS
from simulator import Plan

from .conftest import Home

START = datetime(2026, 11, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> LakeSettings:
    return load_settings({}, home=tmp_path / "home")


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(PRICE_CONTRACTS, folder)
    return folder


def planned(settings: LakeSettings, run_id: str = "run-1") -> BuildPlan:
    return make_plan(
        open_lake(settings), settings, "delivery", [START + HOUR, START], run_id, PRICE_CONTRACTS
    )


def verdict(subject: str, *, is_passed: bool = True, severity: str = "critical") -> CheckResult:
    return CheckResult("mart", "traffic_5m", "rule", subject, severity, is_passed, "1", "0")


def test_a_plan_is_read_back_as_it_was_made(settings: LakeSettings) -> None:
    plan = planned(settings)

    assert load_plan(settings, "delivery", "run-1") == plan
    assert [p.start for p in plan.partitions] == [START, START + HOUR]


def test_a_run_without_a_plan_is_refused(settings: LakeSettings) -> None:
    with pytest.raises(BuildError, match="no build plan for delivery"):
        load_plan(settings, "delivery", "run-1")


def test_a_build_that_another_run_has_rebuilt_since_is_refused(settings: LakeSettings) -> None:
    planned(settings, "run-1")
    planned(settings, "run-2")

    with pytest.raises(BuildError, match="run run-2 rebuilt delivery after run run-1"):
        load_plan(settings, "delivery", "run-1")
    assert load_plan(settings, "delivery", "run-2").run_id == "run-2"


def test_families_do_not_take_each_other_s_builds_away(settings: LakeSettings) -> None:
    plan = planned(settings, "run-1")
    make_plan(open_lake(settings), settings, "engagement", [START], "run-2", PRICE_CONTRACTS)

    assert load_plan(settings, "delivery", "run-1") == plan


def test_an_unaudited_build_is_refused(settings: LakeSettings) -> None:
    with pytest.raises(BuildError, match="was not audited"):
        audited(settings, planned(settings))


def test_an_audit_that_skipped_a_partition_is_refused(settings: LakeSettings) -> None:
    plan = planned(settings)
    short = BuildPlan(plan.run_id, plan.family, plan.partitions[:1], plan.pins)
    save_audit(settings, short, AuditReport(()))

    with pytest.raises(BuildError, match="1 partitions were not audited"):
        audited(settings, plan)


def test_a_partition_that_fails_is_parted_from_those_that_pass(settings: LakeSettings) -> None:
    plan = planned(settings)
    good, bad = plan.partitions
    results = (verdict(subject_of(good)), verdict(subject_of(bad), is_passed=False))
    save_audit(settings, plan, AuditReport(results))

    passed, failed = audited(settings, plan)

    assert passed == [good]
    assert failed == {bad: "rule: expected 0, found 1"}


def test_a_warning_holds_nothing_back(settings: LakeSettings) -> None:
    plan = planned(settings)
    results = [verdict(s, is_passed=False, severity="warning") for s in plan.subjects]
    save_audit(settings, plan, AuditReport(tuple(results)))

    assert audited(settings, plan) == (list(plan.partitions), {})


def test_an_audit_of_a_missing_build_raises(settings: LakeSettings) -> None:
    with pytest.raises(BrokenAuditError, match="build file is missing"):
        refresh.audit_build(settings, planned(settings))


def test_a_plan_names_hours_for_marts_and_months_for_bills(settings: LakeSettings) -> None:
    hourly = planned(settings)
    month = datetime(2026, 11, 1, tzinfo=UTC)
    monthly = make_plan(open_lake(settings), settings, "billing", [month], "run-2", PRICE_CONTRACTS)

    assert hourly.subjects == ["2026-11-16T00:00:00+00:00", "2026-11-16T01:00:00+00:00"]
    assert monthly.subjects == ["2026-11-01"]


def test_a_plan_file_pins_snapshots_and_versions(settings: LakeSettings) -> None:
    planned(settings)

    text = json.loads((settings.builds / "run-1" / "delivery.json").read_text())

    assert text["pins"] == {}
    assert [p[0] for p in text["partitions"]] == [
        "2026-11-16T00:00:00+00:00",
        "2026-11-16T01:00:00+00:00",
    ]


def test_contracts_version_follows_names_and_contents_of_yaml_files(contracts: Path) -> None:
    before = contracts_version(contracts)
    (contracts / "notes.txt").write_text("not a contract")
    assert contracts_version(contracts) == before

    one = min(contracts.glob("*.yaml"))
    one.write_text(one.read_text() + "\n# a remark\n")
    edited = contracts_version(contracts)
    one.rename(contracts / "renamed.yaml")

    assert len({before, edited, contracts_version(contracts)}) == 3


def test_a_changed_contract_makes_the_published_months_stale(
    settings: LakeSettings, contracts: Path
) -> None:
    catalog = open_lake(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    hours = [Stale("delivery", START, "v1", 0)]
    record_published(settings, hours)
    (month,) = find_stale(catalog, "billing", contracts)
    record_published(settings, [month])
    assert find_stale(catalog, "billing", contracts) == []

    one = min(contracts.glob("*.yaml"))
    one.write_text(one.read_text() + "\n# a new price\n")

    (again,) = find_stale(catalog, "billing", contracts)
    assert again.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert again.version != month.version


def test_a_corrected_capacity_makes_the_hours_it_covers_stale_and_they_are_built_once(
    home: Home, traffic: Plan
) -> None:
    home.deliver(traffic)
    home.ingest()
    hours = find_stale(home.catalog, "delivery", PRICE_CONTRACTS)
    record_published(home.settings, hours)
    days = day_versions(read_refreshes(home.catalog).published)
    assert find_stale(home.catalog, "delivery", PRICE_CONTRACTS) == []
    capacity = {
        "event_time": START + HOUR, "source": "capacities", "delivery_id": "d", "source_line": 1,
        "parser_version": "test/1", "ingested_at": START, "row_key": bytes(16),
        "cdn": "cloudfront", "kind": "pop", "name": "FRA56", "capacity_bps": 1,
    }  # fmt: skip
    table_of(home.catalog, CAPACITIES).append(
        pa.Table.from_pylist([capacity], schema=CAPACITIES.arrow)
    )

    again = find_stale(home.catalog, "delivery", PRICE_CONTRACTS)

    assert [p.start for p in again] == [p.start for p in hours if p.start > START]
    assert find_stale(home.catalog, "engagement", PRICE_CONTRACTS) != []
    record_published(home.settings, again)
    assert find_stale(home.catalog, "delivery", PRICE_CONTRACTS) == []
    assert day_versions(read_refreshes(home.catalog).published) == days


def test_a_held_delivery_makes_the_bills_of_its_month_stale_and_nothing_else(
    home: Home, traffic: Plan
) -> None:
    home.deliver(traffic)
    home.ingest()
    record_published(home.settings, find_stale(home.catalog, "delivery", PRICE_CONTRACTS))
    record_published(home.settings, find_stale(home.catalog, "billing", PRICE_CONTRACTS))
    assert find_stale(home.catalog, "billing", PRICE_CONTRACTS) == []
    held = next(d for d in read_ledger(home.catalog).values() if d.source == "cloudflare")
    held = replace(held, delivery_id="held", key="k", content_id="c", state="held", verdict="held")
    table_of(home.catalog, DELIVERIES).append(to_arrow([held]))

    (month,) = find_stale(home.catalog, "billing", PRICE_CONTRACTS)

    assert month.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert find_stale(home.catalog, "delivery", PRICE_CONTRACTS) == []
    assert find_stale(home.catalog, "rollup", PRICE_CONTRACTS) != []  # as before: never published
    record_published(home.settings, [month])
    assert find_stale(home.catalog, "billing", PRICE_CONTRACTS) == []


def test_a_plan_of_bills_shows_dbt_the_ledger_as_it_was_pinned(home: Home, traffic: Plan) -> None:
    home.deliver(traffic)
    home.ingest()
    month = datetime(2026, 11, 1, tzinfo=UTC)
    plan = make_plan(home.catalog, home.settings, "billing", [month], "run", PRICE_CONTRACTS)
    for family in ("delivery", "engagement"):
        record_published(home.settings, find_stale(home.catalog, family, PRICE_CONTRACTS))
    handed = json.loads(hand_to_dbt(home.catalog, home.settings, plan).read_text())
    again = next(iter(read_ledger(home.catalog).values()))
    table_of(home.catalog, DELIVERIES).append(to_arrow([replace(again, change_no=9)]))

    later = json.loads(hand_to_dbt(home.catalog, home.settings, plan).read_text())

    assert plan.pins[DELIVERIES.identifier] == handed["pins"][DELIVERIES.identifier]
    assert later == handed
    assert "sampled_ppm" in handed["selects"][DELIVERIES.identifier]


def record_published(settings: LakeSettings, partitions: list[Stale]) -> None:
    """Write the outcome of a refresh; the marts it would copy are empty."""
    import duckdb

    with duckdb.connect(str(settings.build_file)) as build:
        build.execute("create schema if not exists marts")
        for mart in (*marts_of("delivery"), *marts_of("engagement")):
            at = mart.partition_by
            build.execute(f"create table if not exists {mart.build} ({at} timestamptz)")
        for mart in marts_of("billing"):
            build.execute(f"create table if not exists {mart.build} (month date)")
    family = partitions[0].family
    publish_partitions(
        open_lake(settings), settings.build_file, family, partitions, {}, "run", datetime.now(UTC)
    )


@pytest.mark.parametrize("family", ["delivery", "rollup", "engagement", "billing"])
def test_a_plan_hands_dbt_every_table_of_the_lake_that_the_family_reads(
    settings: LakeSettings, family: Family
) -> None:
    """Else dbt would read what a build before this one saw of it."""
    nodes = json.loads(manifest().read_text())["nodes"].values()
    models = {n["unique_id"]: n for n in nodes if family in n["tags"]}
    tests = [n for n in nodes if n["resource_type"] == "test"
             and n.get("attached_node") in models]  # fmt: skip
    read = {
        ".".join(d.split(".")[2:])
        for n in (*models.values(), *tests)
        for d in n["depends_on"]["nodes"]
        if d.startswith("source.") and not d.startswith("source.weir.contracts.")
    } - {"bronze.build_plan"}  # made by the plugin from the plan itself

    plan = make_plan(open_lake(settings), settings, family, [START], "run", PRICE_CONTRACTS)
    handed = hand_to_dbt(open_lake(settings), settings, plan)

    assert read
    assert read <= set(refresh._READ[family])
    selects = json.loads(handed.read_text()).get("selects")
    assert selects is None or read <= set(selects)


def test_dbt_sees_a_table_that_had_no_rows_when_the_build_was_planned_as_empty(
    settings: LakeSettings,
) -> None:
    plan = planned(settings)

    handed = hand_to_dbt(open_lake(settings), settings, plan)

    selects = json.loads(handed.read_text())["selects"]
    assert set(selects) == set(refresh._READ["delivery"])
    assert all(sql.endswith("WHERE false") for sql in selects.values())
