"""Small tables as text: CSV with a header, or one JSON object a line, judged line by line.

Belongs here: the two containers and their columns. Does not: amounts and instants (tabular_values),
what any vendor's columns mean (the families).

Every line goes to the judge. Files of counters and invoices have thousands of lines, not millions,
and what a typed reader forgives in a log (7.6 as 8, "1,234" as text, 1E+12 with lost digits) would
be money here. Columns are found by the names in the header, never by their position. A field of a
CSV may be quoted (RFC 4180) but holds no line end: lines are what is accounted for. A line that
begins with # is a comment, unless it has as many fields as the header.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lake.formats.base import Family, Judgement, Layout, Reject, Row, Skip
from lake.formats.tabular_values import UnreadableError, decimal_of, instant_of
from lake.lines import Lines
from lake.refused import RefusedError
from lake.source import Source
from lake.unknown import MAX_NAMES, plain_name, unknown_keys

Kind = Literal["text", "count", "decimal", "instant", "us_instant"]

_TYPES: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "count": "BIGINT",
    "decimal": "VARCHAR",  # cast to the record's own DECIMAL, so that no digit is lost before
    "instant": "TIMESTAMPTZ",
    "us_instant": "TIMESTAMPTZ",
}
_NOTHING = ("", "null")
_COUNT = re.compile(r"-?[0-9]{1,19}")
_DEPTH = 3


@dataclass(frozen=True)
class Field:
    """One raw column: its own name, its kind, and the names it has in files (first found wins).

    A name with dots is a path into a JSON object. is_required: rows without it are rejected, and
    a CSV without such a column is refused whole.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    is_required: bool = False
    #: digits before the point that the record has room for; decimals only
    digits: int = 18


@dataclass(frozen=True)
class TableLayout(Layout):
    """Layout of a small table. header: the names of a CSV's columns in order; empty for JSON."""

    fields: tuple[Field, ...] = ()
    header: tuple[str, ...] = ()
    delimiter: str = ","
    time_zone: str = "UTC"
    #: decimals that are rounded to, half to even; None: what does not fit is refused
    round_decimals: int | None = None


class Tabular(Family):
    """A family of small tables. Set `fields`, or override `fields_of`."""

    fields: tuple[Field, ...] = ()
    #: report keys of JSON lines that no field is read from; not where a source names the keys
    notes_unknown_keys = True
    takes_document = True

    def fields_of(self, source: Source) -> tuple[Field, ...]:  # noqa: ARG002
        """Return the fields, by the names that this source's files give them."""
        return self.fields

    def fault(self, values: Mapping[str, str | None]) -> str | None:  # noqa: ARG002
        """Return why a readable row is none of this family's, or None."""
        return None

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Tell CSV from JSON and find the columns; raises RefusedError."""
        if previous is not None:
            return previous
        said = source.published
        return replace(
            layout_of(head, self.fields_of(source), said.time_zone),
            round_decimals=said.round_decimals,
        )

    def column_layout(self, source: Source) -> TableLayout:
        """Return the layout of a table whose columns have types of their own (Parquet)."""
        said = source.published
        return replace(
            layout_of(b"", self.fields_of(source), said.time_zone),
            round_decimals=said.round_decimals,
        )

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:  # noqa: ARG002
        """Return a read that vouches for no line."""
        columns = ", ".join(f'null::{t} as "{c}"' for c, t in layout.columns.items())
        return f"select 0::bigint as rn, {columns} where false"

    def line_numbers_sql(self) -> str | None:
        """Return None: nothing is read, so nothing is left out."""
        return None

    def unknown_fields(self, lines: Lines) -> Iterable[str]:
        """Return keys of JSON lines that no field is read from; a header's are in the layout."""
        if self.notes_unknown_keys and len(lines) and lines.raw(1).lstrip().startswith(b"{"):
            known = {n.split(".")[0] for f in self.fields for n in f.names}
            return unknown_keys(lines, known)
        return ()

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line."""
        if not isinstance(layout, TableLayout):
            raise TypeError(f"expected the layout of a small table, found {type(layout).__name__}")
        text = _plain(line)
        if not isinstance(text, str):
            return text
        if text.startswith("#") and not _is_row(text, layout):
            return Skip.HEADER
        found = _cells(text, layout) if layout.header else _keys(text)
        return self.judge_values(found, layout) if isinstance(found, dict) else found

    def judge_values(self, found: Mapping[str, str], layout: TableLayout) -> Row | Reject:
        """Judge a record by its values: text by lower-case names, whatever it came in."""
        try:
            values = {f.name: _read(f, found, layout) for f in layout.fields}
        except UnreadableError as err:
            return Reject(str(err))
        reason = self.fault(values)
        return Reject(reason) if reason else Row(values)


def layout_of(head: bytes, fields: Sequence[Field], time_zone: str) -> TableLayout:
    """Return the layout of a table from its first bytes; raises RefusedError."""
    columns = {f.name: _TYPES[f.kind] for f in fields}
    first = next((t for t in _lines_of(head) if t.strip() and not t.startswith("#")), "{")
    if first.lstrip().startswith("{"):
        return TableLayout(columns, (), fields=tuple(fields), time_zone=time_zone)
    delimiter = max(",;\t|", key=first.count)
    names = tuple(_split(first, delimiter) or ())
    wanted = {n.lower() for f in fields for n in f.names}
    doubled = sorted({plain_name(n) for n in names if n in wanted and names.count(n) > 1})
    if doubled:
        raise RefusedError("bad_header", f"expected each column once, found twice: {doubled}.")
    missing = [f.names[0] for f in fields if f.is_required and not _has(f, names)]
    if missing:
        shown = ", ".join(plain_name(n) for n in names[:MAX_NAMES])
        raise RefusedError(
            "no_header",
            f"expected a header line with {', '.join(missing)}, found {shown}. Name the columns "
            "of this vendor under published.columns of the source file, or deliver the header.",
        )
    return TableLayout(
        columns,
        (),
        unknown=tuple(n for n in names if n and n not in wanted),
        fields=tuple(fields),
        header=names,
        delimiter=delimiter,
        time_zone=time_zone,
    )


def _has(field: Field, names: Sequence[str]) -> bool:
    return any(n.lower() in names for n in field.names)


def _lines_of(head: bytes) -> list[str]:
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return [line.rstrip("\r") for line in text.split("\n")]


def _split(text: str, delimiter: str) -> tuple[str, ...] | None:
    """Return the trimmed, lower-case names of a header; None where its quotes are broken."""
    cells = _fields(text, delimiter)
    return None if cells is None else tuple(c.lower() for c in cells)


def _fields(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return [cell.strip() for cell in rows[0]] if len(rows) == 1 else None


def _plain(line: bytes) -> str | Skip | Reject:
    stripped = line.rstrip(b"\r\n")
    if not stripped.strip():
        return Skip.BLANK
    if b"\0" in stripped:
        return Reject("nul_byte")
    if b"\r" in stripped:
        return Reject("stray_cr")
    try:
        return stripped.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("bad_utf8")


def _is_row(text: str, layout: TableLayout) -> bool:
    """Tell whether a line that begins as a comment is a row: invoices are numbered #1001, say."""
    cells = _fields(text, layout.delimiter)
    return cells is not None and 1 < len(cells) == len(layout.header)


