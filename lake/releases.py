"""Releases: the gold snapshots that readers see together, and the file of views they open.

serving.duckdb is views over exactly the snapshots of one release, written beside and renamed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException

from lake.catalog import table_of
from lake.crash import crashpoint
from lake.marts import MARTS
from lake.reads import connect, create_views, pins_of, quote_literal, relation_sql
from lake.records import RELEASES


@dataclass(frozen=True)
class Release:
    """The gold snapshots that readers see together."""

    release_no: int
    released_at: datetime
    refresh_id: str
    marts: Mapping[str, int]


def last_release(catalog: Catalog) -> Release | None:
    """Return the newest release."""
    history = relation_sql(table_of(catalog, RELEASES))
    with connect(catalog) as connection:
        rows = connection.execute(
            f"select release_no, released_at, refresh_id, marts from ({history}) "
            "order by release_no desc limit 1"
        ).fetchall()
    if not rows:
        return None
    number, at, refresh, marts = rows[0]
    return Release(number, at, refresh, {m["mart"]: m["snapshot_id"] for m in marts})


def release(catalog: Catalog, serving_file: Path, refresh_id: str, now: datetime) -> Release | None:
    """Let readers see gold as it is now; no new release when nothing changed.

    Also mends a serving file that a kill left behind the last release.
    """
    while True:
        table = table_of(catalog, RELEASES)
        last = last_release(catalog)
        pins = pins_of(catalog, [m.gold for m in MARTS])
        if not pins:
            return None
        if last is not None and dict(last.marts) == pins:
            break
        number = 1 if last is None else last.release_no + 1
        last = Release(number, now, refresh_id, pins)
        row = {
            "release_no": number,
            "released_at": now,
            "refresh_id": refresh_id,
            "marts": [{"mart": m, "snapshot_id": s} for m, s in sorted(pins.items())],
        }
        try:
            table.append(pa.Table.from_pylist([row], schema=RELEASES.arrow))
        except (CommitFailedException, ValidationException):
            continue
        break
    crashpoint("released")
    if served_release(serving_file) != last.release_no:
        write_serving(catalog, serving_file, last)
    return last


def served_release(serving_file: Path) -> int | None:
    """Return the release that a serving file shows; None when there is no usable file."""
    if not serving_file.exists():
        return None
    try:
        with duckdb.connect(str(serving_file), read_only=True) as connection:
            found = connection.execute("select max(release_no) from weir.release").fetchone()
    except duckdb.Error:
        return None
    return found[0] if found else None


def write_serving(catalog: Catalog, serving_file: Path, shown: Release) -> None:
    """Write the views of a release beside the serving file and rename it into place."""
    serving_file.parent.mkdir(parents=True, exist_ok=True)
    beside = serving_file.with_name(f".{serving_file.name}.{shown.release_no}")
    beside.unlink(missing_ok=True)
    with connect(catalog, beside) as connection:
        create_views(connection, catalog, [m.gold for m in MARTS], shown.marts)
        connection.execute("create schema weir")
        values = ", ".join(
            f"({shown.release_no}, timestamptz {quote_literal(shown.released_at.isoformat())}, "
            f"{quote_literal(m)}, {s})"
            for m, s in sorted(shown.marts.items())
        )
        connection.execute(
            "create table weir.release as select * from "
            f"(values {values}) t(release_no, released_at, mart, snapshot_id)"
        )
        connection.execute("checkpoint")
    beside.replace(serving_file)
