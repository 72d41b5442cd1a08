"""Running the sensors and what they ask for in this process, until nothing is left to do.

What the daemon does with a clock, this does at once: for `weir demo`, `weir refresh`
and tests. The runs are ordinary Dagster runs and show in the UI of the same home.
"""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock

from orchestration.sensors import IN_PROGRESS, SENSORS
from orchestration.settings import write_dagster_home

_MAX_ROUNDS = 60
#: whose run it is: several homes may share one storage on PostgreSQL
LOCAL_TAG = "weir/local"
#: a run's events are kept in Dagster's storage; the terminal shows what the caller prints
_RUN_CONFIG = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunOutcome:
    """One run: its job, partitions and whether it succeeded."""

    job_name: str
    partitions: str
    run_id: str
    is_success: bool


@contextmanager
def local_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's persistent instance of a home."""
    folder = write_dagster_home(home)
    # one driver at a time: a second one could not tell this one's runs from those of a dead one
    with FileLock(folder / "local.lock"), dg.DagsterInstance.from_config(str(folder)) as instance:
        _end_cut_runs(instance)
        yield instance


def driver_of(instance: dg.DagsterInstance) -> str:
    """Return what names the driver of a home among all that share a storage."""
    return f"{platform.node()}:{instance.root_directory}"


def _end_cut_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs of a process that was killed as failed and free the pools they held.

    Else sensors skip, and the next run spins for a slot, for ever.
    """
    cut = dg.RunsFilter(tags={LOCAL_TAG: driver_of(instance)}, statuses=IN_PROGRESS)
    for one in instance.get_runs(filters=cut):
        instance.report_run_failed(one, message="the process that ran it was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(one.run_id)


def drain(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    progress: Callable[[RunOutcome], None] = lambda _: None,
) -> list[RunOutcome]:
    """Tick every sensor and run what it asks for, until all of them skip."""
    outcomes: list[RunOutcome] = []
    for _ in range(_MAX_ROUNDS):
        asked = 0
        for sensor in SENSORS:
            for request in _tick(sensor, defs, instance, resources):
                asked += 1
                outcome = run(defs, instance, sensor, request)
                outcomes.append(outcome)
                progress(outcome)
        if not asked:
            return outcomes
    raise RuntimeError(
        f"after {_MAX_ROUNDS} rounds the sensors still ask for runs; the last was "
        f"{outcomes[-1]}. Look at its events in the Dagster UI."
    )


def _tick(
    sensor: dg.SensorDefinition,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
) -> list[dg.RunRequest]:
    with dg.build_sensor_context(
        instance=instance, definitions=defs, sensor_name=sensor.name, resources=resources
    ) as context:
        return list(sensor.evaluate_tick(context).run_requests or [])


def run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    sensor: dg.SensorDefinition,
    request: dg.RunRequest,
) -> RunOutcome:
    """Run one request in this process; a failed run is reported, not raised."""
    name = request.job_name or sensor.job_name or ""
    job = defs.get_repository_def().get_job(name)
    result = job.execute_in_process(
        instance=instance,
        tags={**request.tags, LOCAL_TAG: driver_of(instance)},
        run_config=_RUN_CONFIG,
        raise_on_error=False,
    )
    first = request.tags.get("dagster/asset_partition_range_start", "")
    last = request.tags.get("dagster/asset_partition_range_end", "")
    span = first if first == last else f"{first} .. {last}"
    return RunOutcome(name, span, result.run_id, result.success)


@contextmanager
def quiet(home: Path) -> Iterator[Path]:
    """Send what dbt prints to a log file instead of the terminal; gives the file."""
    path = home / "logs" / "runs.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as log, redirect_stdout(log):
        yield path