def _cells(text: str, layout: TableLayout) -> dict[str, str] | Judgement:
    cells = _fields(text, layout.delimiter)
    if cells is None:
        return Reject("bad_quotes")
    if tuple(c.lower() for c in cells) == layout.header:
        return Skip.HEADER  # also that of a file appended to another
    if len(cells) != len(layout.header):
        return Reject("ragged")
    return dict(zip(layout.header, cells, strict=True))


def _keys(text: str) -> dict[str, str] | Judgement:
    try:
        # numbers stay as they are written: a float would lose digits
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return Reject("invalid_json")
    if not isinstance(found, dict):
        return Reject("not_an_object")
    flat = flattened(found)
    if "\\u" in text and not all(encodes(v) for v in flat.values()):
        return Reject("bad_utf8")
    return flat


def flattened(record: dict[str, object]) -> dict[str, str]:
    """Return the values of an object that are not null as text, by lower-case paths."""
    flat: dict[str, str] = {}
    _flatten(record, "", flat, _DEPTH)
    return flat


def _flatten(found: dict[str, object], prefix: str, flat: dict[str, str], depth: int) -> None:
    for key, value in found.items():
        name = f"{prefix}{key}".lower()
        if isinstance(value, dict) and depth:
            _flatten(value, f"{name}.", flat, depth - 1)
        elif isinstance(value, str):
            flat[name] = value.strip()
        elif value is not None:
            flat[name] = json.dumps(value, ensure_ascii=False)  # no number or instant reads so


def encodes(text: str) -> bool:
    """Tell whether text is UTF-8: JSON can escape half a surrogate pair, Parquet cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(field: Field, found: Mapping[str, str], layout: TableLayout) -> str | None:
    """Return a value as text that casts to its type exactly, or raise UnreadableError."""
    given = (found.get(n.lower()) for n in field.names)
    text = next((t for t in given if t is not None and t.lower() not in _NOTHING), None)
    if text is None:
        if field.is_required:
            raise UnreadableError("missing_field")
        return None
    if field.kind == "text":
        return text
    if field.kind == "count":
        if not _COUNT.fullmatch(text):
            raise UnreadableError("wrong_type")
        return text
    if field.kind == "decimal":
        return decimal_of(text, field.digits, layout.round_decimals)
    return instant_of(text, layout.time_zone, is_us=field.kind == "us_instant")
