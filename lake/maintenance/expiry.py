"""Expiry: snapshots that nobody reads and no batch still needs leave the metadata.

Deletes no file: lake/maintenance/sweep.py does, later. What was loaded stays known: the ledger is
rows, and every snapshot names the batch applied last (lake/batches.py), the current one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from lake.catalog import table_of
from lake.crash import crashpoint
from lake.maintenance.policy import TablePolicy
from lake.reads import connect, relation_sql
from lake.records import RELEASES
from lake.releases import served_release

_TRIES = 5


def expire(
    catalog: Catalog,
    identifier: str,
    policy: TablePolicy,
    pinned: frozenset[int],
    now: datetime,
    *,
    dry_run: bool = False,
) -> int:
    """Expire what the policy no longer keeps of a table; return how many snapshots.

    pinned: snapshots that are kept whatever their age. What a busy table does not allow in a few
    tries is left for the next time.
    """
    for _ in range(_TRIES):
        table = catalog.load_table(identifier)
        gone = expirable(table, policy, pinned, now)
        if not gone or dry_run:
            return len(gone)
        try:
            table.maintenance.expire_snapshots().by_ids(gone).commit()
        except (CommitFailedException, ValueError):
            # another commit came first; pyiceberg says ValueError where another expiry did
            continue
        crashpoint("snapshots_expired")
        return len(gone)
    return 0


def expirable(
    table: Table, policy: TablePolicy, pinned: frozenset[int], now: datetime
) -> list[int]:
    """Return the snapshots that may go.

    Kept are the newest of the main line, those superseded within the snapshot grace, pinned and
    named ones.
    """
    current = table.current_snapshot()
    if current is None:
        return []
    line = list(ancestors_of(current, table.metadata))
    kept = {s.snapshot_id for s in line[: _kept_by_age(line, policy, now)]} | pinned
    kept |= {ref.snapshot_id for ref in table.metadata.refs.values()}
    in_line = {s.snapshot_id for s in line}
    return [
        s.snapshot_id
        for s in table.metadata.snapshots
        if s.snapshot_id not in kept
        and (s.snapshot_id in in_line or _at(s) < now - policy.snapshot_grace)
    ]


def _kept_by_age(line: list[Snapshot], policy: TablePolicy, now: datetime) -> int:
    """Return how many of the main line, newest first, are kept for readers."""
    kept = policy.keep_snapshots
    for successor, index in zip(line, range(1, len(line)), strict=False):
        if _at(successor) >= now - policy.snapshot_grace:
            kept = max(kept, index + 1)
    return kept


def _at(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)


def pins_of_releases(
    catalog: Catalog, serving_file: Path | None, grace: timedelta, now: datetime
) -> Mapping[str, frozenset[int]]:
    """Return by gold table the snapshots that a release still needs.

    Those of the newest release, of the one that the serving file shows, and of every release that
    was superseded less than the grace ago.
    """
    with connect(catalog) as connection:
        rows = connection.execute(
            "select release_no, lead(released_at) over (order by release_no), marts "
            f"from ({relation_sql(table_of(catalog, RELEASES))})"
        ).fetchall()
    shown = served_release(serving_file) if serving_file else None
    found: dict[str, set[int]] = {}
    for number, superseded_at, marts in rows:
        if superseded_at is None or superseded_at >= now - grace or number == shown:
            for mart in marts:
                found.setdefault(mart["mart"], set()).add(mart["snapshot_id"])
    return {mart: frozenset(ids) for mart, ids in found.items()}
