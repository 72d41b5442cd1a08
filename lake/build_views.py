"""What a dbt build sees of the lake: one SELECT a table, pinned, of the periods it rebuilds alone.

The orchestration writes them into the build's plan, so that dbt need not open the catalog: its
plugin runs in a new process for every build. A dbt call without a plan makes them itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThan, Or

from lake.reads import files_sql, relation_sql
from lake.records import BRONZE, COUNTERS, DELIVERIES, FEEDS

#: published marts that days are added from, and the column that says when
GOLD_OF_DAYS = {
    "gold.qos_places_hourly": "hour", "gold.qos_5m": "slot_start",
    "gold.qos_buckets_hourly": "hour",
}  # fmt: skip
#: every table that dbt reads
SOURCES = (
    *(r.identifier for r in (*BRONZE, *FEEDS, *COUNTERS)),
    "gold.traffic_5m", "gold.streams_hourly", "gold.engagement_hourly", *GOLD_OF_DAYS,
    DELIVERIES.identifier,
)  # fmt: skip
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
#: a filter is judged once per file and range; beyond this the smallest gaps are read as well
_MAX_RANGES = 40


def selects_of(
    catalog: Catalog,
    identifiers: Iterable[str],
    pins: Mapping[str, int | None],
    hours: Sequence[datetime] = (),
    days: Sequence[datetime] = (),
) -> dict[str, str]:
    """Return a SELECT over each table that exists.

    pins: snapshot of a table; None is the empty table, a table without a pin is read as it is
    now. hours, days: what is rebuilt, in UTC; bronze is read for those hours, what roll-ups add
    from for those days; none means all.
    """
    pruned = {r.identifier: periods_filter(hours, _HOUR, "event_time") for r in BRONZE}
    pruned |= {name: periods_filter(days, _DAY, column) for name, column in GOLD_OF_DAYS.items()}
    selects = {}
    for identifier in identifiers:
        try:
            table = catalog.load_table(identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            continue
        if pins.get(identifier, 0) is None:
            selects[identifier] = files_sql(table.schema().fields, [])
        else:
            selects[identifier] = relation_sql(table, pins.get(identifier), pruned.get(identifier))
    return selects


def periods_filter(
    starts: Sequence[datetime], length: timedelta, column: str
) -> BooleanExpression | None:
    """Return a filter on a column that keeps every file of these periods; None for all."""
    if not starts:
        return None
    ranges = _covering(_ranges(sorted(starts), length), _MAX_RANGES)
    parts: list[BooleanExpression] = [
        And(
            GreaterThanOrEqual(column, start.isoformat()),
            LessThan(column, end.isoformat()),
        )
        for start, end in ranges
    ]
    combined = parts[0]
    for part in parts[1:]:
        combined = Or(combined, part)
    return combined


def _ranges(
    starts: Sequence[datetime], length: timedelta = _HOUR
) -> list[tuple[datetime, datetime]]:
    """Return half-open ranges, neighbouring periods in one."""
    ranges: list[tuple[datetime, datetime]] = []
    for start in starts:
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], start + length)
        else:
            ranges.append((start, start + length))
    return ranges


def _covering(
    ranges: list[tuple[datetime, datetime]], most: int
) -> list[tuple[datetime, datetime]]:
    """Return at most so many ranges that cover the given ones, split at their widest gaps."""
    gaps = sorted(
        range(1, len(ranges)), key=lambda i: ranges[i][0] - ranges[i - 1][1], reverse=True
    )
    starts = [0, *sorted(gaps[: most - 1])]
    ends = [*(i - 1 for i in starts[1:]), len(ranges) - 1]
    return [(ranges[a][0], ranges[b][1]) for a, b in zip(starts, ends, strict=True)]
