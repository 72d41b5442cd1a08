"""What assets and commands do with a lake, put together once and without Dagster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pyiceberg.catalog import Catalog

from lake.catalog import ensure_all, open_catalog
from lake.formats import family_of
from lake.ingest import Ingest, IngestReport, Progress
from lake.landing import open_landing
from lake.maintenance.policy import load_policy
from lake.maintenance.run import Upkeep, upkeep
from lake.maintenance.sweep import SweepReport, sweep
from lake.reads import connect
from lake.records import BRONZE, LANDED, Record
from lake.replay import Replay, ReplayReport
from lake.selection import Selection
from lake.settings import LakeSettings
from lake.source import Source, load_sources


def open_lake(settings: LakeSettings) -> Catalog:
    """Open the catalog; its tables exist afterwards."""
    catalog = open_catalog(settings)
    ensure_all(catalog)
    return catalog


def feeds(settings: LakeSettings) -> Mapping[str, Source]:
    """Load the source files."""
    return load_sources(settings.sources)


def landed(sources: Iterable[Source]) -> list[Record]:
    """Return the bronze tables to ingest: those of logs, and those of counters that have a feed."""
    fed = {family_of(s.format).record.identifier for s in sources}
    return [r for r in LANDED if r in BRONZE or r.identifier in fed]


def run_ingest(
    settings: LakeSettings,
    record: Record,
    now: datetime,
    released: Iterable[str] = (),
    progress: Callable[[Progress], None] = lambda _: None,
    hinted: Sequence[str] | None = None,
) -> IngestReport:
    """Ingest everything new for one bronze table, judged by the delivery suites.

    hinted: keys to look up instead of listing landing.
    """
    from expectations.runner import delivery_audit

    catalog = open_lake(settings)
    fields = {r.identifier: list(catalog.load_table(r.identifier).schema().fields) for r in LANDED}
    sources = feeds(settings)
    return Ingest(
        catalog=catalog,
        landing=open_landing(settings),
        sources=sources,
        record=record,
        audit=delivery_audit(fields, connect=lambda: connect(catalog), sources=sources),
        protection=settings.protection(),
        now=now,
        progress=progress,
    ).run(released, hinted)


def run_replay(
    settings: LakeSettings,
    record: Record,
    now: datetime,
    selection: Selection,
    *,
    is_dry: bool = False,
    takes_fewer: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> ReplayReport:
    """Read selected deliveries of one bronze table again, judged by the delivery suites."""
    from expectations.runner import delivery_audit

    catalog = open_lake(settings)
    fields = {r.identifier: list(catalog.load_table(r.identifier).schema().fields) for r in LANDED}
    sources = feeds(settings)
    return Replay(
        catalog=catalog,
        landing=open_landing(settings),
        sources=sources,
        record=record,
        audit=delivery_audit(fields, sources=sources),
        protection=settings.protection(),
        now=now,
        takes_fewer=takes_fewer,
        progress=progress,
    ).run(selection, is_dry=is_dry)


def run_upkeep(
    settings: LakeSettings, now: datetime, tables: Sequence[str] = (), *, dry_run: bool = False
) -> list[Upkeep]:
    """Bring tables to what the maintenance policy says; all of them when none is named."""
    return upkeep(
        open_lake(settings),
        load_policy(settings.policy),
        now,
        serving_file=settings.serving_file,
        tables=tables,
        dry_run=dry_run,
    )


def run_sweep(
    settings: LakeSettings, now: datetime, grace: timedelta | None = None, *, dry_run: bool = False
) -> SweepReport:
    """Delete files of the warehouse that nothing refers to any more."""
    return sweep(
        open_lake(settings),
        load_policy(settings.policy),
        str(settings.landing),
        now,
        grace=grace,
        dry_run=dry_run,
    )
