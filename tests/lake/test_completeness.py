"""Deliveries that are not in: their hours, their feed, and what they make stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake.completeness import open_hours, with_cdn
from lake.ledger import Ledger
from lake.records import DELIVERIES
from lake.settings import PACKAGED_SOURCES
from lake.source import load_sources
from lake.versions import Partition, month_versions

HOUR = timedelta(hours=1)
DAY = datetime(2026, 2, 28, tzinfo=UTC)
FEBRUARY, MARCH = (("billing", datetime(2026, m, 1, tzinfo=UTC)) for m in (2, 3))


def row(state: str, **facts: Any) -> dict[str, Any]:
    return {
        "delivery_id": "d", "change_no": 1, "changed_at": DAY, "batch_id": "b",
        "source": "cloudfront", "table_name": "bronze.cdn_requests", "key": "k", "etag": "e",
        "size_bytes": 9, "last_modified": DAY, "state": state, "verdict": "held",
        "content_id": "c", "content_sha256": "s", "parser_version": "p", "hours": [],
        "period_start": DAY + 5 * HOUR, "period_end": DAY + 6 * HOUR,
    } | facts  # fmt: skip


def opened(*rows: dict[str, Any]) -> list[tuple[datetime, str]]:
    with Ledger(pa.Table.from_pylist(list(rows), schema=DELIVERIES.arrow)) as ledger:
        return open_hours(ledger)


@pytest.mark.parametrize("state", ["held", "rejected"])
def test_a_delivery_that_is_not_in_touches_the_hours_of_its_day(state: str) -> None:
    found = opened(row(state))
    assert {hour for hour, _ in found} == {DAY + n * HOUR for n in range(24)}
    assert len({facts for _, facts in found}) == 1


def test_hours_of_its_rows_go_before_the_period_of_its_name() -> None:
    found = opened(row("held", hours=[{"hour": DAY + 26 * HOUR, "rows": 1}]))
    assert {hour.date() for hour, _ in found} == {(DAY + timedelta(days=1)).date()}


@pytest.mark.parametrize(
    "other",
    [
        row("loaded"),
        row("duplicate"),
        row("replaced"),
        row("held", table_name="bronze.rec_events"),
        row("rejected", period_start=None, period_end=None),
    ],
    ids=["loaded", "duplicate", "replaced", "of another table", "of no period"],
)
def test_others_touch_none(other: dict[str, Any]) -> None:
    assert opened(other) == []


def test_the_last_state_of_a_delivery_counts() -> None:
    assert opened(row("held"), row("loaded", change_no=2)) == []


def _versions(
    missing: list[tuple[datetime, str]], zones: tuple[str, ...] = ()
) -> dict[Partition, str]:
    published: dict[Partition, str] = {
        ("delivery", DAY): "v1",
        ("delivery", DAY + timedelta(days=9)): "v2",
    }
    return month_versions(published, "contracts", zones, missing)


def test_a_delivery_that_is_not_in_changes_the_version_of_its_month_alone() -> None:
    whole, marked = _versions([]), _versions(opened(row("held")))
    assert marked[FEBRUARY] != whole[FEBRUARY]
    assert marked[MARCH] == whole[MARCH]
    assert _versions(opened(row("loaded", change_no=2))) == whole
    more = opened(row("held"), row("held", delivery_id="d2"))
    assert _versions(more)[FEBRUARY] != marked[FEBRUARY]


def test_it_changes_the_month_of_every_zone_that_its_day_lies_in() -> None:
    zones = ("Asia/Shanghai",)
    whole, marked = _versions([], zones), _versions(opened(row("held")), zones)
    assert all(marked[key] != whole[key] for key in (FEBRUARY, MARCH))


def test_a_month_without_a_published_hour_is_not_made_stale() -> None:
    assert month_versions({}, "contracts", (), opened(row("held"))) == {}


def test_the_ledger_of_bills_knows_the_cdn_and_the_sampling_of_a_feed(tmp_path: Path) -> None:
    sources = load_sources(PACKAGED_SOURCES)
    own = sources["cloudfront"].model_copy(
        update={"name": "own", "cdn": "o'wn", "sampled_percent": Decimal("12.5")}
    )
    ledger = pa.table({"source": ["cloudfront", "own", "rec_events", "unknown"]})
    with duckdb.connect() as connection:
        connection.register("ledger", ledger)
        rows = connection.execute(with_cdn("from ledger", [*sources.values(), own])).fetchall()
        none = connection.execute(with_cdn("from ledger", [])).fetchall()
    assert sorted(rows) == [("cloudfront", "cloudfront", 1_000_000), ("own", "o'wn", 125_000)]
    assert none == []
