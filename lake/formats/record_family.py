"""Families whose records are named fields: one JSON object a line, a row of CSV or of Parquet.

Belongs here: what such a family has in common, whatever its records come in. Does not: reading
JSON (ndjson), CSV (csv_records) or Parquet (lake.columnar), nor what the fields mean.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping

from lake.formats import ndjson
from lake.formats.base import Family, Judgement, Layout, Reject, Row
from lake.lines import Lines
from lake.source import Source
from lake.unknown import unknown_keys


class RecordFamily(Family):
    """A family of named fields. `fields`: name -> DuckDB type; `required`: never null in one."""

    fields: Mapping[str, str]
    required: tuple[str, ...]
    #: fields that are known and not read
    ignored: frozenset[str] = frozenset()
    containers: tuple[str, ...] = ("ndjson", "csv", "parquet")

    @property
    def column_names(self) -> Mapping[str, str]:
        """Return other names that a column of CSV or Parquet may have -> field."""
        return {}

    def field_of(self, column: str) -> str | None:
        """Return the field that a column of CSV or Parquet holds, None for an unknown one."""
        return column if column in self.fields else self.column_names.get(column)

    def in_container(self, container: str | None) -> Family:
        """Return the family as it is read out of a container."""
        super().in_container(container)
        if container == "csv":
            from lake.formats.csv_records import CsvRecords  # it wraps what is defined here

            return CsvRecords(self)
        return self

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Tell numbers that every line has from those that may be missing."""
        return previous or ndjson.layout_of(head, self.fields, self.required)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return ndjson.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return None: the reader gives a row for every line that is not blank."""
        return None

    def unknown_fields(self, lines: Lines) -> Iterable[str]:
        """Return keys without a column, of a sample of the lines."""
        return unknown_keys(lines, self.fields) - self.ignored

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line of JSON."""
        found = ndjson.record_in(line)
        return self.judge_record(found, layout) if isinstance(found, dict) else found

    def judge_record(self, found: Mapping[str, object], layout: Layout) -> Row | Reject:
        """Judge a record by its fields, whatever it came in."""
        return ndjson.judge_record(found, self.fields, layout, self.required)

    @abstractmethod
    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return SQL expressions over raw columns that canonical_sql reads by name."""
