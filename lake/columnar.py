"""The parser of columnar objects: rows of Parquet to typed records, rejects and counts.

The same as lake.parse for objects without lines: a line is a row, numbered from 1; header and
blank lines there are none. What the typed read does not vouch for becomes its canonical JSON
(declared fields that are not null, in their order, as text) and is judged as a line of JSON
would be; that text is also what a reject's length, hash and shape are of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa

from lake.columnar_tables import TableParser
from lake.documents import DocumentParser
from lake.formats.base import Family, Layout, Row
from lake.formats.record_family import RecordFamily
from lake.formats.tabular import Tabular
from lake.parquet_rows import ParquetRows, Piece
from lake.parse import Constants, Parser, with_lines
from lake.protection import KEY_DESTROYED, Protection
from lake.reads import quote_identifier
from lake.rejects import rejected_row
from lake.repeats import Repeats
from lake.source import Source
from lake.totals import ParseTotals


def parser_of(source: Source, family: Family, protection: Protection | None) -> Parser:
    """Return the parser for what the objects of a source are."""
    if source.document is not None:
        return DocumentParser(source, family, protection)
    if source.container == "parquet" and isinstance(family, Tabular):
        return TableParser(source, family, protection)
    if source.container == "parquet":
        return ColumnarParser(source, family, protection)
    return Parser(source, family, protection)


class ColumnarParser(Parser):
    """Parses Parquet objects of one source. Not thread-safe: one parser a thread."""

    def __init__(self, source: Source, family: Family, protection: Protection | None) -> None:
        super().__init__(source, family, protection)
        if not isinstance(self.family, RecordFamily):
            raise TypeError(f"{family.name} is no family of named fields; it has no columns")
        self._records: RecordFamily = self.family
        self._judge_layout = self._records.layout(b"", source, None)
        self._layout = Layout(
            {**self._judge_layout.columns, **self._judge_layout.as_text},
            self._judge_layout.required,
            nulls=self._judge_layout.nulls,
        )

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
        self._repeats = Repeats()
        self.raws.clear()
        rows = ParquetRows(stream, size, self._records.field_of, self.source.limits)
        rows.require(self._records.required)
        totals.note_unknown(n for n in rows.unknown if n not in self._records.ignored)
        for piece in rows.pieces():
            self._piece(piece, constants, totals, emit)
            totals.require_mostly_good(self.source.limits)
        return totals

    def _piece(
        self,
        piece: Piece,
        constants: Constants,
        totals: ParseTotals,
        emit: Callable[[pa.Table], None],
    ) -> None:
        """Account for every row of a piece: the typed read first, then the doubtful ones."""
        query = self._projection.columns(self._typed(piece.rows.schema), self._layout)
        bounds = constants.not_before, constants.not_after
        parts: list[pa.Table] = []
        doubtful = np.arange(1, piece.rows.num_rows + 1)
        try:
            fast = self._engine.over(piece.rows, query, *bounds)
        except duckdb.DataError:
            pass  # arithmetic on a year 290000, say: the rows are judged one by one
        else:
            is_used = ~np.isin(fast.column("rn").to_numpy(), list(piece.bad))
            parts = [fast if is_used.all() else fast.filter(pa.array(is_used))]
            doubtful = np.setdiff1d(doubtful, parts[0].column("rn").to_numpy(), assume_unique=True)
        texts = self._texts(piece, doubtful.tolist())
        rejects, rescued = self._judged(piece, texts, constants)
        for part in (*parts, *rescued):
            kept, lost = self._kept(with_lines(part, part.column("rn").to_numpy()))
            rejects |= dict.fromkeys(lost, KEY_DESTROYED)
            texts |= self._texts(piece, lost)
            if kept.num_rows:
                numbers = kept.column("source_line").to_numpy() + piece.first
                at = kept.schema.get_field_index("source_line")
                kept = kept.set_column(at, "source_line", pa.array(numbers))
                totals.accepted += kept.num_rows
                emit(self._finish(kept, constants))
        for number, reason in sorted(rejects.items()):
            raw = canonical_json(texts[number])
            totals.rejects.append(rejected_row(raw, piece.first + number, reason))
            if self._protection is None:
                self.raws[piece.first + number] = raw
        totals.lines += piece.rows.num_rows

    def _judged(
        self, piece: Piece, texts: Mapping[int, Mapping[str, str]], constants: Constants
    ) -> tuple[dict[int, str], list[pa.Table]]:
        """Judge doubtful rows; return why some are rejected, and those that are good after all."""
        rejects = {number: piece.bad[number] for number in texts if number in piece.bad}
        good: list[tuple[int, Row]] = []
        for number, values in texts.items():
            if number in rejects:
                continue
            found = self._records.judge_record(values, self._judge_layout)
            if isinstance(found, Row):
                good.append((number, found))
            else:
                rejects[number] = found.reason
        rescued, late = self._rescue.rows(
            good, self._judge_layout, constants.not_before, constants.not_after
        )
        return rejects | dict(late), rescued

    def _typed(self, schema: pa.Schema) -> str:
        """Return the SELECT of all fields in their types, and whether a value did not fit."""
        fields = []
        misfits = ["false"]
        nulls = self._layout.nulls_sql()
        for name, kind in self._layout.columns.items():
            column = quote_identifier(name)
            if name not in schema.names:
                fields.append(f"cast(null as {kind}) as {column}")
                continue
            given = _plain(name, schema.field(name).type)
            has_nulls = kind != "VARCHAR" or len(self._layout.nulls) > 1
            if given == column and has_nulls and _is_text(schema.field(name).type):
                given = f"case when {column} in ({nulls}) then null else {column} end"
            value = f"try_cast({given} as {kind})"
            if kind == "DOUBLE":
                value = f"case when isfinite({value}) then {value} end"
            fields.append(f"{value} as {column}")
            if kind != "VARCHAR":
                misfits.append(f"(({given}) is not null and ({value}) is null)")
        return (
            f"select rn, ({' or '.join(misfits)}) as is_misfit, {', '.join(fields)} from incoming"
        )

    def _texts(self, piece: Piece, numbers: list[int]) -> dict[int, Mapping[str, str]]:
        """Return the fields of some rows that are not null, as text."""
        if not numbers:
            return {}
        rows = piece.rows.take(pa.array(np.array(numbers) - 1))
        fields = [n for n in self._layout.columns if n in rows.schema.names]
        columns = ", ".join(
            f"cast({_plain(n, rows.schema.field(n).type)} as varchar) as {quote_identifier(n)}"
            for n in fields
        )
        found = self._engine.over(rows, f"select rn, {columns} from incoming order by rn")
        return {
            row["rn"]: piece.long.get(row["rn"])
            or {n: row[n] for n in fields if row[n] is not None}
            for row in found.to_pylist()
        }


def canonical_json(values: Mapping[str, str]) -> bytes:
    """Return the text that stands for a row: its fields in the family's order, all as text."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind))


def _plain(name: str, kind: pa.DataType) -> str:
    """Return the SQL of a column as a scalar: a struct as JSON, an instant by its field's unit."""
    column = quote_identifier(name)
    if pa.types.is_struct(kind):
        return f"cast(to_json({column}) as varchar)"
    if pa.types.is_timestamp(kind) and name.endswith("_ms"):
        return f"epoch_ms({column})"
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return f"cast({column} as varchar)"
    return column
