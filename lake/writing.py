"""Uncommitted data files: the rows of one delivery as one Parquet file an hour of event time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.table import Table

from lake.arrow_schema import arrow_schema
from lake.slices import taken

_DELTA_LENGTH = ("row_key", "request_id", "client_ip", "event_id", "session_id", "user_key")
_DELTA_BINARY = (
    "event_time", "end_time", "source_line", "bytes_out_total", "bytes_out_body", "bytes_in",
    "producer_seq", "watch_ms",
)  # fmt: skip

_HOUR = timedelta(hours=1)
#: rows that tell whether a column's values repeat
_SAMPLE_ROWS = 1024
#: rows of a delivery that wait for more of their hour: two chunks of text are about as much
_MAX_WAITING_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class StagedFile:
    """One uncommitted data file: an hour of a delivery."""

    uri: str
    hour: datetime
    rows: int


class HourlyWriter:
    """Writes the rows of one delivery as one Parquet file an hour of event time.

    A file has only the columns that hold anything, where that is known when it is begun: a log
    fills half of the record, and a column of nulls costs its pages and its part of the footer.
    Readers find null in a column that a file lacks.
    """

    def __init__(self, table: Table, name: str, schema: pa.Schema | None = None) -> None:
        """Write rows of `name` for a table; schema: the table's, where it is known already."""
        self._table = table
        self._name = name
        self._schema = arrow_schema(table.schema()) if schema is None else schema
        self._options: dict[str, object] | None = None
        self._open: dict[datetime, tuple[str, pa.NativeFile, pq.ParquetWriter]] = {}
        self._waiting: dict[datetime, list[pa.Table]] = {}
        self._waiting_bytes = 0
        self._rows: dict[datetime, int] = {}
        self.event_min: datetime | None = None
        self.event_max: datetime | None = None

    def write(self, rows: pa.Table) -> None:
        """Split rows by hour and append each part to its file."""
        bounds = pc.min_max(rows.column("event_time")).as_py()
        low, high = bounds["min"], bounds["max"]
        self.event_min = low if self.event_min is None else min(self.event_min, low)
        self.event_max = high if self.event_max is None else max(self.event_max, high)
        rows = pa.Table.from_arrays(rows.columns, schema=self._schema)
        first = low.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if high - first < _HOUR:
            self._append(first, rows)
            return
        hours = pc.floor_temporal(rows.column("event_time"), unit="hour")
        for hour in sorted(pc.unique(hours).to_pylist()):
            is_in = pc.equal(hours, hour).to_numpy()
            self._append(hour.astimezone(UTC), taken(rows, is_in))

    def close(self) -> tuple[StagedFile, ...]:
        """Finish the files and name them."""
        self._flush(is_last=True)
        for _, stream, writer in self._open.values():
            writer.close()
            stream.close()
        return tuple(StagedFile(self._open[h][0], h, rows) for h, rows in self._rows.items())

    def discard(self) -> None:
        """Close and delete what was written; a file that cannot be finished goes like the rest."""
        for _, stream, writer in self._open.values():
            with suppress(OSError, pa.ArrowException):
                writer.close()
            with suppress(OSError, pa.ArrowException):
                stream.close()
        delete_files(self._table, [uri for uri, _, _ in self._open.values()])

    def _append(self, hour: datetime, rows: pa.Table) -> None:
        self._waiting.setdefault(hour, []).append(rows)
        self._waiting_bytes += rows.nbytes
        self._rows[hour] = self._rows.get(hour, 0) + rows.num_rows
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self._flush(is_last=False)

    def _flush(self, *, is_last: bool) -> None:
        """Write what waits, one row group an hour: a few rescued lines are no group of their own.

        A group of forty columns costs a dictionary and a page each, however few rows are in it.
        """
        for hour, parts in self._waiting.items():
            rows = pa.concat_tables(parts)
            if hour not in self._open:
                self._begin(hour, self._filled(rows) if is_last else self._schema, rows)
            writer = self._open[hour][2]
            writer.write_table(rows.select(writer.schema.names))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _filled(self, rows: pa.Table) -> pa.Schema:
        """Return the columns that these rows need: not those that are null in all of them."""
        return pa.schema(
            [
                f
                for f, column in zip(self._schema, rows.columns, strict=True)
                if not f.nullable or column.null_count < rows.num_rows
            ],
            self._schema.metadata,
        )

    def _begin(self, hour: datetime, schema: pa.Schema, rows: pa.Table) -> None:
        """Open the file of an hour; the first rows of a delivery tell how all its files are."""
        if self._options is None:
            bounded = bounded_columns(self._table)
            self._options = writer_options(self._schema, bounded, rows.slice(0, _SAMPLE_ROWS))
        name = f"{hour:%Y%m%dT%H}-{self._name}-{uuid.uuid4().hex[:12]}.parquet"
        uri = self._table.location_provider().new_data_location(name)
        stream = self._table.io.new_output(uri).create()
        self._open[hour] = (uri, stream, pq.ParquetWriter(stream, schema, **self._options))


def bounded_columns(table: Table) -> list[str]:
    """Return the columns that the table keeps statistics of."""
    prefix = "write.metadata.metrics.column."
    kept = (k.removeprefix(prefix) for k in table.properties if k.startswith(prefix))
    names = set(table.schema().column_names)
    return [k for k in kept if k in names]


def writer_options(
    schema: pa.Schema, bounded: Sequence[str], sample: pa.Table | None = None
) -> dict[str, object]:
    """Return pyarrow writer options: zstd-1 and the encodings that measured best.

    bounded: the columns whose least and greatest value may stand in the footer. sample: some
    rows; columns that mostly differ in them get no dictionary, which would be made in vain.
    """
    encodings = {n: "DELTA_LENGTH_BYTE_ARRAY" for n in _DELTA_LENGTH if n in schema.names}
    encodings |= {n: "DELTA_BINARY_PACKED" for n in _DELTA_BINARY if n in schema.names}
    if sample is not None:
        encodings |= {f.name: e for f in schema if (e := _encoding_without_dictionary(sample, f))}
    leaves = [p for f in schema for p in _leaves(f.name, f.type) if f.name not in encodings]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": leaves,
        "column_encoding": encodings or None,
        # footers outlive rows like manifests do: no bounds of addresses, users or paths
        "write_statistics": list(bounded),
    }


def _encoding_without_dictionary(sample: pa.Table, field: pa.Field) -> str | None:
    """Return the encoding of a column whose values mostly differ; None for any other."""
    is_text = pa.types.is_string(field.type) or pa.types.is_binary(field.type)
    if not (is_text or pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type)):
        return None
    if pc.count_distinct(sample.column(field.name)).as_py() * 2 < _SAMPLE_ROWS:
        return None
    return "DELTA_LENGTH_BYTE_ARRAY" if is_text else "DELTA_BINARY_PACKED"


def _leaves(path: str, type_: pa.DataType) -> list[str]:
    if pa.types.is_struct(type_):
        return [p for f in type_ for p in _leaves(f"{path}.{f.name}", f.type)]
    if pa.types.is_map(type_):
        return [f"{path}.key_value.key", f"{path}.key_value.value"]
    return [path]


def delete_files(table: Table, uris: Sequence[str]) -> None:
    """Delete uncommitted files; one that is gone already is fine."""
    for uri in uris:
        with suppress(FileNotFoundError):
            table.io.delete(uri)
