"""A draft of a source file from sample logs: what can be told, and what a person has to decide.

Belongs here: guesses by names and magnitudes, line by line of the draft. Does not: its text
(lake/draft_text), reading files or printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from lake.draft_delimited import agreed_guess, dialect_line, named, split_time
from lake.draft_names import NAMES, PERIODS
from lake.draft_text import Draft, quoted, shown
from lake.draft_units import (
    byte_unit,
    duration_unit,
    fields_named,
    numbers_of,
    words_of,
)
from lake.field_map import path_of
from lake.formats import FAMILIES, family_of
from lake.formats.detection import Detection, detect_head
from lake.formats.dialects import Guess
from lake.formats.heads import first_lines, objects

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_ZONED = re.compile(r"(?i)\d(z|[+-]\d\d(:?\d\d)?)$")
_COMMON_LOG = re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$")
_MAX_DEPTH = 4

_MAPPED = {"json_map": "JSON objects", "delimited_map": "delimited lines"}
_TIMES = ("event_time",)
_DURATIONS = ("duration_ms", "ttfb_ms")
_BYTES = ("bytes_out_total", "bytes_out_body", "bytes_in")
#: columns whose values may stand in a source file: no address, no user, no URL
_HARMLESS = ("status", "method", "http_version", "pop", "country", "content_type")


def draft(
    name: str,
    samples: Sequence[tuple[str, bytes]],
    hosts: Mapping[str, int],
    columnar: Sequence[Detection] = (),
) -> Draft:
    """Return a draft for samples: name and head (unpacked) of each; hosts: seen, with counts.

    columnar: what samples of Parquet were found to be; those have no head.
    """
    found = columnar or [detect_head(head, file) for file, head in samples]
    families = {d.family for d in found}
    agreed = next(iter(families)) if len(families) == 1 else None
    has_objects = all(objects(head) for _, head in samples)
    made = Draft(agreed or ("json_map" if has_objects and families == {None} else None))
    table = agreed_guess([head for _, head in samples]) if families == {None} else None
    if table is not None and made.format is None:
        made.format = "delimited_map"
    made.lines += [
        f"name: {name}",
        f"description: {quoted(f'logs of {name}')}  {made.todo('say what this feed is')}",
        f"owner: team:unknown  {made.todo('say whose feed this is')}",
    ]
    made.lines += _format_lines(made, found, samples[0][1])
    if columnar:
        made.lines.append("container: parquet")
        made.decided.append("container parquet")
    made.lines.append(f'landing: {{prefix: {name}/, suffix: ""}}')
    made.decided.append(f"landing below {name}/")
    made.lines += _period_lines(made, [file for file, _ in samples])
    if made.format == "json_map":
        made.lines += _map_lines(made, [r for _, head in samples for r in objects(head)])
        if any(line[:1] != b"{" for _, head in samples for line in first_lines(head)):
            made.lines.append("prefix: syslog")
            made.decided.append("a header of syslog before each object")
    if made.format == "delimited_map" and table is not None:
        made.lines += _table_lines(made, table)
    made.lines += _customer_lines(made, hosts)
    made.lines += _expect_lines(made)
    return made


def _format_lines(made: Draft, found: Sequence[Detection], head: bytes) -> list[str]:
    if made.format is None:
        known = ", ".join(sorted(FAMILIES))
        shapes = {d.shape.found: d.shape.remedy for d in found if d.shape and d.shape.remedy}
        how = [f"# {said}: {made.todo(remedy)[2:]}" for said, remedy in shapes.items()]
        return [f"format: auto  {made.todo(f'no format was told; candidates: {known}')}", *how]
    if made.format in _MAPPED:
        made.decided.append(f"format {made.format}: {_MAPPED[made.format]} of no known vendor")
        return [f"format: {made.format}"]
    reason = found[0].looks[made.format].reason
    made.decided.append(f"format {made.format}: {reason}")
    lines = [f"format: {made.format}  # {reason}"]
    if fields := family_of(made.format).fields_in(head):
        todo = made.todo("fields: no line names the columns; is this their order?")
        lines += [f"fields: [{', '.join(map(quoted, fields))}]", todo]
    return lines


def _table_lines(made: Draft, table: Guess) -> list[str]:
    """Return dialect, columns and map of a delimited log."""
    lines = [dialect_line(table)]
    made.decided.append(table.shape)
    if table.names is None:
        names = named(table)
        table = replace(table, names=names)
        todo = made.todo("fields: no line names the columns; these were guessed by their values")
        lines += [f"fields: [{', '.join(map(quoted, names))}]", todo]
    return lines + _map_lines(made, table.records())


def _period_lines(made: Draft, names: Sequence[str]) -> list[str]:
    for pattern, form, length in PERIODS:
        if all(re.search(pattern, name) for name in names):
            made.decided.append(f"period by the name: {form}")
            lines = ["period:", f"  pattern: '{pattern}'", f"  start_format: '{form}'"]
            if length is not None:
                todo = made.todo("how long the period of a file is; guessed from its name")
                lines.append(f"  length: {length}  {todo}")
            early = made.todo("how far events stray from the period of their file")
            return [*lines, f"  early: 1h  {early}", "  late: 5m"]
    return [made.todo("period: the names declare none that is known; see lake/sources/")]


def _flat(record: Mapping[str, object], before: tuple[str, ...] = ()
          ) -> Iterator[tuple[tuple[str, ...], object]]:  # fmt: skip
    for key, value in record.items():
        if isinstance(value, dict) and len(before) < _MAX_DEPTH:
            yield from _flat(value, (*before, key))
        elif key and '"' not in key:
            yield (*before, key), value


def _map_lines(made: Draft, records: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the map: fields by their names, units by names and magnitudes."""
    values: dict[tuple[str, ...], list[object]] = {}
    for record in records:
        for path, value in _flat(record):
            values.setdefault(path, []).append(value)
    lines = ["map:"]
    used: set[tuple[str, ...]] = set()
    apart = split_time(records)
    if apart is not None:
        used |= {(name,) for name in apart}
        lines += _apart_lines(made, apart)
    for column, names in NAMES.items():
        fitting = fields_named(names, column, {p: v for p, v in values.items() if p not in used})
        if column == "event_time" and apart is not None:
            continue
        if not fitting:
            if column in ("event_time", "status"):
                some = ", ".join(shown(path_of(p)) for p in [*values][:10])
                said = f"{column}: no field is named like it; candidates: {some}"
                lines.append(f"  {made.todo(said)}")
            continue
        path = fitting[0]
        used.add(path)
        lines += _rule_lines(made, column, path, [v for v in values[path] if v not in (None, "")])
        others = ", ".join(dict.fromkeys(shown(path_of(p)) for p in fitting[1:]))
        if others:
            lines.append(f"  {made.todo(f'{column}: may also be {others}')}")
    rest = [path_of(p) for p in values if p not in used]
    if rest:
        known = ", ".join(shown(p) for p in rest[:20])
        lines.append(f"  {made.todo(f'not mapped: {known}; put them under extra: or ignore:')}")
    return lines


