"""The refresh, without Dagster: what is stale, the plan of a build, its audit and its outcome.

A plan is made once per run and kept as a file: which partitions, at which input version, over
which snapshots. The ledger is read before the snapshots are pinned, so that a build is never
newer on paper than in its rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyiceberg.catalog import Catalog

from lake.audit import AuditReport
from lake.build_views import selects_of
from lake.capacities import capacity_versions
from lake.catalog import table_of
from lake.commit import complete_pending
from lake.completeness import open_hours, with_cdn
from lake.contracts import zones_of
from lake.counters import CAPACITIES
from lake.ledger import Ledger
from lake.publish import marts_of
from lake.reads import pins_of
from lake.records import BRONZE, DELIVERIES
from lake.settings import LakeSettings
from lake.source import load_sources
from lake.versions import (
    EMPTY,
    Family,
    Partition,
    Refreshes,
    Stale,
    day_versions,
    hour_versions,
    month_versions,
    read_refreshes,
    stale,
)

_PERIODS: dict[Family, str] = {
    "delivery": "hours",
    "rollup": "days",
    "engagement": "hours",
    "billing": "months",
}
#: what a build reads, pinned: bronze, or marts that were published
_READ: dict[Family, list[str]] = {
    "delivery": [*(r.identifier for r in BRONZE), CAPACITIES.identifier],
    "rollup": ["gold.qos_places_hourly", "gold.qos_5m", "gold.qos_buckets_hourly"],
    "engagement": [r.identifier for r in BRONZE],
    "billing": [
        "gold.traffic_5m", "gold.streams_hourly", "gold.engagement_hourly", DELIVERIES.identifier,
    ],
}  # fmt: skip


class BuildError(RuntimeError):
    """A step that does not fit the build it belongs to."""


@dataclass(frozen=True)
class BuildPlan:
    """One build: its partitions with versions, and the snapshots it reads."""

    run_id: str
    family: Family
    partitions: tuple[Stale, ...]
    pins: dict[str, int]

    @property
    def periods(self) -> dict[str, list[str]]:
        """Return the hours, days and months that dbt is to rebuild."""
        asked: dict[str, list[str]] = {"hours": [], "days": [], "months": []}
        asked[_PERIODS[self.family]] = self.subjects
        return asked

    def document(self) -> dict[str, object]:
        """Return the plan as its file has it."""
        partitions = [[p.start.isoformat(), p.version] for p in self.partitions]
        return {"pins": self.pins, **self.periods, "partitions": partitions}

    @property
    def subjects(self) -> list[str]:
        """Return the partitions as the audit names them."""
        return [subject_of(p) for p in self.partitions]


def subject_of(partition: Stale) -> str:
    """Return the name of a partition in an audit."""
    if _PERIODS[partition.family] == "hours":
        return partition.start.isoformat()
    return partition.start.date().isoformat()


def contracts_version(folder: Path) -> str:
    """Return a hash over the price contracts: a changed contract makes its months stale."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.yaml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def current_versions(
    catalog: Catalog, family: Family, refreshes: Refreshes, contracts: Path
) -> dict[Partition, str]:
    """Return the input version of every partition of a family."""
    if family == "billing":
        with Ledger(table_of(catalog, DELIVERIES)) as ledger:
            missing = open_hours(ledger)
        return month_versions(
            refreshes.published, contracts_version(contracts), zones_of(contracts), missing
        )
    if family == "rollup":
        return day_versions(refreshes.published)
    capacities = capacity_versions(catalog) if family == "delivery" else None
    with Ledger(table_of(catalog, DELIVERIES)) as ledger:
        return hour_versions(ledger, capacities)


def find_stale(catalog: Catalog, family: Family, contracts: Path) -> list[Stale]:
    """Return the partitions whose published version is not the current one."""
    refreshes = read_refreshes(catalog)
    return stale(current_versions(catalog, family, refreshes, contracts), refreshes, family)


def make_plan(
    catalog: Catalog,
    settings: LakeSettings,
    family: Family,
    starts: Sequence[datetime],
    run_id: str,
    contracts: Path,
) -> BuildPlan:
    """Fix the versions and snapshots of a build and write them down."""
    refreshes = read_refreshes(catalog)
    versions = current_versions(catalog, family, refreshes, contracts)
    # a batch that the ledger names may not be in bronze yet: complete it, then pin snapshots
    complete_pending(catalog)
    plan = BuildPlan(
        run_id,
        family,
        tuple(Stale(family, s, versions.get((family, s), EMPTY), 0) for s in sorted(starts)),
        pins_of(catalog, _READ[family]),
    )
    folder = settings.builds / run_id
    folder.mkdir(parents=True, exist_ok=True)
    plan_file(settings, family, run_id).write_text(json.dumps(plan.document()))
    _owner_file(settings, family).write_text(run_id)
    return plan


