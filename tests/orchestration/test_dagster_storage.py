"""Dagster's storage with batched events: what is read back is what Dagster's own would give."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetExecutionContext

from orchestration.dagster_storage import BatchingEventLog
from orchestration.settings import write_dagster_home

DAYS = dg.DailyPartitionsDefinition("2026-11-01", timezone="UTC")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def rows(context: AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Stand for a mart of which a run builds several days."""
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@dg.asset_check(asset=rows)
def is_well() -> dg.AssetCheckResult:
    """Stand for an audit."""
    return dg.AssetCheckResult(passed=True)


def run(instance: dg.DagsterInstance, first: str, last: str) -> str:
    job = dg.define_asset_job("job", selection="*", partitions_def=DAYS)
    definitions = dg.Definitions(assets=[rows], asset_checks=[is_well], jobs=[job])
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    return (
        definitions.resolve_job_def("job").execute_in_process(instance=instance, tags=tags).run_id
    )


def story(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """Return what Dagster tells of a run and its asset."""
    key = dg.AssetKey("rows")
    kept = instance.fetch_materializations(key, limit=100).records
    (asset,) = instance.get_asset_records([key])
    last = asset.asset_entry.last_materialization
    assert last is not None
    assert last.asset_materialization is not None
    return {
        "events": sorted(str(r.event_log_entry.dagster_event_type) for r in
                         instance.get_records_for_run(run_id).records),
        "days": [(r.partition_key, r.asset_materialization.metadata["days"].value)
                 for r in kept if r.asset_materialization],
        "filled": sorted(instance.get_materialized_partitions(key)),
        "last": last.asset_materialization.partition,
        "planned": instance.event_log_storage.get_latest_planned_materialization_info(
            key, "2026-11-03") is not None,
    }  # fmt: skip


def test_events_in_batches_tell_the_same_as_events_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories, batches = [], []
    for size in ("0", "5000"):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        folder = write_dagster_home(tmp_path / size)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            log = instance.event_log_storage
            assert isinstance(log, BatchingEventLog)
            store = log.store_event_batch
            monkeypatch.setattr(
                log, "store_event_batch", lambda e, store=store: (batches.append(len(e)), store(e))
            )
            stories.append(story(instance, run(instance, "2026-11-02", "2026-11-09")))

    assert stories[0] == stories[1]
    assert len(stories[1]["days"]) == len(stories[1]["filled"]) == 8
    assert 8 in batches


def test_a_home_written_by_weir_asks_for_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    odd = tmp_path / "it's a: {home}"

    with dg.DagsterInstance.from_config(str(write_dagster_home(odd))) as instance:
        run_id = run(instance, "2026-11-02", "2026-11-04")
        assert len(story(instance, run_id)["days"]) == 3
    assert (odd / "dagster" / "history" / "runs" / f"{run_id}.db").exists()


OPEN = """
import sys, dagster as dg
sys.stdin.readline()
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    print(instance.get_runs_count())
"""


@pytest.mark.slow
def test_processes_that_open_a_new_home_at_once_all_find_it_well(tmp_path: Path) -> None:
    for attempt in range(4):
        folder = write_dagster_home(tmp_path / str(attempt))
        openers = [
            subprocess.Popen(
                [sys.executable, "-c", OPEN, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(4)
        ]  # fmt: skip
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write("\n")
            opener.stdin.flush()
        told = [opener.communicate(timeout=120) for opener in openers]
        assert [(out, err) for out, err in told if out != "0\n"] == []
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            assert instance.get_runs_count() == 0
