"""Capacities in force, as versions of hours: what a correction touches, and what it does not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lake.capacities import CapacityVersions, capacity_versions
from lake.catalog import open_catalog, table_of
from lake.counters import CAPACITIES
from lake.settings import load_settings

H = datetime(2026, 11, 16, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = [H + n * HOUR for n in range(5)]


def span(name: str = "FRA", start: int = 1, end: int | None = 4, bps: int = 100, **own: Any) -> Any:
    """Return a row of bronze.capacities: in force from the start-th hour to the end-th."""
    row = {
        "event_time": H + start * HOUR,
        "valid_to": None if end is None else H + end * HOUR,
        "source": "capacities",
        "delivery_id": "d1",
        "source_line": 1,
        "parser_version": "test/1",
        "ingested_at": H,
        "row_key": hashlib.md5(f"{own.get('kind')}{name}{start}".encode()).digest(),
        "cdn": "x",
        "kind": "pop",
        "name": name,
        "capacity_bps": bps,
    }
    return row | own


@pytest.fixture
def known(tmp_path):
    """Return what deliveries of capacities lead to."""
    catalog = open_catalog(load_settings({}, home=tmp_path))

    def after(*rows: Any) -> CapacityVersions:
        table = table_of(catalog, CAPACITIES)
        if rows:
            table.append(pa.Table.from_pylist(list(rows), schema=CAPACITIES.arrow))
        return capacity_versions(catalog)

    return after


def changed(before: CapacityVersions, after: CapacityVersions) -> list[int]:
    """Return which of the hours have another version."""
    return [n for n, hour in enumerate(HOURS) if before.at(hour) != after.at(hour)]


def test_without_capacities_no_hour_has_a_version(known) -> None:
    assert changed(CapacityVersions(), known()) == []


def test_a_capacity_counts_from_its_beginning_to_its_end(known) -> None:
    first = known(span())
    assert changed(CapacityVersions(), first) == [1, 2, 3]
    assert len({first.at(hour) for hour in HOURS}) == 2


def test_a_capacity_that_begins_within_an_hour_counts_from_the_next_as_in_the_mart(known) -> None:
    late = span(event_time=H + 90 * timedelta(minutes=1), valid_to=None)
    assert changed(CapacityVersions(), known(late)) == [2, 3, 4]


def test_a_correction_touches_the_hours_it_covers_and_the_same_again_none(known) -> None:
    before = known(span(), span("ZRH", 0, None), span("FRA", 4, None, 200))
    corrected = known(span(bps=90, published_at=H, delivery_id="d2"))
    assert changed(before, corrected) == [1, 2, 3]
    again = known(span(bps=90, published_at=H, delivery_id="d3"))
    assert changed(corrected, again) == []


def test_a_new_place_touches_its_hours_alone_and_a_link_none(known) -> None:
    before = known(span("ZRH", 0, None))
    assert changed(before, known(span("L1", kind="link"))) == []
    assert changed(before, known(span(start=3, end=None))) == [3, 4]


def test_of_capacities_that_overlap_the_one_that_began_last_counts_as_in_the_mart(known) -> None:
    before = known(span("FRA", 0, None, 100))
    less = known(span("FRA", 1, None, 50))
    assert changed(before, less) == [1, 2, 3, 4]
    assert changed(less, known(span("FRA", 2, 3, 150))) == [2]