def _apart_lines(made: Draft, parts: tuple[str, str]) -> list[str]:
    """Return the rule of an instant whose date and time of day stand apart."""
    joined = ", ".join(quoted(path_of((part,))) for part in parts)
    made.decided.append("event_time from a date and a time of day, unit: iso")
    stamp = made.todo("event_time: is it the start or the end of the request? stamp: start or end")
    zone = made.todo("event_time: the log names no time zone; UTC was assumed")
    rule = f"{{join: [{joined}], unit: iso, zone: UTC, stamp: start}}"
    return [f"  event_time: {rule}", f"  {stamp}", f"  {zone}"]


def _rule_lines(
    made: Draft, column: str, path: tuple[str, ...], values: Sequence[object]
) -> list[str]:
    source = quoted(path_of(path))
    is_harmless = column in _HARMLESS and values
    example = f"# e.g. {shown(values[0])}" if is_harmless else ""
    if column in _TIMES:
        return _time_lines(made, source, path, values)
    if column in _DURATIONS:
        unit, is_told, why = duration_unit(path, values)
    elif column in _BYTES:
        unit, is_told, why = byte_unit(path, values)
    if column in (*_DURATIONS, *_BYTES):
        made.decided.append(f"{column} from {shown(path_of(path))}, in {unit}")
        made.expect(column, unit, values)
        note = f"# {why}" if is_told else made.todo(f"{column}: {why}")
        return [f"  {column}: {{from: {source}, unit: {unit}}}  {note}"]
    made.decided.append(f"{column} from {shown(path_of(path))}")
    lines = [f"  {column}: {source}  {example}".rstrip()]
    if column == "cache_status":
        words = sorted({shown(v) for v in values})[:12]
        said = f"cache_status: check the words seen ({', '.join(words)}); unknown ones by values:"
        lines.append(f"  {made.todo(said)}")
    return lines


def _time_lines(
    made: Draft, source: str, path: tuple[str, ...], values: Sequence[object]
) -> list[str]:
    numbers = numbers_of(values)
    text = str(values[0]) if values else ""
    zone = ""
    if numbers:
        middle = median(numbers)
        unit = next((u for u, least in (("ns", 1e17), ("us", 1e14), ("ms", 1e11))
                     if middle >= least), "s")  # fmt: skip
        how = f"unit: {unit}"
    elif _COMMON_LOG.search(text):
        how = "format: '%d/%b/%Y:%H:%M:%S %z'"
    elif _ISO.match(text):
        how = "unit: iso"
        if not _ZONED.search(text):
            how += ", zone: UTC"
            zone = f"  {made.todo('event_time: the log names no time zone; UTC was assumed')}"
    else:
        how = "unit: auto"
        zone = f"  {made.todo(f'event_time: how is {shown(text)} written? give format: or unit:')}"
    made.decided.append(f"event_time from {shown(path_of(path))}, {how}")
    is_end = any(w in words_of(path)[0] for w in ("end", "done", "finish"))
    stamp = made.todo("event_time: is it the start or the end of the request? stamp: start or end")
    lines = [f"  event_time: {{from: {source}, {how}, stamp: {'end' if is_end else 'start'}}}"]
    return [*lines, f"  {stamp}", *([zone] if zone else [])]


def _expect_lines(made: Draft) -> list[str]:
    """Return the ranges of the sample, so that a change of unit is held from the first day on."""
    if not made.expected:
        return []
    said = made.todo("expect: medians thirty times off the sample's are held; widen or correct")
    ranges = [f"  {c}: {{p50: [{low}, {high}]}}" for c, (low, high) in made.expected.items()]
    return [f"expect:  {said}", *ranges]


def _customer_lines(made: Draft, hosts: Mapping[str, int]) -> list[str]:
    if not hosts:
        return [made.todo("customers: no host was seen; map hosts to customers here")]
    lines = [f"customers: {{}}  {made.todo('name the customer of each host that was seen')}"]
    ordered = sorted(hosts.items(), key=lambda item: (-item[1], item[0]))
    return lines + [f"#  {quoted(shown(host))}: name  # {count} lines" for host, count in ordered]
