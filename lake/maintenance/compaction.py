"""Compaction: many small files of one partition become few sorted ones; the rows stay the same.

Copy-on-write, as everything here: sources leave and results come in one commit, refused where a
writer came first. What was written is then offered again if its sources are still there, else it
is thrown away: a writer never waits for compaction, and never loses to it for good.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.transforms import HourTransform

from lake.arrow_schema import arrow_schema
from lake.batches import carried
from lake.crash import crashpoint
from lake.datafiles import describe_files
from lake.maintenance.policy import TablePolicy
from lake.reads import connect, files_sql, quote_identifier
from lake.transactions import LeanTransaction
from lake.writing import bounded_columns, delete_files, writer_options

MAINTENANCE_KEY = "weir.maintenance"
_TRIES = 5
_LARGE = 0.75  # of target_rows: such a file is left alone
_COMMIT_BYTES = 256 * 1024 * 1024  # sources of one commit, about
_COMMIT_PARTITIONS = 100
_BATCH_ROWS = 65_536
_MEMORY = "1GB"


class RowsChangedError(RuntimeError):
    """A rewrite that does not have the rows of its sources: it is not committed."""


@dataclass(frozen=True)
class Compaction:
    """What a compaction did to one table; given_up: partitions that writers kept changing."""

    partitions: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0
    given_up: int = 0

    def plus(self, other: Compaction) -> Compaction:
        """Return both together."""
        return Compaction(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))


def _values(of: Compaction) -> tuple[int, ...]:
    return tuple(vars(of).values())


@dataclass(frozen=True)
class _Rewrite:
    """One partition: the files that go and those that come."""

    sources: tuple[DataFile, ...]
    results: tuple[str, ...] = ()


def compact(
    catalog: Catalog,
    identifier: str,
    policy: TablePolicy,
    now: datetime,
    *,
    dry_run: bool = False,
    written: Callable[[], None] = lambda: None,
) -> Compaction:
    """Compact what the policy says of a table, a bounded amount a commit.

    written: called when files are written and not committed yet, for tests of races.
    """
    table = catalog.load_table(identifier)
    done = Compaction()
    for chunk in _chunks(due(table, policy, now)):
        if dry_run:
            done = done.plus(_outcome(chunk, [], 0))
            continue
        rewrites = [_rewrite(table, sources, policy) for sources in chunk]
        crashpoint("compaction_written")
        written()
        done = done.plus(_commit(table, rewrites))
        crashpoint("compaction_committed")
    return done


def due(table: Table, policy: TablePolicy, now: datetime) -> list[tuple[DataFile, ...]]:
    """Return the small files of every partition that is to be compacted, by partition."""
    spec = table.spec()
    groups: dict[tuple[object, ...], list[DataFile]] = {}
    for task in table.scan().plan_files():
        file = task.file
        if file.spec_id == spec.spec_id and file.record_count < policy.target_rows * _LARGE:
            key = tuple(file.partition[i] for i in range(len(spec.fields)))
            groups.setdefault(key, []).append(file)
    return [
        tuple(files)
        for key, files in sorted(groups.items(), key=lambda pair: repr(pair[0]))
        if len(files) >= policy.min_files and _is_closed(table, key, policy, now)
    ]


def _is_closed(table: Table, key: tuple[object, ...], policy: TablePolicy, now: datetime) -> bool:
    if policy.closed_after is None:
        return True
    fields = table.spec().fields
    if len(fields) != 1 or not isinstance(fields[0].transform, HourTransform):
        return True
    (hours,) = key
    if not isinstance(hours, int):
        return False
    end = datetime.fromtimestamp(0, UTC) + timedelta(hours=hours + 1)
    return end + policy.closed_after <= now


def _chunks(groups: Sequence[tuple[DataFile, ...]]) -> Iterator[list[tuple[DataFile, ...]]]:
    chunk: list[tuple[DataFile, ...]] = []
    size = 0
    for group in groups:
        chunk.append(group)
        size += sum(f.file_size_in_bytes for f in group)
        if size >= _COMMIT_BYTES or len(chunk) >= _COMMIT_PARTITIONS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _rewrite(table: Table, sources: tuple[DataFile, ...], policy: TablePolicy) -> _Rewrite:
    """Write the rows of the sources, sorted; memory does not grow with them."""
    schema = arrow_schema(table.schema())
    results: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="weir-") as spill, connect(table) as connection:
            connection.execute(f"set memory_limit = '{_MEMORY}'")
            connection.execute("set temp_directory = ?", [spill])
            relation = files_sql(table.schema().fields, (f.file_path for f in sources))
            order = ", ".join(quote_identifier(c) for c in policy.sort_by)
            ordered = f"{relation} order by {order}" if order else relation
            reader = connection.sql(ordered).to_arrow_reader(_BATCH_ROWS)
            written = _write(table, schema, reader, policy.target_rows, results)
        _require_same_rows(table, sources, written)
    except BaseException:
        delete_files(table, results)
        raise
    return _Rewrite(sources, tuple(results))


def _require_same_rows(table: Table, sources: Sequence[DataFile], written: int) -> None:
    expected = sum(f.record_count for f in sources)
    if written != expected:
        raise RowsChangedError(
            f"compaction of {'.'.join(table.name())} read {written} rows from {len(sources)} "
            f"files; expected {expected} by their manifests. Nothing was committed; look at the "
            f"first of them: {sources[0].file_path}"
        )


def _write(
    table: Table,
    schema: pa.Schema,
    batches: pa.RecordBatchReader,
    target_rows: int,
    results: list[str],
) -> int:
    """Write batches as files of about target_rows; names each in results; return the rows."""
    bounded = bounded_columns(table)
    options = writer_options(schema, bounded)
    if not bounded:  # a table that names no columns keeps bounds of all, as gold does
        options["write_statistics"] = True
    rows, in_file = 0, 0
    writer: pq.ParquetWriter | None = None
    stream = None
    name = uuid.uuid4().hex
    try:
        for batch in batches:
            if writer is None or in_file >= target_rows:
                if writer is not None and stream is not None:
                    writer.close()
                    stream.close()
                uri = table.location_provider().new_data_location(
                    f"compacted-{name}-{len(results)}.parquet"
                )
                results.append(uri)
                stream = table.io.new_output(uri).create()
                writer, in_file = pq.ParquetWriter(stream, schema, **options), 0
            part = pa.Table.from_batches([batch])
            columns = [part.column(f.name).cast(f.type) for f in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            in_file += batch.num_rows
            rows += batch.num_rows
    finally:
        if writer is not None and stream is not None:
            writer.close()
            stream.close()
    return rows


def _commit(table: Table, rewrites: Sequence[_Rewrite]) -> Compaction:
    """Swap sources for results in one commit; a rewrite whose sources changed is thrown away."""
    left = list(rewrites)
    for _ in range(_TRIES):
        results = describe_files(table, [uri for r in left for uri in r.results])
        summary = {**carried(table), MAINTENANCE_KEY: "compact"}
        try:
            with (
                LeanTransaction(table) as tx,
                tx.update_snapshot(snapshot_properties=summary).overwrite() as swap,
            ):
                for source in (f for r in left for f in r.sources):
                    swap.delete_data_file(source)
                for result in results:
                    swap.append_data_file(result)
        except (CommitFailedException, ValidationException):
            table.refresh()
            left, lost = _still_there(table, left)
            delete_files(table, [uri for r in lost for uri in r.results])
            if not left:
                break
            continue
        return _outcome([r.sources for r in left], results, len(rewrites) - len(left))
    delete_files(table, [uri for r in left for uri in r.results])
    return Compaction(given_up=len(rewrites))


def _still_there(
    table: Table, rewrites: Sequence[_Rewrite]
) -> tuple[list[_Rewrite], list[_Rewrite]]:
    """Part rewrites into those whose sources all are in the table still, and the others."""
    live = {task.file.file_path for task in table.scan().plan_files()}
    kept: list[_Rewrite] = []
    lost: list[_Rewrite] = []
    for r in rewrites:
        (kept if all(f.file_path in live for f in r.sources) else lost).append(r)
    return kept, lost


def _outcome(
    groups: Sequence[Sequence[DataFile]], results: Sequence[DataFile], given_up: int
) -> Compaction:
    sources = [f for group in groups for f in group]
    return Compaction(
        partitions=len(groups),
        files_before=len(sources),
        files_after=len(results),
        bytes_before=sum(f.file_size_in_bytes for f in sources),
        bytes_after=sum(f.file_size_in_bytes for f in results),
        rows=sum(f.record_count for f in sources),
        given_up=given_up,
    )
