"""A family without its canonical columns: the vendor's own, typed, with the exact quarantine.

What is left of an ingest when nothing is translated; the difference is the price of translation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pyiceberg.transforms import HourTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimeType,
)

from lake.canonical import needed_by
from lake.formats.base import Family, Judgement, Layout
from lake.formats.template import LINE
from lake.lines import Lines
from lake.reads import quote_identifier
from lake.records import CDN_REQUESTS, LONG, TIME, Record, opt, req
from lake.source import Source

_CANONICAL = {c.name for c in CDN_REQUESTS.columns}
_TYPES: dict[str, IcebergType] = {
    "BIGINT": LongType(),
    "BOOLEAN": BooleanType(),
    "DATE": DateType(),
    "DOUBLE": DoubleType(),
    "INTEGER": IntegerType(),
    "TIME": TimeType(),
    "VARCHAR": StringType(),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")


def iceberg_type(kind: str) -> IcebergType:
    """Return the Iceberg type of a raw column's DuckDB type."""
    if found := _DECIMAL.fullmatch(kind):
        return DecimalType(int(found[1]), int(found[2]))
    return _TYPES[kind]


def raw_types(layout: Layout, keys: Sequence[str] = ()) -> dict[str, str]:
    """Return raw column -> DuckDB type; what is read as text to be tried has the type tried.

    keys: of the objects, where a family reads whole lines.
    The text of the whole line, which access logs are identified by, is no column of the vendor.
    """
    if keys:
        return dict.fromkeys(keys, "VARCHAR")
    columns = {**layout.columns, **layout.as_text}
    return {name: kind for name, kind in columns.items() if name != LINE}


class RawColumns(Family):
    """Reads and judges as another family does, and leaves the columns as they are."""

    def __init__(self, family: Family, layout: Layout, keys: Sequence[str] = ()) -> None:
        self._family = family
        self.name = f"raw_{family.name}"
        self.version = family.version
        self.judges_times_as_read = family.judges_times_as_read
        self._columns = {_plain(n): (n, t) for n, t in raw_types(layout, keys).items()}
        self._keys = keys
        self.record = Record(
            "bronze",
            self.name,
            "A vendor's columns, typed",
            (
                req("event_time", TIME, "as the canonical record has it"),
                req("source_line", LONG, "as the canonical record has it"),
                *(opt(n, iceberg_type(t), "the vendor's") for n, (_, t) in self._columns.items()),
            ),
            partition_by="event_time",
            transform=HourTransform(),
            stats=("event_time",),
        )

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Return the family's layout."""
        return self._family.layout(head, source, previous)

    def cuts(self, lines: Lines) -> Sequence[int]:
        """Return the family's cuts."""
        return self._family.cuts(lines)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the family's read."""
        return self._family.read_sql(path, layout, longest_line)

    def line_key_sql(self, layout: Layout) -> str | None:
        """Return the family's key, which no raw column is."""
        return self._family.line_key_sql(layout)

    def heads(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:
        """Return what the family's read must not see."""
        return self._family.heads(lines, layout)

    def fast_sql(
        self, layout: Layout, source: Source
    ) -> tuple[Mapping[str, str], Mapping[str, str], str]:
        """Return the derived column of the family's read, and the raw columns."""
        derived, _, valid = self._family.fast_sql(layout, source)
        return needed_by("event_time", derived), self.canonical_sql(layout, source), valid

    def line_numbers_sql(self) -> str | None:
        """Return the family's query of left-out lines."""
        return self._family.line_numbers_sql()

    def masked(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:
        """Return the lines that the family hides from its reader."""
        return self._family.masked(lines, layout)

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the lines that the family overrules."""
        return self._family.overruled(lines, layout, numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Return the family's judgement."""
        return self._family.judge(line, layout)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the one derived column that a line is judged by."""
        return needed_by("event_time", self._family.derived_sql(layout, source))

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the raw columns; text that stands for a number is tried."""
        if self._keys:
            columns = self._columns.items()
            return {column: f"doc.{quote_identifier(raw)}" for column, (raw, _) in columns}
        return {
            column: f"try_cast({quote_identifier(raw)} as {kind})"
            for column, (raw, kind) in self._columns.items()
            if raw in layout.columns
        }


def _plain(name: str) -> str:
    """Return a column name of letters, digits and underscores that the parser has no plans for."""
    plain = re.sub(r"\W+", "_", name).strip("_").lower()
    return f"{plain}_raw" if plain in _CANONICAL else plain
