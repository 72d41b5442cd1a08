"""The commit: one batch of deliveries becomes visible once, whatever happens.

The order is bronze, ops.rejects, ops.check_results, ops.deliveries. The first of them that has
something to say carries the batch: its snapshot names the batch and its manifest, an immutable
file that lists everything the later tables still have to get. `complete_pending` does that for
every batch that was cut off, its own or another worker's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import In
from pyiceberg.table import Table

from lake.arrow_schema import arrow_schema
from lake.batches import BATCH_KEY, MANIFEST_KEY, batches_of, recorded
from lake.catalog import table_of
from lake.crash import crashpoint
from lake.datafiles import describe_files
from lake.records import (
    BRONZE,
    CHECK_RESULTS,
    DELIVERIES,
    REJECTS,
    Record,
)

_FOLLOWERS = (REJECTS, CHECK_RESULTS, DELIVERIES)
_CRASH_AFTER = {
    REJECTS.identifier: "rejects_committed",
    CHECK_RESULTS.identifier: "check_results_committed",
    DELIVERIES.identifier: "deliveries_committed",
}


class LostRaceError(Exception):
    """Another worker committed first; nothing of this batch is visible: settle again."""


@dataclass(frozen=True)
class Manifest:
    """What a batch consists of: data files by table, and the deliveries whose rows go."""

    batch_id: str
    table_name: str
    files: dict[str, list[str]]
    removed: list[str]


@dataclass(frozen=True)
class Handles:
    """Tables as they were before the ledger was read: a commit on them detects what came since."""

    bronze: Table
    followers: dict[str, Table]


def open_handles(catalog: Catalog, record: Record) -> Handles:
    """Load the tables of a batch; call it before reading the ledger."""
    return Handles(
        table_of(catalog, record), {r.identifier: table_of(catalog, r) for r in _FOLLOWERS}
    )


def write_data_file(table: Table, rows: pa.Table, name: str) -> str:
    """Write one uncommitted Parquet file of an unpartitioned or single-partition table."""
    schema = arrow_schema(table.schema())
    uri = table.location_provider().new_data_location(f"{name}.parquet")
    with table.io.new_output(uri).create(overwrite=True) as stream:
        pq.write_table(
            pa.Table.from_arrays([rows.column(f.name).cast(f.type) for f in schema], schema=schema),
            stream,
            compression="zstd",
        )
    return uri


def write_manifest(handles: Handles, manifest: Manifest) -> str:
    """Write the manifest beside the ledger table and return where it is."""
    home = handles.followers[DELIVERIES.identifier]
    uri = f"{home.location()}/manifests/{manifest.batch_id}.json"
    with home.io.new_output(uri).create(overwrite=True) as stream:
        stream.write(json.dumps(asdict(manifest), indent=1).encode())
    crashpoint("manifest_written")
    return uri


def read_manifest(table: Table, uri: str) -> Manifest:
    """Read a manifest back."""
    with table.io.new_input(uri).open() as stream:
        return Manifest(**json.loads(stream.read()))


def commit_batch(catalog: Catalog, handles: Handles, manifest: Manifest) -> None:
    """Make a batch visible; raises LostRaceError when another commit came first.

    Only the first table is committed on the handle as it was: that is what makes the check
    against the ledger and the commit one. The others are completed like a cut-off batch's.
    """
    uri = write_manifest(handles, manifest)
    summary = {BATCH_KEY: manifest.batch_id, MANIFEST_KEY: uri}
    bronze_files = manifest.files.get(manifest.table_name, [])
    if bronze_files or manifest.removed:
        _strict(handles.bronze, bronze_files, manifest.removed, summary)
        crashpoint("bronze_committed")
    else:
        first = next(r for r in _FOLLOWERS if manifest.files.get(r.identifier))
        _strict(handles.followers[first.identifier], manifest.files[first.identifier], [], summary)
        crashpoint(_CRASH_AFTER[first.identifier])
    complete(catalog, manifest, uri)


def complete(catalog: Catalog, manifest: Manifest, uri: str) -> None:
    """Bring the follower tables to where the manifest says; what is done already is left."""
    for follower in _FOLLOWERS:
        files = manifest.files.get(follower.identifier, [])
        while files:
            table = table_of(catalog, follower)
            if recorded(table, follower, [manifest.batch_id]):
                break
            try:
                _strict(table, files, [], {BATCH_KEY: manifest.batch_id, MANIFEST_KEY: uri})
            except LostRaceError:
                continue
            crashpoint(_CRASH_AFTER[follower.identifier])
            break


def complete_pending(catalog: Catalog) -> int:
    """Finish every batch that some table carries and the ledger does not; return how many."""
    found = pending_batches(catalog)
    for table, uri in found.values():
        complete(catalog, read_manifest(table, uri), uri)
    return len(found)


def pending_batches(catalog: Catalog) -> dict[str, tuple[Table, str]]:
    """Return batch id -> (a table that carries it, its manifest) of what the ledger lacks."""
    started: dict[str, tuple[Table, str]] = {}
    for table in (table_of(catalog, r) for r in (*BRONZE, REJECTS, CHECK_RESULTS)):
        for batch, uri in batches_of(table).items():
            started.setdefault(batch, (table, uri))
    finished = recorded(table_of(catalog, DELIVERIES), DELIVERIES, started)
    return {batch: where for batch, where in started.items() if batch not in finished}


def _strict(
    table: Table, files: Sequence[str], removed: Sequence[str], summary: dict[str, str]
) -> None:
    """Commit on the handle as it is: delete and append in one transaction."""
    data_files = describe_files(table, files)
    properties: dict[str, Any] = dict(summary)
    try:
        with table.transaction() as tx:
            if removed:
                tx.delete(In("delivery_id", tuple(removed)), snapshot_properties=properties)
            if data_files:
                with tx.update_snapshot(snapshot_properties=properties).fast_append() as append:
                    for data_file in data_files:
                        append.append_data_file(data_file)
    except (CommitFailedException, ValidationException) as err:
        raise LostRaceError(str(err)) from err
