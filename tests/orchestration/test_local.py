"""The driver in this process: what it does about runs that a kill cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import local, sensors
from orchestration.build import build_defs
from orchestration.local import LOCAL_TAG, RunOutcome, drain, driver_of, local_instance
from orchestration.sensors import FAMILY_TAG

STARTED = dg.DagsterRunStatus.STARTED


@dg.job
def anything() -> None:
    """Stand for a job that was cut off."""


def cut_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """Leave a run as a kill leaves it: started, holding a place in a pool."""
    run = instance.create_run_for_job(anything, tags=tags, status=STARTED)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("ingest_cdn_requests")
    storage.claim_concurrency_slot("ingest_cdn_requests", run.run_id, "step")
    return run.run_id


def test_a_run_whose_process_was_killed_is_ended_and_gives_its_pool_back(tmp_path: Path) -> None:
    with local_instance(tmp_path) as instance:
        run_id = cut_run(instance, {LOCAL_TAG: driver_of(instance), FAMILY_TAG: "delivery"})
        assert instance.event_log_storage.get_concurrency_run_ids() == {run_id}

    with local_instance(tmp_path) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_run_ids() == set()


def test_a_run_of_the_daemon_is_left_alone(tmp_path: Path) -> None:
    with local_instance(tmp_path) as instance:
        run_id = cut_run(instance, {FAMILY_TAG: "delivery"})

    with local_instance(tmp_path) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == STARTED


def test_a_run_of_another_home_on_the_same_storage_is_left_alone(tmp_path: Path) -> None:
    with local_instance(tmp_path) as instance:
        run_id = cut_run(instance, {LOCAL_TAG: "elsewhere:/another/home", FAMILY_TAG: "delivery"})

    with local_instance(tmp_path) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == STARTED


def test_the_shipped_configuration_gives_places_in_pools_back(tmp_path: Path) -> None:
    with local_instance(tmp_path) as instance:
        settings = instance.run_monitoring_settings

    assert settings["enabled"] is True
    assert settings["free_slots_after_run_end_seconds"] > 0
    assert settings["max_runtime_seconds"] > 0


def test_a_sensor_waits_while_a_refresh_of_its_family_runs(home: Any) -> None:
    resources = {"lake": home.lake()}
    sensor = next(s for s in sensors.SENSORS if s.name == "stale_delivery")
    with local_instance(home.path) as instance:
        cut_run(instance, {FAMILY_TAG: "delivery"})
        with dg.build_sensor_context(
            instance=instance, definitions=build_defs(resources), sensor_name=sensor.name,
            resources=resources,
        ) as context:  # fmt: skip
            data = sensor.evaluate_tick(context)

    assert data.run_requests == []
    assert data.skip_message == "1 refresh of delivery is still running"


def test_a_sensor_that_never_comes_to_rest_is_an_error(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = dg.RunRequest(run_key="again", job_name="ingest")
    monkeypatch.setattr(local, "_tick", lambda *_: [request])
    monkeypatch.setattr(local, "run", lambda *_: RunOutcome("ingest", "", "id", True))

    with pytest.raises(RuntimeError, match="the sensors still ask for runs"):
        drain(dg.Definitions(), None, {})  # type: ignore[arg-type]
