"""Delimited text logs (CSV, TSV, W3C) of any vendor, whose fields a map names.

Belongs here: finding the columns of a file and reading its lines. Does not: what the fields become
(lake/formats/mapped.py), how such a log may be written (lake/dialect.py), which quotes are right
(lake/formats/quoting.py).

Columns go by name: those of a `#Fields:` line (W3C), else those that the source declares, else
those of the first line. So a column that is added, dropped or moved costs no row where a file
names its columns. A line that begins as a comment holds no record; a quoted field holds no line
end, so that a lost quote costs its own line alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lake.dialect import Dialect
from lake.field_map import FieldMap, keys_of
from lake.formats import quoting, tsv, w3c
from lake.formats.base import Family, Judgement, Layout, Reject, Row, Skip
from lake.formats.mapped import Plan, incomplete_map, plan_of
from lake.lines import Lines
from lake.reads import quote_identifier, quote_literal
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source
from lake.source_file import Fault
from lake.unknown import MAX_NAMES, plain_name

_MAX_COLUMNS = 500
#: what a file begins with that was appended to another; in mid-file it is no part of a value
_MARK = "\ufeff"


@dataclass(frozen=True)
class DelimitedLayout(Layout):
    """The layout of a file: columns by names of our own, in the map's order.

    in_file: our name of each column of the file, in its order. raw: field of the map -> our name.
    """

    plan: Plan = field(default_factory=Plan)
    dialect: Dialect = field(default_factory=Dialect)
    in_file: tuple[str, ...] = ()
    raw: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_end(self) -> bool:
        """Tell whether a delimiter ends every line; nothing stands behind it."""
        return self.header[-1:] == ("",)

    def valid_sql(self) -> str:
        """Return the predicate of a line that begins as no comment; its time speaks later."""
        if not self.in_file:
            return "true"
        first = quote_identifier(self.in_file[0])
        begins = [b for b in (_MARK, self.dialect.comment) if b]
        said = " or ".join(f"starts_with({first}, {quote_literal(b)})" for b in begins)
        last = f" and {quote_identifier(self.in_file[-1])} is null" if self.has_end else ""
        return f"not coalesce({said}, false){last}"

    def readable_sql(self) -> str:
        """Return the predicate of what the judge leaves to the engine: the status is a number."""
        return "w_status is not null"


def _of_map(layout: Layout) -> DelimitedLayout:
    if not isinstance(layout, DelimitedLayout):
        raise TypeError(f"expected the layout of a delimited log, found {type(layout).__name__}")
    return layout


def column_of(path: str) -> str:
    """Return the column that a field of a map names: a dot in it means nothing here."""
    return ".".join(keys_of(path))


class DelimitedMap(Family):
    """Any delimited log by dialect and map of its source."""

    name = "delimited_map"
    version = 3
    record = CDN_REQUESTS
    takes_map = True
    takes_dialect = True

    def missing_in_map(self, source: Source) -> Sequence[str]:
        """Return what the map lacks: every row has a time and a status."""
        return [name for name in ("event_time", "status") if getattr(source.map, name) is None]

    def faults_of(self, source: Source) -> Iterable[Fault]:
        """Give declared columns that stand there twice, and fields of the map that are none."""
        names = source.fields
        for name, count in Counter(names).items():
            if count > 1:
                said = f"expected each column once, found {name!r} {count} times. Remove one."
                yield Fault(("fields",), said)
        if not names:
            return
        for column, rule in source.map.rules().items():
            for path in rule.paths():
                if column_of(path) not in names:
                    yield Fault(
                        ("map", column),
                        f"expected one of fields ({', '.join(names)}), found {path!r}. Correct "
                        "the name, or add it to fields where it stands in the log.",
                    )

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Find the columns of a file; further segments have those of the first."""
        if self.missing_in_map(source):
            raise incomplete_map(self.missing_in_map(source))
        names, header_lines = w3c.columns_of(head, source, is_first=not _has_columns(previous))
        if names is None:
            if previous is not None:
                return replace(_of_map(previous), header_lines=header_lines, unknown=())
            names = ()  # nothing but comments so far
        return layout_of(names, source, header_lines)

    def cuts(self, lines: Lines) -> Sequence[int]:
        """Cut where a `#Fields` line begins after data: the columns may change there."""
        return w3c.cuts(lines)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the read of all columns as text; what the file has no column for is null."""
        found = _of_map(layout)
        in_file = found.in_file or tuple(found.columns)
        columns = ", ".join(f"{quote_literal(c)}: 'VARCHAR'" for c in in_file)
        absent = "".join(
            f", null::varchar as {quote_identifier(c)}" for c in found.columns if c not in in_file
        )
        quote = '"' if found.dialect.is_quoted else ""
        return (
            f"select row_number() over () as rn, *{absent} from read_csv({quote_literal(path)}, "
            f"delim={quote_literal(found.dialect.delimiter)}, quote='{quote}', escape='{quote}', "
            f"header=false, auto_detect=false, skip={layout.header_lines}, "
            f"columns={{{columns}}}, strict_mode=true, store_rejects=true, rejects_limit=0, "
            f"nullstr=[{layout.nulls_sql()}], parallel=false, "
            f"max_line_size={tsv.line_limit(longest_line)})"
        )

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def masked(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:
        """Return lines that would take others along."""
        return quoting.unreadable(lines, is_quoted=_of_map(layout).dialect.is_quoted)

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that may have too many columns."""
        found = _of_map(layout)
        dialect, width = found.dialect, len(found.in_file)
        return quoting.doubtful(
            lines, numbers, dialect.delimiter, width, is_quoted=dialect.is_quoted
        )

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line: as many fields as columns, and what the map needs in them."""
        found = _of_map(layout)
        text = _checked(line.rstrip(b"\r"), found.dialect)
        if not isinstance(text, str):
            return text
        fields = quoting.split(text, found.dialect.delimiter, is_quoted=found.dialect.is_quoted)
        if fields is None:
            return Reject("bad_quotes")
        # a delimiter at the end of a line, as real files have it, is no field more
        if len(fields) == len(found.in_file) + 1 and not fields[-1]:
            fields.pop()
        elif found.has_end and len(fields) == len(found.in_file) - 1:
            fields.append("")
        if tuple(name.strip() for name in fields) == found.header:
            return Skip.HEADER
        if len(fields) != len(found.in_file) or (found.has_end and fields[-1] not in found.nulls):
            return Reject("ragged")
        values: dict[str, str | None] = dict.fromkeys(found.columns)
        for name, value in zip(found.in_file, fields, strict=True):
            values[name] = None if value in found.nulls else value
        for group in found.plan.needed:
            if all(values[found.raw[path]] is None for path in group):
                return Reject("missing_field")
        return Row(values)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the steps of the plan."""
        return _of_map(layout).plan.derived

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the columns of the plan."""
        return _of_map(layout).plan.canonical


def layout_of(names: Sequence[str], source: Source, header_lines: int) -> DelimitedLayout:
    """Return the layout of a file from the names of its columns; raises RefusedError."""
    fields = source.map
    wanted = sorted({column_of(path) for path in fields.read_paths()})
    ours = {name: f"r{n}" for n, name in enumerate(wanted)}
    in_file = tuple(ours.get(name, f"u{n}") for n, name in enumerate(names))
    raw = {path: ours[column_of(path)] for path in fields.read_paths()}
    columns = dict.fromkeys((*ours.values(), *in_file), "VARCHAR")
    identity = [quote_identifier(c) for c in columns]
    plan = plan_of(fields, source, lambda path: quote_identifier(raw[path]), identity, {})
    if names:
        _require(names, fields, plan)
    known = {*wanted, *map(column_of, fields.ignore), ""}
    return DelimitedLayout(
        columns,
        (),
        header_lines=header_lines,
        unknown=tuple(name for name in names if name not in known),
        nulls=source.dialect.all_nulls,
        delimiter=source.dialect.delimiter,
        header=tuple(names),
        plan=plan,
        dialect=source.dialect,
        in_file=in_file,
        raw=raw,
    )


def _require(names: Sequence[str], fields: FieldMap, plan: Plan) -> None:
    """Refuse columns that no row can be made of; raises RefusedError."""
    counts = Counter(names)
    read = {column_of(path) for path in fields.read_paths()}
    missing = [group[0] for group in plan.needed if not {*map(column_of, group)} & set(names)]
    doubled = sorted(plain_name(name) for name in read if counts[name] > 1)
    if missing or doubled or not 1 < len(names) <= _MAX_COLUMNS:
        shown = ", ".join(plain_name(name) for name in names[:MAX_NAMES])
        raise RefusedError(
            "bad_header",
            f"expected from 2 to {_MAX_COLUMNS} columns, among them once each that the map needs, "
            f"found {len(names)} ({shown}), without {missing}, twice {doubled}. Correct dialect, "
            "fields or map of the source file, or have the names delivered in the first line.",
        )


def _has_columns(layout: Layout | None) -> bool:
    return layout is not None and bool(_of_map(layout).in_file)


def _checked(line: bytes, dialect: Dialect) -> str | Judgement:
    """Return the text of a line, or what is wrong with it whatever it means."""
    if not line.strip():
        return Skip.BLANK
    if b"\0" in line:
        return Reject("nul_byte")
    if b"\r" in line:
        return Reject("stray_cr")
    if dialect.comment and line.startswith(dialect.comment.encode()):
        return Skip.HEADER
    if line.startswith(_MARK.encode()):
        return Reject("byte_order_mark")
    if dialect.is_quoted and line.count(b'"') % 2:
        return Reject("bad_quotes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("bad_utf8")
