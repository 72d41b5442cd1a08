"""What families of events as NDJSON share: one object a line, an instant in ms since 1970.

Belongs here: the straight way of such a family. Does not: fields and meanings of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lake.formats import ndjson
from lake.formats.base import Family, Judgement, Layout, Reject, Row
from lake.lines import Lines
from lake.reads import quote_literal
from lake.source import Source
from lake.unknown import unknown_keys

#: a session id is an identifier: what has spaces, slashes or more characters may be a token
SESSION = "[A-Za-z0-9_.:-]{1,64}"


def instant(column: str) -> str:
    """Return the SQL of an instant from ms since 1970; null where it is none."""
    return (
        f"case when {column} between 0 and 9999999999999 then make_timestamptz({column} * 1000) end"
    )


class NamedEvents(Family):
    """One JSON object a line, with an instant in ms and, where it has one, a kind from a list."""

    #: key -> DuckDB type
    fields: Mapping[str, str]
    required: tuple[str, ...]
    #: the key of the instant
    instant: str
    #: the key of the kind, the kinds that are known, and the reason another is rejected for
    kind: str | None = None
    kinds: tuple[str, ...] = ()
    unknown_kind: str = ""

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
        return unknown_keys(lines, self.fields)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line; a kind nobody declared is rejected, not counted somewhere."""
        found = ndjson.judge(line, self.fields, layout, self.required)
        if isinstance(found, Row) and self.kind and found.values[self.kind] not in self.kinds:
            return Reject(self.unknown_kind)
        return found

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the instant; an unknown kind has none, so that the judge sees it."""
        at = instant(f'"{self.instant}"')
        if self.kind is None:
            return {"event_time": at}
        known = ", ".join(quote_literal(k) for k in self.kinds)
        return {"event_time": f'case when "{self.kind}" in ({known}) then {at} end'}


def text(column: str) -> str:
    """Return the SQL of a text; empty is null."""
    return f'null_if_empty("{column}")'


def number(column: str, kind: str = "bigint") -> str:
    """Return the SQL of a number that may be missing."""
    return f'try_cast("{column}" as {kind})'
