"""The rows of a Parquet object, piece by piece, counted against its limits.

Belongs here: opening, damage, and how much one piece may hold. Does not: which columns are read
(parquet_schema), what they mean (lake.columnar).

Text is read as dictionaries: a file of a few kilobytes can say that a value of megabytes stands
in a million rows, and only what is written out once is bounded by the file. What the values would
take as text in rows is counted before they are written out. A footer that lies costs at most one
page (2 GiB) at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.codecs import codec_of, other_type
from lake.limits import Limits
from lake.parquet_schema import chosen, parts_of, with_uuids
from lake.parquet_values import cleaned, hashed, sizes_of, spelled
from lake.refused import RefusedError
from lake.unpacked import Meter

_BATCH_ROWS = 65_536
_PIECE_BYTES = 64 * 1024 * 1024
_NESTED_BATCH_ROWS = 512
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"


@dataclass(frozen=True)
class Piece:
    """Some rows. rows: `rn` (from 1 in the piece) and the fields that the object has.

    first: rows before it. bad: rn -> why its values cannot be used; they are replaced in rows.
    long: rn -> field -> text of a row that is too long, of which rows hold nothing; a text of
    more than a line's excerpt is given by its hash.
    """

    rows: pa.Table
    first: int
    bad: Mapping[int, str]
    long: Mapping[int, Mapping[str, str]]


class ParquetRows:
    """An open Parquet object; raises RefusedError where it is damaged or costs too much.

    field_of: the field that a column holds, None for an unknown one.
    """

    def __init__(
        self,
        stream: BinaryIO,
        size: int,
        field_of: Callable[[str], str | None],
        limits: Limits,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._limits = limits
        self._meter = Meter(size, limits, spent)
        _require_parquet(stream)
        with _damage():
            file = pa.PythonFile(stream, mode="r")
            footer = pq.read_metadata(file)
            self._require_cheap(footer)
            leaves = [footer.schema.column(at) for at in range(footer.num_columns)]
            schema = with_uuids(footer.schema.to_arrow_schema(), leaves)
            #: field -> column
            self.columns, self.unknown = chosen(schema, field_of)
            self._paths = [p for c in self.columns.values() for p in parts_of(schema.field(c))[0]]
            texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
            self._file = _opened(file, footer, texts)
            self._is_nested = any(pa.types.is_struct(schema.field(c).type)
                                  for c in self.columns.values())  # fmt: skip
            self._flat = _opened(file, footer, [t for t in texts if "." not in t])
        self._footer = footer

    def _require_cheap(self, footer: pq.FileMetaData) -> None:
        if footer.num_rows > self._limits.max_rows:
            raise RefusedError(
                "bomb",
                f"expected at most {self._limits.max_rows} rows (limits.max_rows), found a footer "
                f"that says {footer.num_rows}.",
            )
        groups = range(footer.num_row_groups)
        self._meter.require(sum(footer.row_group(i).total_byte_size for i in groups))

    def require(self, fields: Iterable[str]) -> None:
        """Refuse an object that has no column for a field."""
        missing = sorted(set(fields) - set(self.columns))
        if missing:
            raise RefusedError(
                "bad_schema",
                f"expected columns for {', '.join(fields)}, found none for {', '.join(missing)} "
                f"among {len(self.columns) + len(self.unknown)}.",
            )

    def pieces(self) -> Iterator[Piece]:
        """Give all rows in order."""
        done = 0
        for batch in self._batches():
            sizes = sum(
                (sizes_of(batch.column(c)) for c in self.columns.values()),
                np.zeros(batch.num_rows, dtype=np.int64),
            )
            self._meter.add(int(sizes.sum()))
            is_long = sizes > self._limits.max_line_bytes
            for start, stop in _cuts(np.where(is_long, 0, sizes)):
                yield self._piece(batch.slice(start, stop - start), is_long[start:stop], done)
                done += stop - start
        if done != self._footer.num_rows:
            raise RefusedError(
                "corrupt", f"expected {self._footer.num_rows} rows by its footer, found {done}."
            )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Give all rows as the reader has them.

        Arrow cannot give text inside a struct as a dictionary where the dictionary changes: such
        a row group is read on written out, a few rows at a time.
        """
        if not self._is_nested:
            yield from self._read(self._file, _BATCH_ROWS, range(self._footer.num_row_groups))
            return
        for group in range(self._footer.num_row_groups):
            done = 0
            try:
                for batch in self._read(self._file, _BATCH_ROWS, [group]):
                    yield batch
                    done += batch.num_rows
            except pa.ArrowNotImplementedError:
                for batch in self._read(self._flat, _NESTED_BATCH_ROWS, [group]):
                    if batch.num_rows > done:
                        yield batch.slice(done)
                    done = max(0, done - batch.num_rows)

    def _read(
        self, file: pq.ParquetFile, rows: int, groups: Iterable[int]
    ) -> Iterator[pa.RecordBatch]:
        batches = file.iter_batches(
            rows, row_groups=list(groups), columns=self._paths, use_threads=False
        )
        while True:
            with _damage(
                pa.ArrowNotImplementedError if self._is_nested and file is self._file else ()
            ):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _piece(self, batch: pa.RecordBatch, is_long: npt.NDArray[np.bool_], first: int) -> Piece:
        bad: dict[int, str] = {}
        long: dict[int, dict[str, str]] = {n + 1: {} for n in np.flatnonzero(is_long).tolist()}
        columns: dict[str, pa.Array] = {"rn": pa.array(np.arange(1, batch.num_rows + 1))}
        for field, name in self.columns.items():
            column = spelled(batch.column(name))
            if long:
                for number, shown in hashed(column, long).items():
                    long[number][field] = shown
                column = pc.if_else(pa.array(is_long), pa.scalar(None, column.type), column)
            columns[field] = cleaned(column, bad)
        return Piece(pa.table(columns), first, bad | dict.fromkeys(long, "line_too_long"), long)


