"""The parser of small tables that come as Parquet: every row judged, every digit kept or refused.

Belongs here: from a column's values to the text that a judge of small tables reads. Does not: what
the columns mean (the families), opening and limits (parquet_rows).

Money is decimal. A floating point number is believed where it has no more digits than its type
keeps of any decimal (15 of a double, 6 of a float): it is the number that somebody wrote. One with
more is the outcome of an arithmetic; it is refused, or rounded where the source says to how many
decimals (published.round_decimals).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from lake.formats.base import Family, Reject, Row
from lake.formats.tabular import Tabular
from lake.parquet_rows import ParquetRows, Piece
from lake.parse import Constants, Parser, with_lines
from lake.protection import KEY_DESTROYED, Protection
from lake.rejects import rejected_row
from lake.repeats import Repeats
from lake.source import Source
from lake.totals import ParseTotals

#: significant digits that survive a floating point type, whatever they are
_DIGITS = {32: 6, 64: 15}
_LEAST_DECIMALS = 2

Values = dict[str, str]


class TableParser(Parser):
    """Parses Parquet objects of small tables. Not thread-safe: one parser a thread."""

    def __init__(self, source: Source, family: Family, protection: Protection | None) -> None:
        super().__init__(source, family, protection)
        if not isinstance(self.family, Tabular):
            raise TypeError(f"{family.name} is no family of small tables")
        self._table: Tabular = self.family
        self._layout = self._table.column_layout(source)
        #: names of columns that a field is read from, lower case
        self._names = {n.lower() for f in self._layout.fields for n in f.names}

    def parse(
        self,
        stream: BinaryIO,
        name: str,  # noqa: ARG002  (the content alone says that it is Parquet)
        size: int,
        constants: Constants,
        emit: Callable[[pa.Table], None],
    ) -> ParseTotals:
        """Parse one object; as lake.parse says."""
        totals = ParseTotals()
        self.raws.clear()
        self._repeats = Repeats()
        rows = ParquetRows(stream, size, self._field_of, self.source.limits)
        for f in self._layout.fields:
            if f.is_required and not {n.lower() for n in f.names} & rows.columns.keys():
                rows.require((f.names[0].lower(),))
        totals.note_unknown(rows.unknown)
        for piece in rows.pieces():
            self._piece(piece, constants, totals, emit)
            totals.require_mostly_good(self.source.limits)
        return totals

    def _field_of(self, column: str) -> str | None:
        return column.lower() if column.lower() in self._names else None

    def _piece(
        self,
        piece: Piece,
        constants: Constants,
        totals: ParseTotals,
        emit: Callable[[pa.Table], None],
    ) -> None:
        """Account for every row of a piece."""
        rows = [
            (dict(piece.long.get(number) or values), piece.bad.get(number) or fault)
            for number, (values, fault) in enumerate(self._texts(piece.rows), 1)
        ]
        self._account(rows, piece.first, constants, totals, emit)

    def _account(
        self,
        rows: Sequence[tuple[Values, str | None]],
        first: int,
        constants: Constants,
        totals: ParseTotals,
        emit: Callable[[pa.Table], None],
    ) -> None:
        """Account for rows: their values, and why one is rejected already. first: rows before."""
        rejects: dict[int, str] = {}
        good: list[tuple[int, Row]] = []
        for number, (values, reason) in enumerate(rows, 1):
            found = Reject(reason) if reason else self._table.judge_values(values, self._layout)
            if isinstance(found, Row):
                good.append((number, found))
            else:
                rejects[number] = found.reason
        rescued, late = self._rescue.rows(
            good, self._layout, constants.not_before, constants.not_after
        )
        rejects |= dict(late)
        for part in rescued:
            kept, lost = self._kept(with_lines(part, part.column("rn").to_numpy() + first))
            rejects |= {number - first: KEY_DESTROYED for number in lost}
            if kept.num_rows:
                totals.accepted += kept.num_rows
                emit(self._finish(kept, constants))
        for number, reason in sorted(rejects.items()):
            raw = json.dumps(
                rows[number - 1][0], ensure_ascii=False, separators=(",", ":")
            ).encode()
            totals.rejects.append(rejected_row(raw, first + number, reason))
            if self._protection is None:
                self.raws[first + number] = raw
        totals.lines += len(rows)

    def _texts(self, rows: pa.Table) -> Iterator[tuple[Values, str | None]]:
        """Give the values of each row that are not null as text, and why one is none."""
        names = [n for n in rows.column_names if n != "rn"]
        columns = [_plain_values(rows.column(n)) for n in names]
        is_rounded = self._layout.round_decimals is not None
        bits = [_bits(rows.schema.field(n).type) for n in names]
        for cells in zip(*columns, strict=True) if columns else [()] * rows.num_rows:
            values: Values = {}
            fault = None
            for name, value, width in zip(names, cells, bits, strict=True):
                if value is None:
                    continue
                values[name] = _text(value, width)
                if width and not is_rounded and not _is_short(values[name], width):
                    fault = "inexact_number"
                elif isinstance(value, _BeyondTime):
                    fault = "bad_time"
            yield values, fault


class _BeyondTime:
    """An instant that the calendar does not reach."""


def _bits(kind: pa.DataType) -> int:
    """Return how wide a floating point type is; 0 for any other."""
    return int(kind.bit_width) if pa.types.is_floating(kind) else 0


def _plain_values(column: pa.ChunkedArray) -> list[object]:
    """Return the values of a column; of instants microseconds are kept."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _BeyondTime()


def _text(value: object, bits: int) -> str:
    """Return a value as the judge reads it; numbers in plain digits.

    A decimal of a column has as many decimals as the column; its own end with the last that is not
    zero, and are at least two.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Decimal):
        whole, _, fraction = f"{value:f}".partition(".")
        kept = fraction.rstrip("0").ljust(min(_LEAST_DECIMALS, len(fraction)), "0")
        return f"{whole}.{kept}" if kept else whole
    if isinstance(value, float):
        shortest = str(np.float32(value)) if bits == 32 else repr(value)
        return f"{Decimal(shortest):f}" if np.isfinite(value) else shortest
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, _BeyondTime):
        return "beyond the calendar"
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_short(text: str, bits: int) -> bool:
    """Tell whether a floating point number is the decimal that somebody wrote, or no number."""
    digits = text.lstrip("-").replace(".", "")
    return not digits.isdigit() or len(digits.strip("0")) <= _DIGITS.get(bits, 3)
