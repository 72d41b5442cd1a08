"""Which batch a table got last: what lets a batch that was cut off be finished, and only that one.

The newest snapshot that names a batch names the last one applied to the table, because every write
of Weir on these tables names it again (`carried`). So history may be expired down to the current
snapshot, and finding out costs the same after ten commits and after ten thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pyiceberg.expressions import BooleanExpression, EqualTo, In
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of

from lake.records import CHECK_RESULTS, REJECTS

BATCH_KEY = "weir.batch-id"
MANIFEST_KEY = "weir.manifest"
#: the column of a table that names the batch, for tables whose history was expired by others
BATCH_COLUMN: Mapping[str, str] = {
    REJECTS.identifier: "batch_id",
    CHECK_RESULTS.identifier: "run_id",
}


@dataclass(frozen=True)
class Manifest:
    """What a batch consists of: data files by table, deliveries whose rows go or come in bronze.

    cleared: deliveries whose rejected lines go, because they were read again.
    """

    batch_id: str
    table_name: str
    files: dict[str, list[str]]
    removed: list[str]
    loaded: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    def removed_from(self, table_name: str) -> list[str]:
        """Return the deliveries whose rows leave a table."""
        if table_name == REJECTS.identifier:
            return self.cleared
        return self.removed if table_name == self.table_name else []


class LastBatch(NamedTuple):
    """The batch that was last applied to a table, and where its manifest is."""

    batch_id: str
    manifest: str


def last_batch(table: Table) -> LastBatch | None:
    """Return the batch that the newest snapshot to name one names."""
    current = table.current_snapshot()
    if current is None:
        return None
    for snapshot in ancestors_of(current, table.metadata):
        if snapshot.summary is not None and (batch := snapshot.summary.get(BATCH_KEY)):
            return LastBatch(batch, snapshot.summary.get(MANIFEST_KEY) or "")
    return None


def carried(table: Table) -> dict[str, str]:
    """Return the snapshot properties that any other write on these tables must carry on."""
    last = last_batch(table)
    return {} if last is None else {BATCH_KEY: last.batch_id, MANIFEST_KEY: last.manifest}


def is_applied(table: Table, manifest: Manifest) -> bool:
    """Tell whether a table has got what the batch decided last has for it.

    No later batch can have been applied. Where no snapshot names any batch, somebody else rewrote
    the table and expired its history: the rows tell.
    """
    last = last_batch(table)
    if last is not None:
        return last.batch_id == manifest.batch_id
    if table.current_snapshot() is None:
        return False
    name = ".".join(table.name())
    if name in BATCH_COLUMN:
        return _has_rows(table, EqualTo(BATCH_COLUMN[name], manifest.batch_id))
    if set(manifest.loaded) & set(manifest.removed):
        return False  # their rows look alike before and after; doing it again changes nothing
    if manifest.loaded:
        return _has_rows(table, In("delivery_id", tuple(manifest.loaded)))
    return not _has_rows(table, In("delivery_id", tuple(manifest.removed)))


def _has_rows(table: Table, where: BooleanExpression) -> bool:
    found = table.scan(row_filter=where, selected_fields=(table.schema().fields[0].name,), limit=1)
    return bool(found.to_arrow().num_rows)
