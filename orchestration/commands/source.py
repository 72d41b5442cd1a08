"""weir source: draft a source file from sample logs, try one, print what one may say.

Belongs here: files in, words out. Does not: guesses (lake/draft.py), validation (lake/source.py).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from lake.columnar import parser_of
from lake.draft import draft
from lake.draft_text import Draft
from lake.formats import FAMILIES
from lake.formats.detection import Detection, detect_parquet, family_for, head_of
from lake.parquet_rows import is_parquet
from lake.parse import Constants
from lake.refused import RefusedError
from lake.source import NameFacts, Source, SourceError, load_source, source_schema
from lake.totals import ParseTotals
from orchestration.commands.output import console, lines_safe, print_json, safe, table

_NAME = re.compile(r"[^a-z0-9]+")
_MAX_HOSTS = 20


@dataclass
class _Tried:
    """What a source made of a sample."""

    path: Path
    format: str
    totals: ParseTotals
    hosts: Counter[str]
    facts: NameFacts
    #: its source has periods: a name that declares none is told
    has_periods: bool


def new(files: Sequence[Path], name: str | None, out: Path | None, *, as_json: bool) -> int:
    """Draft a source file; 1 when a sample cannot be read, 2 when the place is taken."""
    name = name or _name_of(files[0])
    if out is not None and out.exists():
        return _fail("new", f"{safe(out)}: expected a new file, found one. Name another one.", 2)
    try:
        columnar = _columnar(files)
        samples = [(str(path), b"" if columnar else _head(path)) for path in files]
    except RefusedError as err:
        return _fail("new", f"a sample is refused: {safe(err)}", 1)
    except OSError as err:
        return _fail("new", f"{safe(err.filename)}: {safe(err.strerror or err)}", 1)
    made = draft(name, samples, {}, columnar)
    hosts = _hosts(made, files)
    if hosts:
        made = draft(name, samples, dict(hosts.most_common(_MAX_HOSTS)), columnar)
    if out is not None:
        out.write_text(made.text, encoding="utf-8")
    if as_json:
        print_json({"format": made.format, "decided": made.decided, "open": made.open,
                    "file": out, "text": made.text})  # fmt: skip
        return 0
    if out is None:
        console().print(lines_safe(made.text), end="", soft_wrap=True)
        return 0
    said = console()
    said.print(f"wrote {safe(out)}")
    for decided in made.decided:
        said.print(f"  {safe(decided)}", soft_wrap=True)
    said.print(f"{len(made.open)} things are left to you (TODO in the file):")
    for todo in made.open:
        said.print(f"  {safe(todo)}", soft_wrap=True)
    return 0


def check(path: Path, samples: Sequence[Path], *, as_json: bool) -> int:
    """Validate a source file and try it on samples; 1 when it or a sample fails."""
    try:
        source = load_source(path)
        tried = [_try(source, sample) for sample in samples]
    except (SourceError, RefusedError) as err:
        if as_json:
            print_json({"source": None, "error": str(err), "samples": []})
            return 1
        return _fail("check", lines_safe(str(err)), 1)
    except OSError as err:
        return _fail("check", f"{safe(err.filename)}: {safe(err.strerror or err)}", 1)
    documents = [_document(one) for one in tried]
    if as_json:
        print_json({"source": source.name, "error": None, "samples": documents})
    else:
        said = f"{safe(path)}: source {source.name}, format {source.format}: valid"
        console().print(said, soft_wrap=True)
        for document in documents:
            _show(document)
    return int(any(d["rejected"] or not d["accepted"] for d in documents))


def schema() -> int:
    """Print the JSON schema of source files."""
    print_json(source_schema())
    return 0


def _fail(command: str, said: str, code: int) -> int:
    console(stderr=True).print(f"weir source {command}: {said}", soft_wrap=True)
    return code


def _name_of(path: Path) -> str:
    stem = path.name.split(".")[0].lower()
    name = _NAME.sub("_", re.sub(r"\d{4,}.*", "", stem)).strip("_")[:40]
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else "my_log"


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        head = head_of(stream, path.name)
    if not head.strip():
        raise RefusedError("zero_bytes", "expected at least one line to look at, found none.")
    return head


def _columnar(files: Sequence[Path]) -> list[Detection]:
    """Return what samples of Parquet are found to be; none where one is text."""
    found = []
    for path in files:
        with path.open("rb") as stream:
            if not is_parquet(stream):
                return []
            found.append(detect_parquet(stream))
    return found


def _hosts(made: Draft, files: Sequence[Path]) -> Counter[str]:
    """Return the hosts that the draft finds in the samples; none where it cannot read them."""
    found: Counter[str] = Counter()
    if made.format not in FAMILIES:
        return found
    with TemporaryDirectory() as folder:
        place = Path(folder) / "draft.yaml"
        place.write_text(made.text, encoding="utf-8")
        try:
            source = load_source(place)
            for path in files:
                found += _try(source, path).hosts
        except (SourceError, RefusedError):
            return found
    return found


def _try(source: Source, path: Path) -> _Tried:
    """Read a sample as a source would, writing nothing."""
    hosts: Counter[str] = Counter()

    def emit(rows: pa.Table) -> None:
        if "host" in rows.column_names:
            hosts.update(h for h in rows.column("host").to_pylist() if h)

    facts = source.name_facts(str(path))
    with path.open("rb") as stream:
        family = family_for(source, stream, path.name)
        parser = parser_of(source, family, protection=None)
        constants = Constants(
            "", datetime.now(UTC), facts.producer, facts.not_before, facts.not_after
        )
        try:
            size = os.fstat(stream.fileno()).st_size
            totals = parser.parse(stream, path.name, size, constants, emit)
        finally:
            parser.close()
    return _Tried(path, family.name, totals, hosts, facts, source.period is not None)


def _document(tried: _Tried) -> dict[str, Any]:
    totals = tried.totals
    return {
        "file": tried.path,
        "format": tried.format,
        "lines": totals.lines,
        "accepted": totals.accepted,
        "rejected": totals.rejected,
        "reasons": totals.reasons(),
        "period_start": tried.facts.period_start,
        "period_end": tried.facts.period_end,
        "is_period_missing": tried.has_periods and tried.facts.period_start is None,
        "unknown_fields": sorted(totals.unknown_fields),
        "hosts": dict(tried.hosts.most_common(_MAX_HOSTS)),
    }


def _show(document: dict[str, Any]) -> None:
    out = console()
    out.print(
        f"{safe(document['file'])}: {document['format']}, {document['lines']} lines, "
        f"{document['accepted']} accepted, {document['rejected']} rejected",
        soft_wrap=True,
    )
    if document["is_period_missing"]:
        out.print(
            "  by its name: no period, expected one by period.pattern and start_format; the times "
            "of its events are not held to any",
            soft_wrap=True,
        )
    elif document["period_start"] is not None:
        start, end = safe(document["period_start"]), safe(document["period_end"])
        out.print(f"  by its name: {start} to {end}", soft_wrap=True)
    if document["reasons"]:
        rows = list(document["reasons"].items())
        out.print(table("rejected", ("reason", "lines"), rows, (1,)))
    if document["unknown_fields"]:
        names = ", ".join(safe(f) for f in document["unknown_fields"])
        out.print(f"  fields that no rule names: {names}", soft_wrap=True)
    if document["hosts"]:
        hosts = ", ".join(f"{safe(h)} ({n})" for h, n in document["hosts"].items())
        out.print(f"  hosts: {hosts}", soft_wrap=True)