def plan_file(settings: LakeSettings, family: Family, run_id: str) -> Path:
    """Return the file of a plan."""
    return settings.builds / run_id / f"{family}.json"


def hand_to_dbt(catalog: Catalog, settings: LakeSettings, plan: BuildPlan) -> Path:
    """Put the plan where dbt looks for it, with what to read, and return the place.

    The place is the same for every run: dbt would parse the whole project again for another one.
    """
    path = settings.builds / "dbt-plan.json"
    beside = path.with_name(f".{path.name}.{plan.run_id}")
    text = plan.document()
    read = _READ[plan.family]
    pins = {name: plan.pins.get(name) for name in read}
    starts = [p.start for p in plan.partitions]
    hours, days = (starts if _PERIODS[plan.family] == unit else [] for unit in ("hours", "days"))
    selects = selects_of(catalog, read, pins, hours, days)
    if DELIVERIES.identifier in selects:
        feeds = load_sources(settings.sources).values()
        selects[DELIVERIES.identifier] = with_cdn(selects[DELIVERIES.identifier], feeds)
    if len(selects) == len(read):  # a table that was never made: dbt knows its columns
        text["selects"] = selects
    beside.write_text(json.dumps(text))
    beside.replace(path)
    return path


def load_plan(settings: LakeSettings, family: Family, run_id: str) -> BuildPlan:
    """Read a plan back; refuses when another run has rebuilt the family since."""
    path = plan_file(settings, family, run_id)
    if not path.exists():
        raise BuildError(
            f"run {run_id} has no build plan for {family}; expected {path}. "
            "Materialize the marts and gold in one run: launch the refresh job."
        )
    owner = _owner_file(settings, family).read_text()
    if owner != run_id:
        raise BuildError(
            f"run {owner} rebuilt {family} after run {run_id} did: its build is not this run's "
            "any more. Nothing was published; the sensor asks again for what is still stale."
        )
    text = json.loads(path.read_text())
    partitions = tuple(
        Stale(family, datetime.fromisoformat(s).astimezone(UTC), v, 0)
        for s, v in text["partitions"]
    )
    return BuildPlan(run_id, family, partitions, text["pins"])


def save_audit(settings: LakeSettings, plan: BuildPlan, report: AuditReport) -> None:
    """Write down which partitions failed, for the step that publishes."""
    path = _audit_file(settings, plan)
    path.write_text(json.dumps({"judged": plan.subjects, "failures": report.failures}))


def audited(settings: LakeSettings, plan: BuildPlan) -> tuple[list[Stale], dict[Stale, str]]:
    """Return the partitions that passed, and those that failed with the reason."""
    path = _audit_file(settings, plan)
    if not path.exists():
        raise BuildError(
            f"run {plan.run_id} was not audited; expected {path}. Nothing unaudited is published: "
            "launch the refresh job with its checks."
        )
    text = json.loads(path.read_text())
    missing = set(plan.subjects) - set(text["judged"])
    if missing:
        raise BuildError(f"{len(missing)} partitions were not audited, e.g. {min(missing)}")
    failures: dict[str, str] = text["failures"]
    passed = [p for p in plan.partitions if subject_of(p) not in failures]
    failed = {p: failures[subject_of(p)] for p in plan.partitions if subject_of(p) in failures}
    return passed, failed


def audit_build(settings: LakeSettings, plan: BuildPlan) -> AuditReport:
    """Judge the built partitions; a broken audit raises."""
    from expectations.runner import audit_days, audit_hours, audit_months

    starts = [p.start for p in plan.partitions]
    if plan.family == "billing":
        report = audit_months(settings.build_file, [s.date() for s in starts])
    elif plan.family == "rollup":
        report = audit_days(settings.build_file, [s.date() for s in starts])
    else:
        report = audit_hours(settings.build_file, plan.family, starts)
    report.require_judged(plan.subjects)
    return report


def mart_names(family: Family) -> list[str]:
    """Return the marts of a family."""
    return [m.name for m in marts_of(family)]


def _owner_file(settings: LakeSettings, family: Family) -> Path:
    return settings.builds / f"current-{family}"


def _audit_file(settings: LakeSettings, plan: BuildPlan) -> Path:
    return settings.builds / plan.run_id / f"{plan.family}-audit.json"
