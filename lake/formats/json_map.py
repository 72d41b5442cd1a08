"""Logs of one JSON object a line whose fields a map names; behind the header of syslog or not.

Belongs here: getting at the fields of a line. Does not: what they become (lake/formats/mapped.py)
or which fields a vendor has (the presets: lake/formats/fastly.py, lake/formats/web_json.py).

Objects are read by the typed reader into a struct of texts, behind what stands before them; to
parse the text of a column costs ten times as much. Keys that no map names cost nothing. What makes
a row itself is its whole line, which is hashed where it lies. A line means the same on both ways,
as the judge hands on the line itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lake import canonical as sql
from lake.field_map import FieldMap, keys_of, path_of
from lake.formats import ndjson, syslog
from lake.formats.base import Family, Judgement, Layout, Reject, Row, Skip
from lake.formats.mapped import Plan, incomplete_map, plan_of
from lake.formats.shapes import is_document
from lake.lines import Lines
from lake.reads import quote_identifier, quote_literal
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source
from lake.unknown import sampled

_RETURN = 0x0D
_NULLS = ("", "-", "^", None)


@dataclass(frozen=True)
class MapLayout(Layout):
    """The layout of a map: one column, the line; the plan is the same for every file."""

    plan: Plan = field(default_factory=Plan)
    allows_syslog: bool = False
    #: paths that are read
    fields: tuple[str, ...] = ()
    #: paths that a rule names, read or not
    known: frozenset[str] = frozenset()

    def readable_sql(self) -> str:
        """Return the predicate of what the judge leaves to the engine: the status is a number."""
        return "w_status is not null"


def _of_map(layout: Layout) -> MapLayout:
    if not isinstance(layout, MapLayout):
        raise TypeError(f"expected the layout of a map, found {type(layout).__name__}")
    return layout


class JsonMap(Family):
    """Any JSON log by the map of its source."""

    name = "json_map"
    version = 3
    record = CDN_REQUESTS
    takes_map = True
    takes_prefix = True
    preset = FieldMap()
    default_prefix = "none"

    def fields(self, source: Source) -> FieldMap:
        """Return the map in force: the family's own under the source's."""
        return source.map.over(self.preset)

    def missing_in_map(self, source: Source) -> Sequence[str]:
        """Return what the map lacks: every row has a time and a status."""
        fields = self.fields(source)
        return [name for name in ("event_time", "status") if getattr(fields, name) is None]

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Return the one layout of the source."""
        if previous is not None:
            return previous
        fields = self.fields(source)
        if self.missing_in_map(source):
            raise incomplete_map(self.missing_in_map(source))
        if is_document(head):
            raise RefusedError(
                "bad_lines",
                "expected a JSON object a line, found one JSON document that no line of is one. "
                "Have it delivered with an object a line, e.g. by `jq -c '.[]'`.",
            )
        allows_syslog = (source.prefix or self.default_prefix) == "syslog"
        shape = quote_literal(json.dumps(_shape(fields.read_paths())))
        doc = {"doc": f"try(json_transform({_object('line', allows_syslog)}, {shape}))"}
        return MapLayout(
            {"line": "VARCHAR"},
            ("line",),
            plan=plan_of(fields, source, _leaf, ("line",), doc),
            allows_syslog=allows_syslog,
            fields=tuple(fields.read_paths()),
            known=frozenset(fields.read_paths()) | frozenset(fields.ignore),
        )

    def line_key_sql(self, layout: Layout) -> str:  # noqa: ARG002
        """Return the key: the line is what makes a row itself whose request has no id."""
        return sql.row_key_of_bytes("line")

    def heads(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:
        """Return how long the header of syslog is, where one is allowed."""
        return (
            syslog.heads(lines) if _of_map(layout).allows_syslog else super().heads(lines, layout)
        )

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the read of the objects; what no rule names is not looked at."""
        return ndjson.objects_sql(path, _shape(_of_map(layout).fields), longest_line)

    def fast_sql(
        self, layout: Layout, source: Source
    ) -> tuple[Mapping[str, str], Mapping[str, str], str]:
        """Return the plan for objects that are read already, and the keys of requests by id."""
        derived = {n: e for n, e in self.derived_sql(layout, source).items() if n != "doc"}
        canonical = self.canonical_sql(layout, source)
        own = _of_map(layout).plan.own_key
        keys = {"row_key": own} if own else {}
        return derived, {n: e for n, e in canonical.items() if n != "row_key"} | keys, "true"

    def line_numbers_sql(self) -> str | None:
        """Return None: the reader gives a row for every line that is not blank."""
        return None

    def overruled(
        self,
        lines: Lines,
        layout: Layout,  # noqa: ARG002
        numbers: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines with a carriage return before their end: white space to JSON."""
        if not len(lines.with_byte(_RETURN)):
            return np.empty(0, dtype=np.int64)
        is_stray = lines.count_each(_RETURN) > (lines.last_bytes() == _RETURN)
        found: npt.NDArray[np.int64] = np.intersect1d(np.flatnonzero(is_stray) + 1, numbers)
        return found

    def unknown_in(self, lines: Lines, layout: Layout) -> Iterable[str]:
        """Return fields that no rule names, of a sample of the lines."""
        known = _of_map(layout).known
        inner = {path_of(keys_of(p)[:n]) for p in known for n in range(1, len(keys_of(p)))}
        found: set[str] = set()
        for raw in sampled(lines):
            at = raw.find(b"{")
            try:
                record = json.loads(raw[max(at, 0) :])
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                found.update(_unmapped(record, (), known, inner))
        return found

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line: an object that has what the map needs."""
        mapped = _of_map(layout)
        text = _checked(line.rstrip(b"\r\n"))
        if not isinstance(text, str):
            return text
        at = 0
        if mapped.allows_syslog and not text.startswith("{"):
            header = syslog.HEADER.match(text)
            at = header.end() - 1 if header else 0
        found = ndjson.object_of(text[at:])
        if isinstance(found, Reject):
            return found
        for group in mapped.plan.needed:
            if all(_value(found, path) in _NULLS for path in group):
                return Reject("missing_field")
        return Row({"line": text})

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the steps of the plan."""
        return _of_map(layout).plan.derived

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the columns of the plan."""
        return _of_map(layout).plan.canonical


def _checked(line: bytes) -> str | Judgement:
    """Return the text of a line, or what is wrong with it whatever it means."""
    if not line.strip():
        return Skip.BLANK
    if b"\0" in line:
        return Reject("nul_byte")
    if b"\r" in line:
        return Reject("stray_cr")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("bad_utf8")


def _object(line: str, allows_syslog: bool) -> str:
    """Return the SQL of a line's object as text."""
    if not allows_syslog:
        return line
    return (
        f"case when starts_with({line}, '{{') then {line} "
        f"when regexp_matches({line}, {quote_literal(syslog.HEADER.pattern)}) "
        f"then substr({line}, strpos({line}, '{{')) else {line} end"
    )


def _leaf(path: str) -> str:
    return ".".join(("doc", *(quote_identifier(k) for k in keys_of(path))))


def _shape(paths: Iterable[str]) -> dict[str, Any]:
    """Return the structure that json_transform takes: every named field as text."""
    shape: dict[str, Any] = {}
    for path in sorted(paths):
        *outer, last = keys_of(path)
        inner = shape
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = "VARCHAR"
    return shape


def _value(record: object, path: str) -> object:
    for key in keys_of(path):
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def _unmapped(
    record: Mapping[str, object],
    before: tuple[str, ...],
    known: frozenset[str],
    inner: set[str],
) -> Iterator[str]:
    for key, value in record.items():
        path = path_of((*before, key))
        if path in known:
            continue
        if path in inner and isinstance(value, dict):
            yield from _unmapped(value, (*before, key), known, inner)
        else:
            yield path
