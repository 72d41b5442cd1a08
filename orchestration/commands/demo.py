"""weir demo: simulated traffic with incidents through the whole job, beside the truth.

The way is the real one: files land, sensors are ticked, Dagster runs ingest, dbt, audits and
publish. First everything that came on time, then what came late, twice, broken or changed; at
last the same again, to show that nothing happens.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.settings import LakeSettings, load_settings, storage_environment
from orchestration.commands.output import console
from orchestration.commands.truth import Check, Estimate, Truth, read_incidents
from orchestration.settings import exported, price_contracts

if TYPE_CHECKING:
    from orchestration.local import RunOutcome

#: simulated traffic ends here, so that its hours are past on any clock
END = datetime(2026, 11, 18, tzinfo=UTC)
_MARKER = ".weir-demo"


class FailedRunError(RuntimeError):
    """A run that failed, where all must succeed: the figures after it would mean nothing."""


@dataclass(frozen=True)
class DemoResult:
    """Everything the summary shows."""

    settings: LakeSettings
    scenario: dict[str, object]
    checks: list[Check]
    estimates: list[Estimate]
    deliveries: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    runs: list[RunOutcome]
    repeat_runs: int
    repeat_snapshots: int
    checks_by_layer: list[dict[str, Any]]
    qos: list[dict[str, Any]]
    engagement: list[dict[str, Any]]
    places: list[dict[str, Any]]
    bills: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]
    release_no: int
    seconds: float
    peak_mb: float

    @property
    def is_right(self) -> bool:
        """Tell whether every figure is the truth, every run ended well and a repeat did nothing."""
        return (
            all(c.difference == 0 for c in self.checks)
            and all(e.is_within for e in self.estimates)
            and all(r.is_success for r in self.runs)
            and self.repeat_runs == 0
            and self.repeat_snapshots == 0
        )


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
    return _collect(
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


def _collect(
    settings: LakeSettings,
    scenario: dict[str, object],
    runs: Sequence[RunOutcome],
    repeat: tuple[int, int],
    began: float,
) -> DemoResult:
    from lake.publish import MARTS, last_release
    from lake.reads import connect, create_views
    from lake.records import RECORDS
    from orchestration.operations import open_lake

    catalog = open_lake(settings)
    shown = last_release(catalog)
    with connect(catalog) as connection:
        create_views(connection, catalog, RECORDS)
        create_views(connection, catalog, [m.gold for m in MARTS], shown.marts if shown else {})
        truth = Truth(connection, settings.home / "truth")

        def rows(sql: str) -> list[dict[str, Any]]:
            result = connection.execute(sql)
            names = [c[0] for c in result.description or []]
            return [dict(zip(names, r, strict=True)) for r in result.fetchall()]

        return DemoResult(
            settings=settings,
            scenario=scenario,
            checks=truth.checks(),
            estimates=truth.estimates(_PERCENTILES),
            deliveries=rows(_DELIVERIES),
            incidents=_incidents(read_incidents(settings.home / "truth"), rows(_STATES)),
            runs=list(runs),
            repeat_runs=repeat[0],
            repeat_snapshots=repeat[1],
            checks_by_layer=rows(_CHECKS),
            qos=rows(_QOS),
            engagement=rows(_ENGAGEMENT),
            places=rows(_PLACES),
            bills=rows(_BILLS),
            duplicates=rows(_DUPLICATES),
            release_no=shown.release_no if shown else 0,
            seconds=time.monotonic() - began,
            peak_mb=_peak_mb(),
        )


def _peak_mb() -> float:
    """Return the largest resident size of this process or a child, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    sizes = [
        resource.getrusage(who).ru_maxrss * unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return max(sizes) / 1e6


def _incidents(
    reports: Sequence[dict[str, Any]], states: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Put what became of each incident's files beside what happened."""
    found = []
    for report in reports:
        own = [s for s in states if s["key"] in set(report["keys"])]
        counts: dict[str, int] = {}
        for s in own:
            counts[s["way"]] = counts.get(s["way"], 0) + 1
        became = ", ".join(f"{n} {way}" for way, n in sorted(counts.items()))
        found.append({**report, "became": became or "no delivery: nothing arrived"})
    return found


_STATES = """
select key, delivery_id, string_agg(state, ' -> ' order by change_no) as way
from ops.deliveries group by 1, 2
"""
_DELIVERIES = """
select source, state, count(*) as deliveries, sum(lines) as lines, sum(accepted) as accepted,
    sum(rejected) as rejected, sum(header) as header, sum(blank) as blank
from latest group by 1, 2 order by 1, 2
"""
_CHECKS = """
select layer, severity, count(*) as judged, count(*) filter (where not is_passed) as failed
from ops.check_results group by 1, 2 order by 1, 2
"""
_QOS = """
select cdn, sum(requests) as requests, sum(bytes) as bytes,
    sum(hit_requests) / sum(eligible_requests) as hit_ratio_requests,
    sum(hit_bytes) / sum(eligible_bytes) as hit_ratio_bytes,
    sum(errors_4xx) as errors_4xx, sum(errors_5xx) as errors_5xx,
    sum(no_response) as no_response, sum(aborted) as aborted
from gold.qos_hourly group by 1 order by 1
"""
_ENGAGEMENT = """
select customer, sum(impressions) as impressions, sum(clicks) as clicks,
    sum(clicks) / sum(impressions) as ctr, sum(plays) as plays, sum(valid_plays) as valid_plays,
    sum(watch_ms) / 3600000 as watch_hours
from gold.engagement_hourly group by 1 order by 1
"""
_PLACES = """
select coalesce(country, 'unknown') as country, count(distinct asn) as networks,
    sum(requests) as requests, sum(bytes) as bytes,
    sum(requests) / sum(sum(requests)) over () as share
from places group by 1 order by requests desc, country
"""
_BILLS = """
select month, contract_id, currency, amount_low, amount, amount_high, logged_bytes,
    estimated_bytes, incomplete_slots
from gold.bills order by 1, 2
"""
_DUPLICATES = """
select source, rows - distinct_rows as duplicate_rows from (
    select source, count(*) as rows, count(distinct row_key) as distinct_rows
    from bronze.cdn_requests group by 1
    union all
    select source, count(*), count(distinct row_key) from bronze.rec_events group by 1
) order by 1
"""
#: the project's rule: representative of the bucket of rank ceil(q * n), growth 1.02
_PERCENTILES = """
with merged as (
    select cdn, bucket, sum(requests) as n from gold.ttfb_buckets_hourly group by 1, 2
), ranked as (
    select cdn, bucket, sum(n) over (partition by cdn order by bucket) as upto,
        sum(n) over (partition by cdn) as total
    from merged
), wanted as (select unnest([50, 95, 99]) as percent)
select cdn, percent / 100.0 as q,
    2 * power(1.02, min(bucket) filter (where upto * 100 >= total * percent)) / 2.02 as value
from ranked cross join wanted group by 1, 2
"""
