"""What edge locations can carry: dbt_project/capacities/*.yaml, read, judged and shown to dbt.

Belongs here: the form of a capacity file. Does not: use and headroom (models/).

A file is a list of links::

    - {cdn: cloudfront, pop: FRA56-P3, link: transit-1, capacity_bps: 100000000000,
       valid_from: 2026-01-01}

A link counts from `valid_from` until `valid_to` (dates, UTC, the end exclusive; none is open).
Links of one location add up. A change of a link is a new entry; one that overlaps is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import duckdb
import yaml

from lake.reads import quote_literal

_DDL = (
    "cdn VARCHAR, pop VARCHAR, link VARCHAR, capacity_bps BIGINT, valid_from TIMESTAMPTZ, "
    "valid_to TIMESTAMPTZ"
)
_NEEDED = {"cdn", "pop", "link", "capacity_bps", "valid_from"}


class CapacityError(ValueError):
    """A capacity file that cannot be read; the message names file, entry and remedy."""


@dataclass(frozen=True)
class Capacity:
    """What a link carries in a half-open period."""

    cdn: str
    pop: str
    link: str
    capacity_bps: int
    valid_from: dt.datetime
    valid_to: dt.datetime | None


def load_capacities(folder: Path) -> list[Capacity]:
    """Return the links of every file; no folder is no links."""
    found: list[Capacity] = []
    for file in sorted(folder.glob("*.yaml")):
        entries = yaml.safe_load(file.read_text(encoding="utf-8")) or []
        if not isinstance(entries, list):
            raise CapacityError(f"{file}: a {type(entries).__name__}; expected a list of links.")
        found += [_entry(file, i, entry) for i, entry in enumerate(entries)]
    _refuse_overlaps(found)
    return found


def _entry(file: Path, number: int, entry: object) -> Capacity:
    place = f"{file}: [{number}]"
    if not isinstance(entry, dict) or not entry.keys() >= _NEEDED:
        raise CapacityError(f"{place}: {entry!r}; expected {', '.join(sorted(_NEEDED))}.")
    if unknown := entry.keys() - _NEEDED - {"valid_to"}:
        raise CapacityError(f"{place}: unknown field {min(unknown)!r}. Correct or drop it.")
    size = entry["capacity_bps"]
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**62:
        raise CapacityError(f"{place}: capacity_bps {size!r}; expected whole bits per second.")
    start, end = _day(place, entry["valid_from"]), entry.get("valid_to")
    until = None if end is None else _day(place, end)
    if until is not None and until <= start:
        raise CapacityError(f"{place}: valid_to {end} is not after {entry['valid_from']}.")
    names = [str(entry[n]) for n in ("cdn", "pop", "link")]
    return Capacity(*names, size, start, until)


def _day(place: str, given: object) -> dt.datetime:
    if isinstance(given, dt.datetime) or not isinstance(given, dt.date):
        raise CapacityError(f"{place}: {given!r}; expected a day as 2026-01-01.")
    return dt.datetime(given.year, given.month, given.day, tzinfo=dt.UTC)


def _refuse_overlaps(links: Iterable[Capacity]) -> None:
    last: Capacity | None = None
    for one in sorted(links, key=lambda c: (c.cdn, c.pop, c.link, c.valid_from)):
        same = last is not None and (last.cdn, last.pop, last.link) == (one.cdn, one.pop, one.link)
        if last is not None and same and (last.valid_to is None or last.valid_to > one.valid_from):
            raise CapacityError(
                f"link {one.link} of {one.cdn} {one.pop} has two capacities from "
                f"{one.valid_from:%Y-%m-%d}; expected one at a time. End the earlier entry."
            )
        last = one


def show_capacities(conn: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create `contracts.capacities`; over a broken file it raises as soon as a model reads it."""
    conn.execute("CREATE SCHEMA IF NOT EXISTS contracts")
    try:
        links = load_capacities(folder)
    except (CapacityError, yaml.YAMLError, OSError) as error:
        rows = f"(SELECT error({quote_literal(str(error))}) AS e) WHERE e IS NOT NULL"
        links = []
    else:
        rows = "(SELECT 1) WHERE false"
    columns = [c.rsplit(" ", 1) for c in _DDL.split(", ")]
    nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns)
    selects = [f"SELECT {nulls} FROM {rows}"]
    for link in links:
        values = [_literal(v) for v in astuple(link)]
        selects.append(
            "SELECT " + ", ".join(
                f"CAST({v} AS {kind})" for v, (_, kind) in zip(values, columns, strict=True)
            )
        )  # fmt: skip
    # a view, because it may have to raise: the text of a file is quoted, never spliced
    conn.execute("CREATE OR REPLACE VIEW contracts.capacities AS " + " UNION ALL ".join(selects))


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return quote_literal(value.isoformat() if isinstance(value, dt.datetime) else str(value))
