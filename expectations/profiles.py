"""Profiles of the marts: one row of numbers per hour, day or month, computed by DuckDB in one scan.

Belongs here: the row, and how the parts become one query. Does not: what is measured (hours, qos,
billing, costs; of deliveries: deliveries), what is acceptable (the YAML files), or the verdict.
A profile holds numbers only, so that no text of a log can reach a report; identities of money and
bytes are differences computed in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import duckdb

from expectations.billing import BILLING
from expectations.hours import ENGAGEMENT, TRAFFIC
from expectations.parts import Part
from expectations.qos import DAYS, HOURS

Number = int | float | Decimal | None
Family = Literal["delivery", "engagement"]


@dataclass(frozen=True)
class ProfileRow:
    """What was measured of one subject; source is empty where overrides do not apply."""

    subject: str
    values: Mapping[str, Number]
    source: str = ""


_HOUR_PARTS: dict[Family, tuple[Part, ...]] = {
    "delivery": (*TRAFFIC, *HOURS),
    "engagement": ENGAGEMENT,
}
MART_TABLES: dict[str, tuple[str, ...]] = {
    "delivery": (
        "traffic_5m",
        "qos_hourly",
        "ttfb_buckets_hourly",
        "qos_5m",
        "qos_places_hourly",
        "qos_buckets_5m",
        "qos_buckets_hourly",
        "qos_hops_hourly",
        "pop_headroom_hourly",
        "rosetta_hourly",
        "streams_hourly",
    ),
    "rollup": ("qos_daily", "qos_pops_daily", "qos_buckets_daily"),
    "engagement": ("engagement_hourly",),
    "billing": (
        "usage_monthly",
        "bill_lines",
        "bills",
        "bill_allocations",
        "what_ifs",
        "unit_costs",
    ),
}


def _mart_sql(parts: Sequence[Part], literals: Sequence[str], key: str, ranges: Mapping[str, str]
              ) -> str:  # fmt: skip
    """Return the profile query: the requested partitions, each part's measures joined on."""
    joins: list[str] = []
    columns: list[str] = []
    for i, part in enumerate(parts):
        measures = ", ".join(f"{sql} as {name}" for name, sql in part.measures.items())
        range_name = "traffic_range" if "slot_start" in part.key else f"{key}_range"
        # derived relations are restricted inside; plain tables here
        relation = part.relation.format(**ranges)
        joins.append(
            f"left join (select {part.key} as partition, {measures} from {relation} "
            f"where {ranges[range_name]} group by 1) as p{i} on p{i}.partition = wanted.partition"
        )
        columns += [f"coalesce(p{i}.{name}, 0) as {name}" for name in part.measures]
    return (
        f"with wanted as (select unnest([{', '.join(literals)}]) as partition) "
        f"select {', '.join(columns)} from wanted {' '.join(joins)} order by wanted.partition"
    )


def _profile_marts(
    connection: duckdb.DuckDBPyConnection, sql: str, subjects: Sequence[str]
) -> tuple[ProfileRow, ...]:
    cursor = connection.execute(sql)
    names = [str(d[0]) for d in cursor.description or ()]
    found = cursor.fetchall()
    return tuple(
        ProfileRow(subject, dict(zip(names, row, strict=True)))
        for subject, row in zip(subjects, found, strict=True)
    )


def profile_hours(
    connection: duckdb.DuckDBPyConnection, family: Family, hours: Sequence[datetime]
) -> tuple[ProfileRow, ...]:
    """Measure hours (UTC, unique) of a family's marts; an hour without rows counts 0."""
    ordered = sorted(h.astimezone(UTC) for h in hours)
    literals = [f"timestamptz '{h.isoformat()}'" for h in ordered]
    after = f"timestamptz '{(ordered[-1] + timedelta(hours=1)).isoformat()}'"
    # the outer bounds let DuckDB skip row groups; the list keeps a late hour from costing all
    # hours between it and the newest
    within = "{0} >= {1} and {0} < {2} and date_trunc('hour', {0}) in ({3})"
    ranges = {
        name: within.format(column, literals[0], after, ", ".join(literals))
        for name, column in (("hour_range", "hour"), ("traffic_range", "slot_start"))
    }
    sql = _mart_sql(_HOUR_PARTS[family], literals, "hour", ranges)
    return _profile_marts(connection, sql, [h.isoformat() for h in ordered])


def profile_days(
    connection: duckdb.DuckDBPyConnection, days: Sequence[date]
) -> tuple[ProfileRow, ...]:
    """Measure days (UTC, unique) of the roll-ups; one without rows counts 0."""
    ordered = sorted(days)
    literals = [f"timestamptz '{d.isoformat()}T00:00:00+00:00'" for d in ordered]
    sql = _mart_sql(DAYS, literals, "day", {"day_range": f"day in ({', '.join(literals)})"})
    return _profile_marts(connection, sql, [d.isoformat() for d in ordered])


def profile_months(
    connection: duckdb.DuckDBPyConnection, months: Sequence[date]
) -> tuple[ProfileRow, ...]:
    """Measure months (first days, unique) of the billing marts; one without rows counts 0."""
    ordered = sorted(months)
    literals = [f"date '{m.isoformat()}'" for m in ordered]
    ranges = {"month_range": f"month in ({', '.join(literals)})"}
    sql = _mart_sql(BILLING, literals, "month", ranges)
    return _profile_marts(connection, sql, [m.isoformat() for m in ordered])
