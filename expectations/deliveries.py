"""Profiles of staged deliveries: one row of numbers each, computed by DuckDB in one scan.

Belongs here: what is measured of them, column by column of bronze. Does not: the marts (profiles),
feeds and counters (feeds, counters), what is acceptable (deliveries.yaml).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import duckdb
from pyiceberg.types import NestedField

from expectations.counters import COUNTER_FIELDS, COUNTER_MEASURES
from expectations.declared import declared_measures
from expectations.feeds import FEED_FIELDS, FEED_MEASURES
from expectations.parts import count
from expectations.profiles import Number, ProfileRow
from lake.audit import BrokenAuditError, DeliverySubject
from lake.formats.rec_events import EVENT_TYPES
from lake.reads import files_sql, quote_identifier, quote_literal

Connect = Callable[[], duckdb.DuckDBPyConnection]
CACHE_STATUSES = (
    "HIT", "STALE", "REVALIDATED", "SHIELD_HIT", "MISS", "BYPASS", "ERROR", "SYNTH", "UNKNOWN",
)  # fmt: skip
_DAY_MS = 86_400_000


def _listed(words: Iterable[str]) -> str:
    return ", ".join(quote_literal(w) for w in words)


def _share(counted: str, of: str) -> str:
    """Return SQL of a share; null where there is nothing to take a share of."""
    return f"{count(counted)}::double / nullif({count(of)}, 0)"


_CUSTOMER_UNKNOWN = _share("customer is null or customer in ('', 'unknown')", "true")

# "the median is at most x" is judged as "at most half exceed x": the same statement, but it needs
# no sorted copy of the column and no approximation, whose result would vary from run to run
_MEASURES: dict[str, dict[str, str]] = {
    "bronze.cdn_requests": {
        "customer_unknown_share": _CUSTOMER_UNKNOWN,
        "negative_byte_rows": (count("bytes_out_total < 0 or bytes_out_body < 0 or bytes_in < 0")),
        "request_bytes_max": "max(greatest(bytes_out_total, bytes_out_body, bytes_in))",
        "impossible_ttfb_rows": count("ttfb_ms < 0 or not isfinite(ttfb_ms)"),
        "impossible_duration_rows": count("duration_ms < 0 or not isfinite(duration_ms)"),
        "timed_rows": count("duration_ms > 0"),
        "ttfb_rows": count("ttfb_ms > 0"),
        "duration_over_1h_share": _share("duration_ms > 3600000", "duration_ms > 0"),
        "duration_over_60s_share": _share("duration_ms > 60000", "duration_ms > 0"),
        "duration_under_half_ms_share": _share(
            "duration_ms > 0 and duration_ms < 0.5", "duration_ms > 0"
        ),
        "ttfb_over_30s_share": _share("ttfb_ms > 30000", "ttfb_ms > 0"),
        "ttfb_under_half_ms_share": _share("ttfb_ms > 0 and ttfb_ms < 0.5", "ttfb_ms > 0"),
        "impossible_status_rows": count("status <> 0 and status not between 100 and 599"),
        "unlisted_cache_status_rows": (count(f"cache_status not in ({_listed(CACHE_STATUSES)})")),
        "unknown_cache_status_share": _share("cache_status = 'UNKNOWN'", "true"),
        "weightless_rows": count("sample_weight <= 0"),
    },
    "bronze.rec_events": {
        "customer_unknown_share": _CUSTOMER_UNKNOWN,
        "unlisted_event_type_rows": count(f"event_type not in ({_listed(EVENT_TYPES)})"),
        "rows_without_event_id": count("event_id is null or trim(event_id) = ''"),
        "impossible_watch_rows": count(f"watch_ms not between 0 and {_DAY_MS}"),
        "watch_without_play_rows": count("watch_ms is not null and event_type <> 'play'"),
        "impossible_position_rows": count("position < 1"),
        "impossible_gift_rows": count(
            "event_type = 'gift' and not coalesce(gift_count > 0 and gift_price >= 0 "
            "and currency is not null, false)"
        ),
        "gift_without_event_rows": count(
            "event_type <> 'gift' and (gift_count is not null or gift_price is not null)"
        ),
        "impossible_propensity_rows": (
            count("not isfinite(propensity) or propensity not between 0 and 1")
        ),
    },
    **FEED_MEASURES,
    **COUNTER_MEASURES,
}
_MEASURED_FIELDS: dict[str, frozenset[str]] = {
    "bronze.cdn_requests": frozenset(
        {
            "delivery_id", "customer", "bytes_out_total", "bytes_out_body", "bytes_in", "ttfb_ms",
            "duration_ms", "status", "cache_status", "sample_weight",
        }
    ),
    "bronze.rec_events": frozenset(
        {
            "delivery_id", "customer", "event_type", "event_id", "watch_ms", "position",
            "propensity", "gift_count", "gift_price", "currency",
        }
    ),
    **FEED_FIELDS,
    **COUNTER_FIELDS,
}  # fmt: skip


def connect_memory() -> duckdb.DuckDBPyConnection:
    """Return a connection for Parquet files of the local file system."""
    return duckdb.connect(":memory:")


def _delivery_sql(
    table_name: str,
    fields: Sequence[NestedField],
    files: Sequence[str],
    declared: Collection[str] = (),
    watched: Collection[str] = (),
) -> str:
    """Return the profile query: a row per delivery, or the row of no rows without files."""
    measured = _MEASURED_FIELDS[table_name] | set(declared) | set(watched)
    read = [f for f in fields if f.required or f.name in measured]
    nulls = " or ".join(f"{quote_identifier(f.name)} is null" for f in read if f.required)
    measures = {
        "rows": "count(*)",
        "rows_with_null_required": count(f"{nulls or 'false'}"),
        **_MEASURES[table_name],
        **declared_measures(declared, watched),
    }
    columns = ", ".join(f"{sql} as {name}" for name, sql in measures.items())
    grouped = "group by delivery_id" if files else ""
    key = "delivery_id" if files else "null"
    return f"select {key} as delivery_id, {columns} from ({files_sql(read, files)}) {grouped}"


def _ledger(subject: DeliverySubject, rows: Number) -> dict[str, Number]:
    """Return what the counts of a delivery say about each other and about its files."""
    counted = subject.accepted + subject.rejected + subject.header + subject.blank
    data_lines = subject.accepted + subject.rejected
    return {
        "lines_unaccounted": subject.lines - counted,
        "row_difference": int(rows or 0) - subject.accepted,
        "data_lines": data_lines,
        "rejected_share": subject.rejected / data_lines if data_lines else 0.0,
        "rejects_without_reason": subject.rejected - sum(subject.reject_reasons.values()),
    }


def profile_deliveries(
    table_name: str,
    fields: Sequence[NestedField],
    subjects: Sequence[DeliverySubject],
    connect: Connect = connect_memory,
    declared: Collection[str] = (),
    watched: Collection[str] = (),
) -> tuple[ProfileRow, ...]:
    """Measure staged deliveries of one bronze table; one row each, also without files.

    declared: columns whose mean and median are measured too. watched: whose values are counted.

    Rows are attributed by their delivery_id: a row that carries another one is missing from its
    delivery's count, which the suite compares with the accepted lines.
    """
    if table_name not in _MEASURES:
        raise BrokenAuditError(
            f"no profile for table {table_name}; expected one of {sorted(_MEASURES)}. Add its "
            "measures to expectations/deliveries.py."
        )
    files = [uri for s in subjects for uri in s.files]
    measured: dict[str, dict[str, Number]] = {}
    with connect() as connection:
        cursor = connection.execute(_delivery_sql(table_name, fields, [], declared, watched))
        names = [str(d[0]) for d in cursor.description or ()][1:]
        empty = dict(zip(names, cursor.fetchall()[0][1:], strict=True))
        if files:
            sql = _delivery_sql(table_name, fields, files, declared, watched)
            found = connection.execute(sql).fetchall()
            measured = {r[0]: dict(zip(names, r[1:], strict=True)) for r in found}
    rows: list[ProfileRow] = []
    for subject in subjects:
        values = measured.get(subject.delivery_id, empty)
        values = {**values, **_ledger(subject, values["rows"])}
        rows.append(ProfileRow(subject.delivery_id, values, subject.source))
    return tuple(rows)
