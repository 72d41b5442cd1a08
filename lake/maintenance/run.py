"""The upkeep of all tables: versions, compaction, manifests, expiry; the sweep is apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyiceberg.catalog import Catalog

from lake.commit import complete_pending
from lake.maintenance.compaction import Compaction, compact
from lake.maintenance.expiry import expire, pins_of_releases
from lake.maintenance.metadata import Size, keep_few_versions, merge_manifests, size_of
from lake.maintenance.policy import Policy
from lake.records import DELIVERIES


class UnknownTableError(ValueError):
    """A table that the catalog does not have."""


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table, and how large it was before and is now."""

    identifier: str
    before: Size
    after: Size
    compaction: Compaction
    manifests_merged: int
    snapshots_expired: int


def all_tables(catalog: Catalog) -> list[str]:
    """Return every table of the catalog; the ledger last, because others' batches end in it."""
    found = [".".join(i) for space in catalog.list_namespaces() for i in catalog.list_tables(space)]
    return sorted(found, key=lambda i: (i == DELIVERIES.identifier, i))


def upkeep(
    catalog: Catalog,
    policy: Policy,
    now: datetime,
    *,
    serving_file: Path | None = None,
    tables: Sequence[str] = (),
    dry_run: bool = False,
    done: Callable[[Upkeep], None] = lambda _: None,
) -> list[Upkeep]:
    """Bring tables to what the policy says; all of them when none is named.

    On a dry run nothing is written and the counts say what would be done.
    """
    known = all_tables(catalog)
    if unknown := [t for t in tables if t not in known]:
        raise UnknownTableError(
            f"no table {', '.join(unknown)}; the catalog has {', '.join(known)}"
        )
    if not dry_run:
        complete_pending(catalog)
    reports = []
    for identifier in tables or known:
        of = policy.of(identifier)
        before = size_of(catalog.load_table(identifier))
        if not dry_run:
            keep_few_versions(catalog, identifier, of)
        compaction = compact(catalog, identifier, of, now, dry_run=dry_run)
        merged = merge_manifests(catalog, identifier, of, dry_run=dry_run)
        pins = pins_of_releases(catalog, serving_file, policy.reader_grace, now)
        pinned = pins.get(identifier, frozenset())
        expired = expire(catalog, identifier, of, pinned, now, dry_run=dry_run)
        after = size_of(catalog.load_table(identifier))
        report = Upkeep(identifier, before, after, compaction, merged, expired)
        done(report)
        reports.append(report)
    return reports
