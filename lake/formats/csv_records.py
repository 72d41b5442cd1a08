"""Records as CSV with a header line, quoted by RFC 4180, one record a physical line.

A quoted field may hold separators and doubled quotes, but no line break: a line whose quotes do
not close is rejected by itself, and the next line is read by itself. Else one lost quote would
take the lines after it along, up to the next one, and no line number would be certain. Columns go
by the names of the header, in any order; a second header of equal names in mid-file is a header.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lake.formats import quoting, tsv
from lake.formats.base import Family, Judgement, Layout, Reject, Row, Skip
from lake.formats.record_family import RecordFamily
from lake.lines import Lines
from lake.reads import quote_identifier, quote_literal
from lake.refused import RefusedError
from lake.source import Source

_MAX_COLUMNS = 500


class CsvRecords(Family):
    """A family of named fields, read out of CSV."""

    containers = ("csv",)

    def __init__(self, family: RecordFamily) -> None:
        self._family = family
        self.name = family.name
        self.version = family.version
        self.record = family.record
        self.cdn = family.cdn
        self.user_column = family.user_column

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Read the names of the first line; further segments have none."""
        if previous is not None:
            return Layout(**{**vars(previous), "header_lines": 0})
        line, _, _ = head.partition(b"\n")
        names = quoting.split(line.rstrip(b"\r").decode("utf-8", "replace"), ",") or []
        fields = [self._family.field_of(n.strip()) for n in names]
        known = [f for f in fields if f is not None]
        missing = sorted(set(self._family.required) - set(known))
        if missing or len(set(known)) != len(known) or len(names) > _MAX_COLUMNS:
            raise RefusedError(
                "bad_header",
                f"expected a header line with {', '.join(self._family.required)}, each name once "
                f"and at most {_MAX_COLUMNS}, found {len(names)} names without {missing}. Have "
                "the names of the fields delivered in the first line.",
            )
        # what may be missing is read as text and tried, as everywhere
        base = self._family.layout(b"", source, None)
        columns = {f or f"unknown_{i}": base.columns.get(f or "", "VARCHAR")
                   for i, f in enumerate(fields)}  # fmt: skip
        absent = {f: t for f, t in base.columns.items() if f not in columns}
        return Layout(
            {**columns, **absent},
            base.required,
            base.as_text,
            header_lines=1,
            unknown=tuple(n for n, f in zip(names, fields, strict=True) if f is None),
            nulls=base.nulls,
            delimiter=",",
            header=tuple(names),
        )

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read; what the file has no column for is null."""
        width = len(layout.header)
        present = dict(list(layout.columns.items())[:width])
        absent = "".join(
            f", cast(null as {t}) as {quote_identifier(c)}"
            for c, t in list(layout.columns.items())[width:]
        )
        columns = ", ".join(f"{quote_literal(c)}: '{t}'" for c, t in present.items())
        return (
            f"select row_number() over () as rn, *{absent} from read_csv({quote_literal(path)}, "
            f"delim=',', quote='\"', escape='\"', header=false, auto_detect=false, "
            f"skip={layout.header_lines}, columns={{{columns}}}, strict_mode=true, "
            f"store_rejects=true, rejects_limit=0, nullstr=[{layout.nulls_sql()}], "
            f"parallel=false, max_line_size={tsv.line_limit(longest_line)})"
        )

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def masked(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """Return lines that would take others along."""
        return quoting.unreadable(lines, is_quoted=True)

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that may have too many columns."""
        width = len(layout.header)
        return quoting.doubtful(lines, numbers, ",", width, is_quoted=True)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line as a record of its own."""
        stripped = line.rstrip(b"\r")
        if not stripped.strip():
            return Skip.BLANK
        if b"\0" in stripped:
            return Reject("nul_byte")
        if b"\r" in stripped:
            return Reject("stray_cr")
        if stripped.count(b'"') % 2:
            return Reject("bad_quotes")
        try:
            fields = quoting.split(stripped.decode("utf-8"), ",")
        except UnicodeDecodeError:
            return Reject("bad_utf8")
        if fields is None:
            return Reject("bad_quotes")
        if tuple(fields) == layout.header:
            return Skip.HEADER
        if len(fields) != len(layout.header):
            return Reject("ragged")
        names = list(layout.columns)[: len(fields)]
        found = {n: None if v == "" else v for n, v in zip(names, fields, strict=True)}
        judged = self._family.judge_record(found, layout)
        if isinstance(judged, Row):
            return Row({**dict.fromkeys(layout.columns), **judged.values})
        return judged

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return what the family derives."""
        return self._family.derived_sql(layout, source)

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return what the family makes of it."""
        return self._family.canonical_sql(layout, source)
