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
    """Writes the rows of one delivery as one Parquet file an hour of event time."""

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
        self._flush()
        for _, stream, writer in self._open.values():
            writer.close()
            stream.close()
        return tuple(
            StagedFile(uri, hour, self._rows[hour]) for hour, (uri, _, _) in self._open.items()
        )

    def discard(self) -> None:
        """Close and delete what was written; a file that cannot be finished goes like the rest."""
        for _, stream, writer in self._open.values():
            with suppress(OSError, pa.ArrowException):
                writer.close()
            with suppress(OSError, pa.ArrowException):
                stream.close()
        delete_files(self._table, [uri for uri, _, _ in self._open.values()])

    def _append(self, hour: datetime, rows: pa.Table) -> None:
        if hour not in self._open:
            name = f"{hour:%Y%m%dT%H}-{self._name}-{uuid.uuid4().hex[:12]}.parquet"
            uri = self._table.location_provider().new_data_location(name)
            stream = self._table.io.new_output(uri).create()
            if self._options is None:
                bounded = bounded_columns(self._table)
                self._options = writer_options(self._schema, bounded, rows.slice(0, _SAMPLE_ROWS))
            writer = pq.ParquetWriter(stream, self._schema, **self._options)
            self._open[hour] = (uri, stream, writer)
            self._rows[hour] = 0
        self._waiting.setdefault(hour, []).append(rows)
        self._waiting_bytes += rows.nbytes
        self._rows[hour] += rows.num_rows
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what waits, one row group an hour: a few rescued lines are no group of their own.

        A group of forty columns costs a dictionary and a page each, however few rows are in it.
        """
        for hour, parts in self._waiting.items():
            self._open[hour][2].write_table(pa.concat_tables(parts))
        self._waiting.clear()
        self._waiting_bytes = 0


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
