"""Publish: audited partitions of dbt's build file become gold, and gold becomes a release.

gold is the record, the build file a cache. A partition whose rows are the same as in gold is not
written: no snapshot for nothing. What readers see of it is lake/releases.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThan, Or
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, HourTransform, MonthTransform, Transform

from lake.catalog import ensure_table
from lake.commit import append_rows
from lake.crash import crashpoint
from lake.marts import MARTS, Mart, Unit, marts_of
from lake.reads import connect, quote_identifier, relation_sql
from lake.records import REFRESHES
from lake.releases import Release, last_release, release, served_release, write_serving
from lake.versions import Family, Stale

__all__ = [
    "MARTS",
    "Mart",
    "Release",
    "Unit",
    "last_release",
    "marts_of",
    "merged_ranges",
    "publish_partitions",
    "release",
    "served_release",
    "write_serving",
]

REFRESH_KEY = "weir.refresh-id"
_TRANSFORMS: Mapping[Unit, Transform[Any, Any]] = {
    "hour": HourTransform(),
    "day": DayTransform(),
    "month": MonthTransform(),
}
_STEPS: Mapping[Unit, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


def publish_partitions(
    catalog: Catalog,
    build_file: Path,
    family: Family,
    passed: Sequence[Stale],
    failed: Mapping[Stale, str],
    refresh_id: str,
    now: datetime,
) -> dict[str, int]:
    """Bring gold to the build's rows for the partitions that passed; record every outcome.

    Returns the number of partitions written by gold table. A failed partition keeps its last
    published rows in every mart of the family.
    """
    written: dict[str, int] = {}
    with connect(catalog, build_file, read_only=True) as build:
        for i, mart in enumerate(marts_of(family)):
            written[mart.gold] = _publish_mart(catalog, build, mart, passed, refresh_id)
            if i == 0:
                crashpoint("gold_first_committed")
    crashpoint("gold_committed")
    _record(catalog, passed, failed, refresh_id, now)
    crashpoint("refreshes_committed")
    return written


def _publish_mart(
    catalog: Catalog,
    build: duckdb.DuckDBPyConnection,
    mart: Mart,
    passed: Sequence[Stale],
    refresh_id: str,
) -> int:
    starts = sorted(p.start for p in passed)
    if not starts:
        return 0
    where = _sql_ranges(mart, starts)
    rows = build.sql(f"select * from {mart.build} where {where} order by all").to_arrow_table()
    table = _gold_table(catalog, mart, rows.schema)
    while True:
        changed = _changed(build, table, mart, rows, starts)
        if not changed:
            return 0
        keep = _in_partitions(mart, rows, changed)
        summary = {REFRESH_KEY: refresh_id}
        try:
            with table.transaction() as tx:
                if table.current_snapshot() is not None:
                    tx.delete(_iceberg_ranges(mart, changed), snapshot_properties=summary)
                if keep.num_rows:
                    tx.append(keep, snapshot_properties=summary)
        except (CommitFailedException, ValidationException):
            table.refresh()
            continue
        return len(changed)


def _gold_table(catalog: Catalog, mart: Mart, arrow: pa.Schema) -> Table:
    """Load the gold table, creating it or adding columns by the build's schema."""
    schema: Schema = assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(arrow))
    source = schema.find_field(mart.partition_by)
    by = _TRANSFORMS[mart.unit]
    spec = PartitionSpec(PartitionField(source.field_id, 1000, by, f"{mart.partition_by}_part"))
    table = ensure_table(
        catalog,
        mart.gold,
        schema,
        spec,
        {"commit.retry.num-retries": "0", "commit.manifest-merge.enabled": "true"},
    )
    known = {f.name for f in table.schema().fields}
    if not known.issuperset(arrow.names):
        with table.update_schema() as update:
            update.union_by_name(arrow)
    return table


def _changed(
    build: duckdb.DuckDBPyConnection,
    table: Table,
    mart: Mart,
    rows: pa.Table,
    starts: Sequence[datetime],
) -> list[datetime]:
    """Return the partitions in which gold and the build differ."""
    gold = relation_sql(table, row_filter=_iceberg_ranges(mart, starts))
    names = ", ".join(quote_identifier(n) for n in rows.column_names)
    build.register("new_rows", rows)
    old = f"(select {names} from ({gold}) where {_sql_ranges(mart, starts)})"
    new = f"(select {names} from new_rows)"
    found = build.execute(
        f"select distinct date_trunc('{mart.unit}', {quote_identifier(mart.partition_by)}) from "
        f"(({new} except all {old}) union all ({old} except all {new}))"
    ).fetchall()
    build.unregister("new_rows")
    return sorted(_instant(r[0]) for r in found)


def _instant(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _end(mart: Mart, start: datetime) -> datetime:
    if mart.unit in _STEPS:
        return start + _STEPS[mart.unit]
    return (start.replace(day=1) + timedelta(days=32)).replace(day=1)


def merged_ranges(starts: Sequence[datetime], step: timedelta) -> list[tuple[datetime, datetime]]:
    """Return half-open ranges that cover exactly the given partitions of equal length."""
    ranges: list[tuple[datetime, datetime]] = []
    for start in sorted(starts):
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], start + step)
        else:
            ranges.append((start, start + step))
    return ranges


def _ranges(mart: Mart, starts: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    if mart.unit in _STEPS:
        return merged_ranges(starts, _STEPS[mart.unit])
    return [(s, _end(mart, s)) for s in sorted(starts)]


def _sql_ranges(mart: Mart, starts: Sequence[datetime]) -> str:
    column = quote_identifier(mart.partition_by)
    kind = "date" if mart.unit == "month" else "timestamptz"
    terms = [
        f"({column} >= {kind} '{_literal(mart, low)}' and {column} < {kind} "
        f"'{_literal(mart, high)}')"
        for low, high in _ranges(mart, starts)
    ]
    return " or ".join(terms) or "false"


def _literal(mart: Mart, instant: datetime) -> str:
    return instant.date().isoformat() if mart.unit == "month" else instant.isoformat()


def _iceberg_ranges(mart: Mart, starts: Sequence[datetime]) -> BooleanExpression:
    """Return the partitions as an expression; never as text, which could be injected."""
    terms: list[BooleanExpression] = [
        And(
            GreaterThanOrEqual(mart.partition_by, _literal(mart, low)),
            LessThan(mart.partition_by, _literal(mart, high)),
        )
        for low, high in _ranges(mart, starts)
    ]
    result = terms[0]
    for term in terms[1:]:
        result = Or(result, term)
    return result


def _in_partitions(mart: Mart, rows: pa.Table, starts: Sequence[datetime]) -> pa.Table:
    with connect(None) as connection:
        connection.register("new_rows", rows)
        return connection.sql(
            f"select * from new_rows where {_sql_ranges(mart, starts)}"
        ).to_arrow_table()


def _record(
    catalog: Catalog,
    passed: Sequence[Stale],
    failed: Mapping[Stale, str],
    refresh_id: str,
    now: datetime,
) -> None:
    rows = [
        {
            "refresh_id": refresh_id,
            "refreshed_at": now,
            "family": p.family,
            "partition_start": p.start,
            "input_version": p.version,
            "outcome": "failed" if p in failed else "published",
            "reason": failed.get(p),
        }
        for p in (*passed, *failed)
    ]
    if rows:
        table = pa.Table.from_pylist(rows, schema=REFRESHES.arrow)
        append_rows(catalog, REFRESHES, table, {REFRESH_KEY: refresh_id})
