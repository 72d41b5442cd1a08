"""weir inspect: what Weir makes of a log file, writing nothing.

Values are shown as they are in the log: this is the user's own file on the user's own terminal.
Nothing heavy is imported: a small file answers within a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lake.columnar import parser_of
from lake.formats import FAMILIES, family_of
from lake.formats.detection import HEAD_BYTES, detect, detect_parquet, family_for
from lake.inflate import Buffer, chunks
from lake.parquet_rows import is_parquet
from lake.parse import Constants
from lake.refused import RefusedError
from lake.remedies import REMEDIES
from lake.settings import load_settings
from lake.source import NameFacts, Privacy, Source, SourceError, load_sources
from lake.totals import ParseTotals
from lake.unpacked import LongLine, first_bytes
from orchestration.commands.output import console, grouped, lines_safe, print_json, safe, table

#: of a delivery, not of a line
_NOT_SHOWN = ("delivery_id", "ingested_at", "row_key")
_REJECTS_SHOWN = 10
_RAW_SHOWN = 400


@dataclass
class _Seen:
    """What a file turned out to be."""

    path: Path
    source: Source
    facts: NameFacts
    totals: ParseTotals
    records: list[dict[str, Any]]
    #: rejected rows of an object that has no lines
    rows: Mapping[int, bytes]


def run(
    files: Sequence[Path],
    source_name: str | None,
    records: int,
    *,
    as_json: bool,
    format_name: str | None = None,
) -> int:
    """Inspect files one by one; 1 when a file was refused, 2 when it could not be looked at."""
    try:
        sources = load_sources(load_settings().sources)
    except SourceError as err:
        console(stderr=True).print(f"weir inspect: {lines_safe(str(err))}")
        return 2
    if source_name is not None and source_name not in sources:
        console(stderr=True).print(
            f"weir inspect: no source {source_name!r}; expected one of {', '.join(sources)}"
        )
        return 2
    if format_name is not None and format_name not in FAMILIES:
        console(stderr=True).print(
            f"weir inspect: no format {format_name!r}; expected one of {', '.join(FAMILIES)}"
        )
        return 2
    worst = 0
    for path in files:
        try:
            source = (
                draft_source(format_name)
                if format_name is not None
                else _source_of(path, sources, source_name)
            )
            seen = _inspect(path, source, None if as_json else records, as_json=as_json)
        except RefusedError as err:
            worst = max(worst, 1)
            _refused(path, err, as_json=as_json)
            continue
        except OSError as err:
            worst = 2
            console(stderr=True).print(f"weir inspect: {safe(path)}: {safe(err.strerror or err)}")
            continue
        _summary(seen, as_json=as_json)
    return worst


def _source_of(path: Path, sources: Mapping[str, Source], named: str | None) -> Source:
    """Return the named source, the one whose name pattern fits, else a draft of the format."""
    if named is not None:
        return sources[named]
    for source in sources.values():
        if source.name_facts(str(path)).period_start is not None:
            return source
    with path.open("rb") as stream:
        container = "parquet" if is_parquet(stream) else None
        found = detect_parquet(stream) if container else detect(stream, path.name)
    if found.family is None:
        raise RefusedError("unknown_format", found.detail)
    fitting = [s for s in sources.values() if (s.format, s.container) == (found.family, container)]
    source = fitting[0] if fitting else draft_source(found.family, container)
    if container is None and not source.fields:
        with path.open("rb") as stream:
            head = first_bytes(stream, path.name, HEAD_BYTES)
        return source.model_copy(update={"fields": family_of(found.family).fields_in(head)})
    return source


def draft_source(format_name: str, container: str | None = None) -> Source:
    """Return a source that says nothing but its format."""
    return Source.model_validate(
        {"name": "inspected", "description": "", "owner": "", "format": format_name,
         "container": container, "landing": {"prefix": ""}}
    )  # fmt: skip


def _inspect(path: Path, source: Source, keep: int | None, *, as_json: bool) -> _Seen:
    with path.open("rb") as stream:
        family = family_for(source, stream, path.name)
    changes = {"privacy": Privacy(query_allow=("*",)), "format": family.name}
    source = source.model_copy(update=changes)
    parser = parser_of(source, family, protection=None)
    facts = source.name_facts(str(path))
    records: list[dict[str, Any]] = []

    def emit(rows: pa.Table) -> None:
        shown = rows if keep is None else rows.slice(0, max(0, keep - len(records)))
        for record in _records(shown):
            if as_json:
                print_json({"record": record})
            else:
                records.append(record)

    constants = Constants(
        "",
        datetime.now(UTC),
        facts.producer,
        facts.not_before,
        facts.not_after,
        facts.published_at,
    )
    try:
        with path.open("rb") as stream:
            totals = parser.parse(stream, path.name, path.stat().st_size, constants, emit)
    finally:
        parser.close()
    return _Seen(path, source, facts, totals, records, dict(parser.raws))


def _records(rows: pa.Table) -> list[dict[str, Any]]:
    found = []
    for row in rows.drop_columns([c for c in _NOT_SHOWN if c in rows.column_names]).to_pylist():
        row["extra"] = dict(row["extra"]) if row.get("extra") else None
        for name in ("cmcd", "cmcd_v2"):
            if row.get(name):
                row[name] = {k: v for k, v in row[name].items() if v is not None}
        found.append({k: _instant(v) for k, v in row.items()})
    return found


def _instant(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _refused(path: Path, err: RefusedError, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"summary": {"file": path, "refused": err.reason, "detail": err.detail, "lines": None}}
        )
    else:
        console().print(f"{safe(path)}: refused whole, {safe(err)}")


def _summary(seen: _Seen, *, as_json: bool) -> None:
    totals = seen.totals
    raws = _raw_lines(seen)
    if as_json:
        for reject in totals.rejects:
            print_json(
                {"reject": {"line": reject.line, "reason": reject.reason,
                            "raw": raws.get(reject.line)}}
            )  # fmt: skip
        print_json({"summary": _document(seen)})
        return
    out = console()
    out.print(f"{safe(seen.path)}: {seen.source.format}, as source {seen.source.name}")
    if seen.facts.period_start and seen.facts.period_end:
        start, end = safe(seen.facts.period_start), safe(seen.facts.period_end)
        out.print(f"  by its name: {start} to {end}, producer {safe(seen.facts.producer)}")
    out.print(
        f"  {grouped(totals.lines)} lines = {grouped(totals.accepted)} accepted + "
        f"{grouped(totals.rejected)} rejected + {totals.header} header + {totals.blank} blank"
    )
    if totals.unknown_fields:
        out.print("  fields the record has no column for: "
                  + ", ".join(safe(f) for f in sorted(totals.unknown_fields)))  # fmt: skip
    if totals.rejects:
        rows = [
            (r.line, r.reason, (raws.get(r.line) or "")[:_RAW_SHOWN])
            for r in totals.rejects[:_REJECTS_SHOWN]
        ]
        out.print(table(f"rejected, first {len(rows)} of {totals.rejected}: "
                        + ", ".join(f"{n} {r}" for r, n in totals.reasons().items()),
                        ("line", "reason", "raw"), rows, (0,)))  # fmt: skip
        for reason in totals.reasons():
            out.print(f"  {reason}: {REMEDIES[reason]}")
    for record in seen.records:
        rows_of = [(k, v) for k, v in record.items() if v is not None]
        out.print(table(f"line {record['source_line']}", ("field", "value"), rows_of))


def _document(seen: _Seen) -> dict[str, Any]:
    totals = seen.totals
    return {
        "file": seen.path,
        "source": seen.source.name,
        "format": seen.source.format,
        "period_start": seen.facts.period_start,
        "period_end": seen.facts.period_end,
        "producer": seen.facts.producer,
        "lines": totals.lines,
        "accepted": totals.accepted,
        "rejected": totals.rejected,
        "header": totals.header,
        "blank": totals.blank,
        "reasons": totals.reasons(),
        "unknown_fields": sorted(totals.unknown_fields),
    }


def _raw_lines(seen: _Seen) -> dict[int, str]:
    """Return the text of rejected lines, read a second time; of a long one its beginning."""
    wanted = {r.line for r in seen.totals.rejects}
    found: dict[int, str] = {n: _text(raw) for n, raw in seen.rows.items()}
    if not wanted or seen.source.container == "parquet" or seen.source.document is not None:
        return found
    before = 0
    with seen.path.open("rb") as stream, Buffer() as buffer:
        size = seen.path.stat().st_size
        for part in chunks(stream, seen.path.name, size, buffer, seen.source.limits):
            if isinstance(part, LongLine):
                before += 1
                found[before] = _text(part.head)
                continue
            lines = buffer.memory[: part.size].split(b"\n")
            if not lines[-1]:
                lines.pop()
            for number in wanted.intersection(range(before + 1, before + len(lines) + 1)):
                found[number] = _text(lines[number - before - 1])
            before += len(lines)
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