def is_parquet(stream: BinaryIO) -> bool:
    """Tell whether an object begins as a Parquet file does."""
    head = stream.read(4)
    stream.seek(0)
    return head in (_MAGIC, _ENCRYPTED)


def column_names(stream: BinaryIO) -> list[str]:
    """Return the names of the columns of a Parquet object; raises RefusedError."""
    _require_parquet(stream)
    with _damage():
        names = list(
            pq.read_metadata(pa.PythonFile(stream, mode="r")).schema.to_arrow_schema().names
        )
    stream.seek(0)
    return names


def _opened(file: pa.PythonFile, footer: pq.FileMetaData, texts: list[str]) -> pq.ParquetFile:
    """Open a file; texts: paths of the leaves to be read as dictionaries."""
    return pq.ParquetFile(
        file,
        metadata=footer,
        read_dictionary=texts,
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _require_parquet(stream: BinaryIO) -> None:
    head = stream.read(16)
    if not head:
        raise RefusedError("zero_bytes", "expected a Parquet file, found no byte.")
    end = stream.seek(0, 2)
    stream.seek(max(0, end - 4))
    tail = stream.read(4)
    stream.seek(0)
    if head[:4] == _ENCRYPTED or (head[:4] == _MAGIC and tail == _ENCRYPTED):
        raise RefusedError("encrypted", "expected a Parquet file, found an encrypted one.")
    if head[:4] != _MAGIC:
        packed = codec_of(head)
        what = f"a {packed} stream" if packed != "plain" else other_type(head)
        what = what or f"bytes that begin {head[:4].hex(' ')}"
        raise RefusedError(
            "wrong_container",
            f"expected a Parquet file, found {what}.",
        )
    if tail != _MAGIC or end < 12:
        raise RefusedError("truncated", "expected a Parquet file, found one without its footer.")


def _cuts(sizes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut rows so that no part has many more bytes than a piece may have."""
    part = np.cumsum(sizes) // _PIECE_BYTES
    edges = (np.flatnonzero(np.diff(part)) + 1).tolist()
    yield from zip([0, *edges], [*edges, len(sizes)], strict=True)


#: part of a message -> reason
_SAID = {"crypt": "encrypted", "CRC checksum": "crc", "magic bytes not found": "truncated"}


@contextmanager
def _damage(
    passed: type[Exception] | tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Make what the reader finds wrong with the object a refusal; `passed` comes through."""
    try:
        yield
    except passed:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        # the storage's fault, or no memory: not the object's
        if isinstance(err, MemoryError) or (isinstance(err, OSError) and err.errno is not None):
            raise
        text = " ".join(str(err).split())[:300]
        reason = next((r for said, r in _SAID.items() if said in text), "corrupt")
        raise RefusedError(
            reason, f"expected a whole Parquet file, found that it cannot be read: {text}."
        ) from err
