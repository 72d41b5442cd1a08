"""The commit: one batch of deliveries becomes visible once, whatever happens.

ops.deliveries is the gate. A batch is decided the moment its rows stand there, on the very state
of the ledger that it was planned on; its snapshot names the batch and its manifest, an immutable
file that lists what the other tables still have to get. Bronze, ops.rejects and ops.check_results
follow from the manifest. Nobody plans on a ledger whose last batch is not complete, so at most one
batch is ever pending, and whoever comes next completes it: `open_handles` and `complete_pending`.

Every snapshot that Weir writes on these tables names the last batch applied (`carried`): expiring
all snapshots but the current ones loses nothing of this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import In
from pyiceberg.table import Table

from lake.arrow_schema import arrow_schema
from lake.batches import BATCH_KEY, MANIFEST_KEY, Manifest, carried, is_applied, last_batch
from lake.catalog import table_of
from lake.crash import crashpoint
from lake.datafiles import describe_files
from lake.outcome import UNSURE, happened
from lake.records import CHECK_RESULTS, DELIVERIES, RECORDS, REJECTS, Record
from lake.transactions import LeanTransaction
from lake.writing import delete_files

_CRASH_AFTER = {
    "bronze": "bronze_committed",
    REJECTS.identifier: "rejects_committed",
    CHECK_RESULTS.identifier: "check_results_committed",
}


class LostRaceError(Exception):
    """Another worker committed first; nothing of this batch is visible: settle again."""


@dataclass(frozen=True)
class Handles:
    """Tables of a batch; `ledger` as it was when everything in it was complete.

    A commit on `ledger` detects every batch that was decided since.
    """

    bronze: Table
    rejects: Table
    check_results: Table
    ledger: Table


def open_handles(catalog: Catalog, record: Record) -> Handles:
    """Load the tables of a batch; plan on exactly the ledger it gives.

    The order matters: what is decided when `ledger` is loaded is complete when this returns.
    """
    ledger = table_of(catalog, DELIVERIES)
    complete_pending(catalog)
    return Handles(
        table_of(catalog, record),
        table_of(catalog, REJECTS),
        table_of(catalog, CHECK_RESULTS),
        ledger,
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
    uri = f"{handles.ledger.location()}/manifests/{manifest.batch_id}.json"
    with handles.ledger.io.new_output(uri).create(overwrite=True) as stream:
        stream.write(json.dumps(asdict(manifest), indent=1).encode())
    crashpoint("manifest_written")
    return uri


def read_manifest(table: Table, uri: str) -> Manifest:
    """Read a manifest back."""
    with table.io.new_input(uri).open() as stream:
        return Manifest(**json.loads(stream.read()))


def commit_batch(catalog: Catalog, handles: Handles, manifest: Manifest) -> None:
    """Make a batch visible; raises LostRaceError when another batch was decided first.

    Nothing of a batch that lost is visible, and what was written for it alone is deleted.
    """
    uri = write_manifest(handles, manifest)
    summary = {BATCH_KEY: manifest.batch_id, MANIFEST_KEY: uri}
    try:
        _strict(handles.ledger, manifest.files[DELIVERIES.identifier], [], summary)
    except LostRaceError:
        own = [f for t, files in manifest.files.items() if t != manifest.table_name for f in files]
        delete_files(handles.ledger, [*own, uri])
        raise
    crashpoint("deliveries_committed")
    complete(catalog, manifest, uri)


def complete(catalog: Catalog, manifest: Manifest, uri: str) -> None:
    """Bring the other tables to where the manifest says; what is done already is left."""
    bronze = RECORDS[manifest.table_name]
    for record in (bronze, REJECTS, CHECK_RESULTS):
        files = manifest.files.get(record.identifier, [])
        removed = manifest.removed_from(record.identifier)
        while files or removed:
            table = table_of(catalog, record)
            last = last_batch(table_of(catalog, DELIVERIES))
            if last is not None and last.batch_id != manifest.batch_id:
                return  # who decided the next batch completed this one first
            if is_applied(table, manifest):
                break
            try:
                _strict(table, files, removed, {BATCH_KEY: manifest.batch_id, MANIFEST_KEY: uri})
            except LostRaceError:
                continue
            crashpoint(_CRASH_AFTER["bronze" if record is bronze else record.identifier])
            break


def complete_pending(catalog: Catalog) -> int:
    """Finish the batch that was decided last, where it was cut off; return how many: 0 or 1."""
    found = pending_batch(catalog)
    if found is None:
        return 0
    complete(catalog, *found)
    return 1


def pending_batch(catalog: Catalog) -> tuple[Manifest, str] | None:
    """Return the batch that is decided but not everywhere yet, and where its manifest is."""
    ledger = table_of(catalog, DELIVERIES)
    last = last_batch(ledger)
    if last is None:
        return None
    manifest = read_manifest(ledger, last.manifest)
    waiting = {t for t, files in manifest.files.items() if files and t != DELIVERIES.identifier}
    waiting |= {t for t in (manifest.table_name, REJECTS.identifier) if manifest.removed_from(t)}
    if all(is_applied(table_of(catalog, RECORDS[t]), manifest) for t in waiting):
        return None
    return manifest, last.manifest


def append_rows(
    catalog: Catalog, record: Record, rows: pa.Table, summary: Mapping[str, str] | None = None
) -> None:
    """Append rows that depend on no others; a lost race is tried again."""
    while rows.num_rows:
        table = table_of(catalog, record)
        try:
            table.append(rows, snapshot_properties={**carried(table), **(summary or {})})
        except (CommitFailedException, ValidationException):
            continue
        return


def _strict(
    table: Table, files: Sequence[str], removed: Sequence[str], summary: dict[str, str]
) -> None:
    """Commit on the handle as it is: delete and append in one transaction.

    Returns when it is committed, also where the answer to it got lost.
    """
    data_files = describe_files(table, files)
    properties: dict[str, Any] = dict(summary)
    try:
        with LeanTransaction(table) as tx:
            if removed:
                tx.delete(In("delivery_id", tuple(removed)), snapshot_properties=properties)
            if data_files:
                with tx.update_snapshot(snapshot_properties=properties).fast_append() as append:
                    for data_file in data_files:
                        append.append_data_file(data_file)
    except (CommitFailedException, ValidationException) as err:
        raise LostRaceError(str(err)) from err
    except UNSURE:
        if not happened(table, BATCH_KEY, summary[BATCH_KEY]):
            raise
