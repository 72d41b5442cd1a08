"""Metadata kept small: versions of metadata.json, manifests, and how much of each there is."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table

from lake.batches import carried
from lake.crash import crashpoint
from lake.maintenance.compaction import MAINTENANCE_KEY
from lake.maintenance.policy import TablePolicy
from lake.transactions import LeanTransaction

_MIN_COUNT = "commit.manifest.min-count-to-merge"
_TARGET_BYTES = "commit.manifest.target-size-bytes"
_DEFAULTS = {_MIN_COUNT: 100, _TARGET_BYTES: 8 * 1024 * 1024}


@dataclass(frozen=True)
class Size:
    """How large a table's metadata and data are now."""

    snapshots: int
    manifests: int
    metadata_bytes: int
    data_files: int
    data_bytes: int


def size_of(table: Table) -> Size:
    """Return how large a table is; metadata_bytes: of metadata.json, list and manifests."""
    current = table.current_snapshot()
    listed = current.manifests(table.io) if current else []
    summary = current.summary.additional_properties if current and current.summary else {}
    metadata = len(table.io.new_input(table.metadata_location))
    if current:
        metadata += len(table.io.new_input(current.manifest_list))
    return Size(
        snapshots=len(table.metadata.snapshots),
        manifests=len(listed),
        metadata_bytes=metadata + sum(m.manifest_length for m in listed),
        data_files=int(summary.get("total-data-files") or 0),
        data_bytes=int(summary.get("total-files-size") or 0),
    )


def keep_few_versions(catalog: Catalog, identifier: str, policy: TablePolicy) -> bool:
    """Let every commit delete the versions of metadata.json that are too many; tell of a change.

    For the tables that were made without, and when the policy changed.
    """
    table = catalog.load_table(identifier)
    wanted = {
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": str(policy.metadata_versions),
    }
    if all(table.properties.get(k) == v for k, v in wanted.items()):
        return False
    try:
        with table.transaction() as tx:
            tx.set_properties(wanted)
    except CommitFailedException:
        return False  # the next run does it
    return True


def merge_manifests(
    catalog: Catalog, identifier: str, policy: TablePolicy, *, dry_run: bool = False
) -> int:
    """Merge small manifests when there are too many; return how many fewer there are."""
    table = catalog.load_table(identifier)
    current = table.current_snapshot()
    if current is None:
        return 0
    listed = current.manifests(table.io)
    target = _property(table, _TARGET_BYTES)
    small = [m for m in listed if m.manifest_length < target / 2]
    if len(small) <= max(policy.max_manifests, _property(table, _MIN_COUNT)):
        return 0
    if dry_run:
        return len(small) - 1
    summary = {**carried(table), MAINTENANCE_KEY: "merge-manifests"}
    try:
        with LeanTransaction(table) as tx:  # an append of nothing merges what is there
            tx.update_snapshot(snapshot_properties=summary).merge_append().commit()
    except (CommitFailedException, ValidationException):
        return 0  # a writer came first; the next run does it
    crashpoint("manifests_merged")
    merged = table.current_snapshot()
    return len(listed) - len(merged.manifests(table.io)) if merged else 0


def _property(table: Table, name: str) -> int:
    return int(table.properties.get(name, _DEFAULTS[name]))
