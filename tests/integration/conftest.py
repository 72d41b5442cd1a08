"""Whole lakes: deliveries land, sensors are ticked, Dagster runs ingest, dbt, audits and publish.

Belongs here: making and reading such a lake. Does not: what is expected of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from filelock import FileLock
from pyiceberg.catalog import Catalog

from lake.catalog import table_of
from lake.ledger import Ledger
from lake.publish import MARTS
from lake.reads import connect, pins_of, relation_sql
from lake.records import CHECK_RESULTS, DELIVERIES, RECORDS
from lake.settings import LakeSettings, load_settings
from lake.versions import Partition, hour_versions
from orchestration.build import build_defs
from orchestration.local import RunOutcome, drain, local_instance, quiet
from orchestration.operations import open_lake
from orchestration.resources import Clock, Lake
from orchestration.settings import (
    dagster_home,
    exported,
    price_contracts,
    process_environment,
    tool,
)
from simulator import ALL_INCIDENTS, Plan, Scenario, load_tariffs, simulate

START = datetime(2026, 11, 16, tzinfo=UTC)
Rows = list[tuple[Any, ...]]


@pytest.fixture(autouse=True, scope="session")
def no_weir_variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("WEIR_", "DAGSTER_")):
                patch.delenv(name)
        yield


@dataclass(frozen=True)
class Weir:
    """One home and everything that can be done to it."""

    settings: LakeSettings
    resources: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        lake = {"lake": Lake(home=str(self.settings.home)), "clock": Clock()}
        object.__setattr__(self, "resources", lake)

    @cached_property
    def defs(self) -> dg.Definitions:
        return build_defs(self.resources)

    @property
    def catalog(self) -> Catalog:
        return open_lake(self.settings)

    @property
    def geo(self) -> str:
        """Where countries and networks come from: what a plan wrote into this home."""
        files = sorted((self.settings.home / "geo").glob("*.mmdb"))
        return os.pathsep.join(str(path) for path in files)

    def land(self, key: str, data: bytes, at: datetime) -> None:
        path = self.settings.landing / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))

    def drain(self) -> list[RunOutcome]:
        """Do what the daemon would, until all sensors skip."""
        with self.running() as instance:
            return drain(self.defs, instance, self.resources)

    @contextmanager
    def running(self) -> Iterator[dg.DagsterInstance]:
        home = self.settings.home
        with (
            exported(self.settings, WEIR_GEOIP=self.geo),
            quiet(home),
            local_instance(home) as instance,
        ):
            yield instance

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's storage to look into it."""
        with dg.DagsterInstance.from_config(str(dagster_home(self.settings.home))) as instance:
            yield instance

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run weir in a process of its own."""
        return subprocess.run(
            [tool("weir"), *arguments, "--dir", str(self.settings.home)],
            env=process_environment(self.settings, WEIR_GEOIP=self.geo, **environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=1500,  # a hang, whatever else the machine does
        )

    def query(self, sql: str) -> Rows:
        """Ask the tables as they are now; {gold.traffic_5m} stands for a table."""
        names = {n.replace(".", "_"): n for n in (*RECORDS, *(m.gold for m in MARTS))}
        used = {k: f"({relation_sql(self.catalog.load_table(n))})" for k, n in names.items()
                if f"{{{k}}}" in sql}  # fmt: skip
        with connect(self.catalog) as connection:
            return connection.execute(sql.format(**used)).fetchall()

    def gold(self) -> dict[str, Rows]:
        """Return the rows of every gold table, sorted."""
        return {
            m.gold: self.query(f"from {{{m.gold.replace('.', '_')}}} order by all") for m in MARTS
        }

    def snapshots(self) -> dict[str, int]:
        """Return the current snapshot of every table but ops.check_results."""
        names = [n for n in RECORDS if n != CHECK_RESULTS.identifier]
        return pins_of(self.catalog, [*names, *(m.gold for m in MARTS)])

    def versions(self) -> dict[Partition, str]:
        with Ledger(table_of(self.catalog, DELIVERIES)) as ledger:
            return hour_versions(ledger)


def make_weir(home: Path) -> Weir:
    return Weir(load_settings({}, home=home))


def make_plan(seed: int = 7, hours: int = 3, lines: int = 3000) -> Plan:
    scenario = Scenario(seed, START, hours, lines, ALL_INCIDENTS)
    return simulate(scenario, load_tariffs(price_contracts()))


@dataclass(frozen=True)
class Undisturbed:
    """A lake after everything arrived and was refreshed, and what led to it."""

    weir: Weir
    first: list[RunOutcome]
    second: list[RunOutcome]
    repeat: list[RunOutcome]
    #: hours whose input changed with the second wave
    changed: set[Partition]
    #: tables that the repeat gave a snapshot
    rewritten: set[str]


def _make_undisturbed(home: Path) -> dict[str, Any]:
    weir, plan = make_weir(home), make_plan()
    plan.write_truth(home / "truth")
    plan.write_geo(home / "geo")
    plan.deliver(weir.settings.landing, None, plan.on_time_until)
    first = weir.drain()
    before = weir.versions()
    plan.deliver(weir.settings.landing, plan.on_time_until, plan.last_arrival_at)
    second = weir.drain()
    after = weir.versions()
    snapshots = weir.snapshots()
    repeat = weir.drain()
    now = weir.snapshots()
    return {
        "first": [asdict(o) for o in first],
        "second": [asdict(o) for o in second],
        "repeat": [asdict(o) for o in repeat],
        "changed": [
            [family, start.isoformat()]
            for family, start in {*before, *after}
            if before.get((family, start)) != after.get((family, start))
        ],
        "rewritten": [n for n in now if now[n] != snapshots.get(n)],
    }


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Undisturbed:
    """Return a lake that took both waves of a run in order; made once for all workers.

    Tests only read it.
    """
    base = tmp_path_factory.getbasetemp()
    root = base if worker_id == "master" else base.parent
    home, story = root / "undisturbed", root / "undisturbed.json"
    with FileLock(f"{story}.lock"):
        if not story.exists():
            story.write_text(json.dumps(_make_undisturbed(home)))
    told = json.loads(story.read_text())
    return Undisturbed(
        make_weir(home),
        *([RunOutcome(**o) for o in told[k]] for k in ("first", "second", "repeat")),
        {(f, datetime.fromisoformat(s)) for f, s in told["changed"]},
        set(told["rewritten"]),
    )


@pytest.fixture(scope="session")
def make() -> Callable[[Path], Weir]:
    return make_weir


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Return the traffic that the undisturbed lake took."""
    return make_plan()
