"""A lake with bronze but no dbt: what most of the orchestration needs to be tested on.

Belongs here: how a test gets a home and deliveries. Does not: what is expected of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pyiceberg.catalog import Catalog

from lake.ingest import IngestReport
from lake.records import BRONZE
from lake.settings import LakeSettings, load_settings
from orchestration.build import build_defs
from orchestration.operations import open_lake, run_ingest
from orchestration.resources import Clock, Lake
from simulator import Plan, Scenario, simulate

START = datetime(2026, 11, 16, tzinfo=UTC)
NOW = datetime(2026, 11, 16, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_weir_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("WEIR_", "DAGSTER_")):
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Home:
    """One home, with what a test does to it."""

    settings: LakeSettings

    @property
    def path(self) -> Path:
        return self.settings.home

    @property
    def catalog(self) -> Catalog:
        return open_lake(self.settings)

    def lake(self) -> Lake:
        return Lake(home=str(self.path))

    def land(self, key: str, data: bytes, at: datetime = START) -> Path:
        path = self.settings.landing / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    def deliver(self, plan: Plan) -> None:
        plan.deliver(self.settings.landing, None, plan.last_arrival_at)

    def ingest(self, now: datetime = NOW) -> list[IngestReport]:
        return [run_ingest(self.settings, record, now) for record in BRONZE]

    def run_checks(self, *keys: dg.AssetCheckKey, at: datetime) -> list[dg.AssetCheckEvaluation]:
        """Execute checks alone, at an instant."""
        resources: dict[str, Any] = {
            "lake": Lake(home=str(self.path)),
            "clock": Clock(fixed=at.isoformat()),
        }
        defs = build_defs(resources)
        job = dg.define_asset_job("checks_of_a_test", selection=dg.AssetSelection.checks(*keys))
        with dg.DagsterInstance.ephemeral() as instance:
            merged = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
            result = (
                merged.get_repository_def()
                .get_job(job.name)
                .execute_in_process(instance=instance, run_config=QUIET, raise_on_error=True)
            )
            return result.get_asset_check_evaluations()


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def make_home(path: Path) -> Home:
    return Home(load_settings({}, home=path))


def small_plan(seed: int = 7, hours: int = 3, lines: int = 600) -> Plan:
    """Return traffic without incidents."""
    return simulate(Scenario(seed, START, hours, lines, frozenset()))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home of the test's own."""
    return make_home(tmp_path / "home")


@pytest.fixture(scope="session")
def traffic() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, traffic: Plan) -> Home:
    """Return a home with three hours in bronze; tests only read it."""
    made = make_home(tmp_path_factory.mktemp("filled"))
    made.deliver(traffic)
    made.ingest()
    return made
