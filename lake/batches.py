"""Which batches a table has: by the snapshots it still keeps, and by its rows where those are gone.

Snapshots are expired, rows of the ledger are not: that a batch is done is decided by the rows of
ops.deliveries. Snapshots only answer faster, and name the manifests of batches that are not done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyiceberg.expressions import In
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of

from lake.records import CHECK_RESULTS, DELIVERIES, REJECTS, Record

BATCH_KEY = "weir.batch-id"
MANIFEST_KEY = "weir.manifest"
#: the column of each follower that names the batch of a row
BATCH_COLUMN: Mapping[str, str] = {
    REJECTS.identifier: "batch_id",
    CHECK_RESULTS.identifier: "run_id",
    DELIVERIES.identifier: "batch_id",
}


def batches_of(table: Table) -> dict[str, str]:
    """Return batch id -> manifest of every snapshot that the table's own history still has."""
    current = table.current_snapshot()
    if current is None:
        return {}
    found: dict[str, str] = {}
    for snapshot in ancestors_of(current, table.metadata):
        if snapshot.summary is not None and (batch := snapshot.summary.get(BATCH_KEY)):
            found[batch] = snapshot.summary.get(MANIFEST_KEY) or ""
    return found


def recorded(table: Table, record: Record, batches: Collection[str]) -> set[str]:
    """Return those of the batches that a follower table has rows of.

    Reads one column, and only where a snapshot does not tell: its cost is that of the batches
    asked for and of the table's files, which compaction keeps few; never of how many were
    committed.
    """
    asked = set(batches)
    found = asked & batches_of(table).keys()
    missing = asked - found
    if missing and table.current_snapshot() is not None:
        column = BATCH_COLUMN[record.identifier]
        rows = table.scan(row_filter=In(column, tuple(missing)), selected_fields=(column,))
        found.update(rows.to_arrow().column(column).to_pylist())
    return found
