"""Sensors: new deliveries start an ingest; stale partitions are refreshed, exactly those.

Dagster never launches a run key twice, not even a failed one, so every key carries the attempt.
A stretch that failed as one run is asked for partition by partition, so that one bad partition
does not hold the others; one that failed MAX_ATTEMPTS times waits for other input.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from lake.catalog import table_of
from lake.ledger import Ledger
from lake.offers import new_objects
from lake.records import DELIVERIES
from lake.versions import MAX_ATTEMPTS, Family, Stale, digest
from orchestration.jobs import FAMILIES, INGEST, refresh_job_name
from orchestration.partitions import has_partition, key_of, stretches
from orchestration.refresh import find_stale
from orchestration.resources import Lake
from orchestration.settings import price_contracts

WORK_TAG = "weir/work"
FAMILY_TAG = "weir/family"
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
#: newest first; what is stale now failed lately
_FAILED_RUNS_SEEN = 1000


@dataclass(frozen=True)
class Request:
    """A run to ask for: partitions without a gap, what identifies the work, and the attempt."""

    family: Family
    partitions: tuple[Stale, ...]
    work: str
    attempt: int

    def run_request(self) -> dg.RunRequest:
        """Return Dagster's request."""
        first, last = self.partitions[0], self.partitions[-1]
        return dg.RunRequest(
            run_key=f"{self.work}-{self.attempt}",
            job_name=refresh_job_name(self.family),
            tags={
                WORK_TAG: self.work,
                FAMILY_TAG: self.family,
                "dagster/asset_partition_range_start": key_of(self.family, first.start),
                "dagster/asset_partition_range_end": key_of(self.family, last.start),
            },
        )


def work_of(partitions: Sequence[Stale]) -> str:
    """Return what identifies a piece of work: its partitions and the versions to reach."""
    return digest(f"{p.family} {p.start.isoformat()} {p.version}" for p in partitions)


def plan_requests(
    family: Family, found: Sequence[Stale], failures: Callable[[str], int]
) -> list[Request]:
    """Return the runs that refresh what is stale and not given up.

    failures(work): how many runs of that work failed. A partition that failed by itself stays by
    itself: with new neighbours it would be new work, and fail them again and again.
    """
    alone = {s.start: failures(work_of((s,))) for s in found}
    wanted = {s.start: s for s in found if not s.is_given_up and alone[s.start] < MAX_ATTEMPTS}
    requests: list[Request] = []
    for stretch in stretches(family, list(wanted)):
        whole = tuple(wanted[s] for s in stretch)
        failed_before = failures(work_of(whole)) > 0 or any(
            p.attempts or alone[p.start] for p in whole
        )
        parts: list[tuple[Stale, ...]] = [(p,) for p in whole] if failed_before else [whole]
        for part in parts:
            work = work_of(part)
            # a run whose every partition failed its audit is counted in both: the sum only grows
            attempt = failures(work) + max(p.attempts for p in part)
            requests.append(Request(family, part, work, attempt))
    return requests


def refresh_requests(
    context: dg.SensorEvaluationContext, lake: Lake, family: Family
) -> dg.SensorResult | dg.SkipReason:
    """Return the runs that a family needs now."""
    running = context.instance.get_runs_count(
        dg.RunsFilter(tags={FAMILY_TAG: family}, statuses=IN_PROGRESS)
    )
    if running:
        return dg.SkipReason(f"{running} refresh of {family} is still running")
    everything = find_stale(lake.catalog(), family, price_contracts())
    found = [s for s in everything if has_partition(family, s.start)]
    if len(found) < len(everything):
        context.log.warning(
            "%d stale partitions of %s lie before WEIR_PARTITIONS_START or in the future and are "
            "not built; the first is %s",
            len(everything) - len(found),
            family,
            next(s.start for s in everything if not has_partition(family, s.start)),
        )
    failed = _failed_works(context.instance, family)
    requests = plan_requests(family, found, lambda work: failed[work])
    if not requests:
        given_up = len(found)
        return dg.SkipReason(
            f"nothing stale in {family}"
            if not given_up
            else f"{given_up} partitions of {family} failed {MAX_ATTEMPTS} times and wait for "
            "other input; see their check results"
        )
    return dg.SensorResult(run_requests=[r.run_request() for r in requests])


def _failed_works(instance: dg.DagsterInstance, family: Family) -> Counter[str]:
    runs = instance.get_runs(
        dg.RunsFilter(tags={FAMILY_TAG: family}, statuses=_FAILED), limit=_FAILED_RUNS_SEEN
    )
    return Counter(r.tags[WORK_TAG] for r in runs if WORK_TAG in r.tags)


def _failed(instance: dg.DagsterInstance, work: str) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={WORK_TAG: work}, statuses=_FAILED))


def ingest_request(
    context: dg.SensorEvaluationContext, lake: Lake
) -> dg.RunRequest | dg.SkipReason:
    """Return an ingest when landing holds a version that the ledger does not know."""
    with Ledger(table_of(lake.catalog(), DELIVERIES)) as ledger:
        offered = new_objects(lake.landing(), lake.sources().values(), ledger)
    new = {found.delivery_id(source.name) for source, found in offered}
    if not new:
        return dg.SkipReason("no new delivery in landing")
    work = digest(new)
    attempt = _failed(context.instance, work)
    if attempt >= MAX_ATTEMPTS:
        return dg.SkipReason(
            f"the ingest of these {len(new)} deliveries failed {attempt} times; see its runs. It "
            "is tried again with the next delivery, or by hand: weir ingest"
        )
    return dg.RunRequest(run_key=f"{work}-{attempt}", job_name=INGEST.name, tags={WORK_TAG: work})


@dg.sensor(
    name="new_deliveries",
    job=INGEST,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts an ingest when landing holds something the ledger does not know.",
)
def new_deliveries(
    context: dg.SensorEvaluationContext, lake: Lake
) -> dg.RunRequest | dg.SkipReason:
    """Ask for an ingest."""
    return ingest_request(context, lake)


def _stale_sensor(family: Family) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"stale_{family}",
        job_name=refresh_job_name(family),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Refreshes exactly the partitions of {family} whose inputs changed.",
    )
    def stale_partitions(
        context: dg.SensorEvaluationContext, lake: Lake
    ) -> dg.SensorResult | dg.SkipReason:
        return refresh_requests(context, lake, family)

    return stale_partitions


SENSORS: list[dg.SensorDefinition] = [new_deliveries, *(_stale_sensor(f) for f in FAMILIES)]
