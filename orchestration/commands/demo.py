"""weir demo: simulated traffic with incidents through the whole job, beside the truth.

The way is the real one: files land, sensors are ticked, Dagster runs ingest, dbt, audits and
publish. First everything that came on time, then what came late, twice, broken or changed; at
last the same again, to show that nothing happens. What it shows in the end is demo_figures.py.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.settings import LakeSettings, load_settings, storage_environment
from orchestration.commands.output import console
from orchestration.settings import exported, price_contracts

if TYPE_CHECKING:
    from orchestration.local import RunOutcome

from orchestration.commands.demo_figures import DemoResult, collect

#: simulated traffic ends here, so that its hours are past on any clock
END = datetime(2026, 11, 18, tzinfo=UTC)
_MARKER = ".weir-demo"


class FailedRunError(RuntimeError):
    """A run that failed, where all must succeed: the figures after it would mean nothing."""


def run(seed: int, hours: int, lines: int, home: Path | None, *, as_json: bool) -> int:
    """Run the demo; 0 when every difference is 0."""
    from orchestration.commands.output import print_json
    from orchestration.commands.summary import as_document, show
    from simulator.geo import GEO_FILES

    settings = load_settings(home=home or load_settings().home / "demo")
    if not _empty(settings.home):
        return 2
    own = storage_environment(load_settings({}, home=settings.home))
    geo = os.pathsep.join(str(settings.home / "geo" / n) for n in GEO_FILES)
    with exported(settings, **own, WEIR_GEOIP=geo, WEIR_DAGSTER_POSTGRES_URL=""):
        try:
            result = _run(load_settings(home=settings.home), seed, hours, lines)
        except FailedRunError as error:
            console(stderr=True).print(f"weir: {error}", soft_wrap=True)
            return 1
    if as_json:
        print_json(as_document(result))
    else:
        show(result)
    return 0 if result.is_right else 1


def _empty(home: Path) -> bool:
    """Make the folder a demo's own; refuses one that holds something else."""
    if home.exists() and any(home.iterdir()) and not (home / _MARKER).exists():
        console(stderr=True).print(
            f"{home} is not empty and no demo made it; expected an empty or new folder. "
            "Give another with --dir."
        )
        return False
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / _MARKER).touch()
    return True


def _run(settings: LakeSettings, seed: int, hours: int, lines: int) -> DemoResult:
    from simulator import Scenario, load_tariffs, simulate

    began = time.monotonic()
    steps = _Steps(began)
    steps.say(f"simulating {lines:,} lines over {hours} hours, seed {seed}")
    plan = simulate(
        Scenario(seed=seed, start=END - timedelta(hours=hours), hours=hours, lines=lines),
        load_tariffs(price_contracts()),
    )
    plan.write_truth(settings.home / "truth")
    plan.write_geo(settings.home / "geo")
    with _Driver(settings, steps) as driver:
        first = plan.deliver(settings.landing_folder, None, plan.on_time_until)
        steps.say(f"landed on time: {first.files} files, {first.lines:,} lines")
        driver.drain()
        later = plan.deliver(settings.landing_folder, plan.on_time_until, plan.last_arrival_at)
        steps.say(f"landed late, again or changed: {later.files} files, {later.lines:,} lines")
        driver.drain()
        steps.say("the same again")
        before = driver.snapshots()
        done = len(driver.outcomes)
        driver.drain()
        repeat = len(driver.outcomes) - done, driver.snapshots() - before
    steps.say("comparing with the truth")
    return collect(
        settings,
        {"seed": seed, "hours": hours, "lines": lines, "start": plan.scenario.start},
        driver.outcomes[:done],
        repeat,
        began,
    )


class _Steps:
    """Progress on the way, on stderr, with the seconds since the start."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._out = console(stderr=True)

    def say(self, text: str) -> None:
        self._out.print(f"[{time.monotonic() - self._began:6.1f} s] {text}")


class _Driver:
    """The sensors and runs of one home, in this process."""

    def __init__(self, settings: LakeSettings, steps: _Steps) -> None:
        from orchestration.build import build_defs
        from orchestration.local import local_instance
        from orchestration.resources import Clock, Lake

        self._settings = settings
        self._steps = steps
        self._resources = {"lake": Lake(home=str(settings.home)), "clock": Clock()}
        self._defs = build_defs(self._resources)
        self._context = local_instance(settings.home)
        self.outcomes: list[RunOutcome] = []

    def __enter__(self) -> _Driver:
        self._instance = self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def drain(self) -> None:
        """Run what the sensors ask for; raises FailedRunError when a run failed."""
        from orchestration.local import drain, quiet

        with quiet(self._settings.home) as log:
            outcomes = drain(self._defs, self._instance, self._resources, self._show)
        require_success(outcomes, self._settings.home, log)
        self.outcomes += outcomes

    def snapshots(self) -> int:
        """Count the snapshots of every table but ops.check_results."""
        from lake.publish import MARTS
        from lake.records import CHECK_RESULTS, RECORDS
        from orchestration.operations import open_lake

        catalog = open_lake(self._settings)
        names = [n for n in RECORDS if n != CHECK_RESULTS.identifier] + [m.gold for m in MARTS]
        return sum(len(catalog.load_table(n).snapshots()) for n in names)

    def _show(self, done: RunOutcome) -> None:
        word = "ran" if done.is_success else "FAILED"
        self._steps.say(f"{word} {done.job_name} {done.partitions}".rstrip())


def require_success(outcomes: Sequence[RunOutcome], home: Path, log: Path) -> None:
    """Raise FailedRunError for the first run that failed, with where to look."""
    for one in outcomes:
        if not one.is_success:
            raise FailedRunError(
                f"{' '.join((one.job_name, one.partitions)).strip()} failed (run {one.run_id}); "
                f"expected every run of the demo to succeed. What dbt said is in {log}; the run's "
                f"events are in the Dagster UI: weir up --dir {home}"
            )
