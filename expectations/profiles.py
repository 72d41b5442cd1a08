"""Profiles: one row of numbers per delivery, hour or month, computed by DuckDB in one scan.

Belongs here: what is measured. Does not: what is acceptable (the YAML files) or the verdict
(expectations.judge). A profile holds numbers only, so that no text of a log can reach a report;
identities of money and bytes are differences computed here, in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import duckdb
from pyiceberg.types import NestedField

from expectations.costs import COSTS
from expectations.counters import COUNTER_FIELDS, COUNTER_MEASURES
from expectations.feeds import FEED_FIELDS, FEED_MEASURES
from expectations.qos import DAYS, HOURS, Part, violations
from lake.audit import BrokenAuditError, DeliverySubject
from lake.formats.rec_events import EVENT_TYPES
from lake.reads import files_sql, quote_identifier, quote_literal

Number = int | float | Decimal | None
Family = Literal["delivery", "engagement"]
Connect = Callable[[], duckdb.DuckDBPyConnection]


@dataclass(frozen=True)
class ProfileRow:
    """What was measured of one subject; source is empty where overrides do not apply."""

    subject: str
    values: Mapping[str, Number]
    source: str = ""


# --- deliveries ------------------------------------------------------------------------------

CACHE_STATUSES = (
    "HIT", "STALE", "REVALIDATED", "SHIELD_HIT", "MISS", "BYPASS", "ERROR", "SYNTH", "UNKNOWN",
)  # fmt: skip
_DAY_MS = 86_400_000


def _listed(words: Iterable[str]) -> str:
    return ", ".join(quote_literal(w) for w in words)


def _count(predicate: str) -> str:
    # not count_if: where the predicate is null in every row it gives null instead of 0
    return f"count(*) filter (where {predicate})"


def _share(counted: str, of: str) -> str:
    """Return SQL of a share; null where there is nothing to take a share of."""
    return f"{_count(counted)}::double / nullif({_count(of)}, 0)"


_CUSTOMER_UNKNOWN = _share("customer is null or customer in ('', 'unknown')", "true")

# "the median is at most x" is judged as "at most half exceed x": the same statement, but it needs
# no sorted copy of the column and no approximation, whose result would vary from run to run
_MEASURES: dict[str, dict[str, str]] = {
    "bronze.cdn_requests": {
        "customer_unknown_share": _CUSTOMER_UNKNOWN,
        "negative_byte_rows": (_count("bytes_out_total < 0 or bytes_out_body < 0 or bytes_in < 0")),
        "request_bytes_max": "max(greatest(bytes_out_total, bytes_out_body, bytes_in))",
        "impossible_ttfb_rows": _count("ttfb_ms < 0 or not isfinite(ttfb_ms)"),
        "impossible_duration_rows": _count("duration_ms < 0 or not isfinite(duration_ms)"),
        "timed_rows": _count("duration_ms > 0"),
        "ttfb_rows": _count("ttfb_ms > 0"),
        "duration_over_1h_share": _share("duration_ms > 3600000", "duration_ms > 0"),
        "duration_over_60s_share": _share("duration_ms > 60000", "duration_ms > 0"),
        "duration_under_half_ms_share": _share(
            "duration_ms > 0 and duration_ms < 0.5", "duration_ms > 0"
        ),
        "ttfb_over_30s_share": _share("ttfb_ms > 30000", "ttfb_ms > 0"),
        "ttfb_under_half_ms_share": _share("ttfb_ms > 0 and ttfb_ms < 0.5", "ttfb_ms > 0"),
        "impossible_status_rows": _count("status <> 0 and status not between 100 and 599"),
        "unlisted_cache_status_rows": (_count(f"cache_status not in ({_listed(CACHE_STATUSES)})")),
        "unknown_cache_status_share": _share("cache_status = 'UNKNOWN'", "true"),
        "weightless_rows": _count("sample_weight <= 0"),
    },
    "bronze.rec_events": {
        "customer_unknown_share": _CUSTOMER_UNKNOWN,
        "unlisted_event_type_rows": _count(f"event_type not in ({_listed(EVENT_TYPES)})"),
        "rows_without_event_id": _count("event_id is null or trim(event_id) = ''"),
        "impossible_watch_rows": _count(f"watch_ms not between 0 and {_DAY_MS}"),
        "watch_without_play_rows": _count("watch_ms is not null and event_type <> 'play'"),
        "impossible_position_rows": _count("position < 1"),
        "impossible_gift_rows": _count(
            "event_type = 'gift' and not coalesce(gift_count > 0 and gift_price >= 0 "
            "and currency is not null, false)"
        ),
        "gift_without_event_rows": _count(
            "event_type <> 'gift' and (gift_count is not null or gift_price is not null)"
        ),
        "impossible_propensity_rows": (
            _count("not isfinite(propensity) or propensity not between 0 and 1")
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


def declared_measures(columns: Iterable[str]) -> dict[str, str]:
    """Return the measures that declared ranges are judged by, of columns that hold numbers."""
    return {
        f"{column}_{name}": sql.format(quote_identifier(column))
        for column in columns
        for name, sql in (("mean", "avg({})"), ("p50", "quantile_disc({}, 0.5)"))
    }


def _delivery_sql(
    table_name: str,
    fields: Sequence[NestedField],
    files: Sequence[str],
    declared: Collection[str] = (),
) -> str:
    """Return the profile query: a row per delivery, or the row of no rows without files."""
    measured = _MEASURED_FIELDS[table_name] | set(declared)
    read = [f for f in fields if f.required or f.name in measured]
    nulls = " or ".join(f"{quote_identifier(f.name)} is null" for f in read if f.required)
    measures = {
        "rows": "count(*)",
        "rows_with_null_required": _count(f"{nulls or 'false'}"),
        **_MEASURES[table_name],
        **declared_measures(declared),
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
) -> tuple[ProfileRow, ...]:
    """Measure staged deliveries of one bronze table; one row each, also without files.

    declared: columns whose mean and median are measured too.

    Rows are attributed by their delivery_id: a row that carries another one is missing from its
    delivery's count, which the suite compares with the accepted lines.
    """
    if table_name not in _MEASURES:
        raise BrokenAuditError(
            f"no profile for table {table_name}; expected one of {sorted(_MEASURES)}. Add its "
            "measures to expectations/profiles.py."
        )
    files = [uri for s in subjects for uri in s.files]
    measured: dict[str, dict[str, Number]] = {}
    with connect() as connection:
        cursor = connection.execute(_delivery_sql(table_name, fields, [], declared))
        names = [str(d[0]) for d in cursor.description or ()][1:]
        empty = dict(zip(names, cursor.fetchall()[0][1:], strict=True))
        if files:
            sql = _delivery_sql(table_name, fields, files, declared)
            found = connection.execute(sql).fetchall()
            measured = {r[0]: dict(zip(names, r[1:], strict=True)) for r in found}
    rows: list[ProfileRow] = []
    for subject in subjects:
        values = measured.get(subject.delivery_id, empty)
        values = {**values, **_ledger(subject, values["rows"])}
        rows.append(ProfileRow(subject.delivery_id, values, subject.source))
    return tuple(rows)


# --- marts -----------------------------------------------------------------------------------


def _not_negative(*columns: str) -> str:
    return violations(" and ".join(f"{c} >= 0" for c in columns))


def _doubled(*columns: str) -> str:
    return f"count(*) - count(distinct ({', '.join(columns)}))"


def _ratio_is(ratio: str, part: str, whole: str) -> str:
    """Return the predicate that a ratio is what its terms say; no ratio of nothing is said."""
    close = f"abs({ratio} - {part}::double / {whole}) <= 1e-6"
    return f"case when {whole} > 0 then {close} else coalesce({ratio}, 0) = 0 end"


_TRAFFIC = Part(
    "marts.traffic_5m",
    "date_trunc('hour', slot_start)",
    {
        "traffic_slots": "count(distinct slot_start)",
        "traffic_off_grid_rows": _count("epoch_us(slot_start) % 300000000 <> 0"),
        "traffic_duplicate_keys": _doubled("slot_start", "cdn", "pop", "customer"),
        "traffic_negative_rows": _not_negative(
            "requests", "bytes", "coalesce(bytes_in, 0)", "hit_requests", "hit_bytes"
        ),
        "traffic_hits_over_total_rows": violations(
            "hit_requests <= requests and hit_bytes <= bytes"
        ),
    },
)
_QOS = Part(
    "marts.qos_hourly",
    "hour",
    {
        "qos_duplicate_keys": _doubled("hour", "cdn", "customer"),
        "qos_negative_rows": _not_negative(
            "requests", "bytes", "eligible_requests", "hit_requests", "eligible_bytes",
            "hit_bytes", "ttfb_count", "errors_4xx", "errors_5xx", "no_response", "aborted",
            "duplicates_removed",
        ),
        "qos_hits_out_of_order_rows": violations(
            "hit_requests <= eligible_requests and eligible_requests <= requests "
            "and hit_bytes <= eligible_bytes and eligible_bytes <= bytes"
        ),
        "qos_ratio_out_of_range_rows": violations(
            "coalesce(hit_ratio_requests, 0) between 0 and 1 "
            "and coalesce(hit_ratio_bytes, 0) between 0 and 1"
        ),
        "qos_ratio_mismatch_rows": violations(
            f"{_ratio_is('hit_ratio_requests', 'hit_requests', 'eligible_requests')} "
            f"and {_ratio_is('hit_ratio_bytes', 'hit_bytes', 'eligible_bytes')}"
        ),
        "qos_percentiles_out_of_order_rows": violations(
            "ttfb_count = 0 or (0 <= ttfb_p50_ms and ttfb_p50_ms <= ttfb_p95_ms "
            "and ttfb_p95_ms <= ttfb_p99_ms)"
        ),
        "qos_outcomes_over_requests_rows": violations(
            "errors_4xx + errors_5xx + no_response <= requests and aborted <= requests "
            "and ttfb_count <= requests"
        ),
    },
)  # fmt: skip
_BUCKETS = Part(
    "marts.ttfb_buckets_hourly",
    "hour",
    {
        "buckets_duplicate_keys": _doubled("hour", "cdn", "customer", "bucket"),
        "buckets_negative_rows": _not_negative("requests"),
    },
)
# sums per key, then absolute values: errors of two customers must not cancel out
_TRAFFIC_AGAINST_QOS = Part(
    """(
        select hour, cdn, customer, sum(requests) as requests, sum(bytes) as bytes
        from (
            select date_trunc('hour', slot_start) as hour, cdn, customer, requests, bytes
            from marts.traffic_5m where {traffic_range}
            union all
            select hour, cdn, customer, -requests, -bytes from marts.qos_hourly where {hour_range}
        ) group by all
    )""",
    "hour",
    {"requests_difference": "sum(abs(requests))", "bytes_difference": "sum(abs(bytes))"},
)
_BUCKETS_AGAINST_QOS = Part(
    """(
        select hour, cdn, customer, sum(requests) as requests
        from (
            select hour, cdn, customer, requests from marts.ttfb_buckets_hourly
            where {hour_range}
            union all
            select hour, cdn, customer, -ttfb_count from marts.qos_hourly where {hour_range}
        ) group by all
    )""",
    "hour",
    {"ttfb_count_difference": "sum(abs(requests))"},
)
_ENGAGEMENT = Part(
    "marts.engagement_hourly",
    "hour",
    {
        "engagement_duplicate_keys": _doubled("hour", "customer", "scene"),
        "engagement_negative_rows": _not_negative(
            "impressions", "clicks", "plays", "valid_plays", "watch_ms", "likes",
            "duplicates_removed",
        ),
        "engagement_valid_over_plays_rows": violations("valid_plays <= plays"),
        "engagement_ctr_mismatch_rows": violations(_ratio_is("ctr", "clicks", "impressions")),
        "engagement_watch_over_day_rows": violations(f"watch_ms <= plays * {_DAY_MS}"),
        "engagement_clicks_over_impressions_rows": violations("clicks <= impressions"),
    },
)  # fmt: skip

_BILL_KEY = "month, contract_id, vendor, currency"
_BILLING = (
    Part(
        "marts.usage_monthly",
        "month",
        {
            "usage_duplicate_keys": _doubled("month", "cdn", "customer"),
            "usage_negative_rows": _not_negative(
                "requests", "logged_bytes", "estimated_bytes", "coalesce(billed_bytes, 0)"
            ),
        },
    ),
    Part(
        "marts.bill_lines",
        "month",
        {
            "line_duplicate_keys": _doubled("month", "contract_id", "vendor", "line_no"),
            "line_negative_rows": _not_negative(
                "case when item = 'credit' then -amount else amount end", "coalesce(quantity, 0)"
            ),
            "line_tier_out_of_order_rows": _count("tier_to <= tier_from"),
        },
    ),
    Part(
        "marts.bills",
        "month",
        {
            "bill_duplicate_keys": _doubled(*_BILL_KEY.split(", ")),
            "bill_negative_rows": _not_negative(
                "amount", "amount_low", "amount_high", "requests", "logged_bytes", "estimated_bytes"
            ),
        },
    ),
    Part(
        f"""(
            select {_BILL_KEY}, sum(amount) as amount, count(bill) as bills, count(line) as lines
            from (
                select {_BILL_KEY}, amount, 1 as bill, null as line
                from marts.bills where {{month_range}}
                union all
                select {_BILL_KEY}, -amount, null, 1
                from marts.bill_lines where {{month_range}}
            ) group by all
        )""",
        "month",
        {
            "amount_difference": "sum(abs(amount))",
            "unpaired_bills": _count("bills = 0 or lines = 0"),
        },
    ),
    Part(
        # quantities are shown to nine digits: of a GB, the byte
        """(
            select month, contract_id, component_no, scope,
                (sum(quantity)::decimal(27, 9) * 1000000000::decimal(10, 0))::decimal(38, 9)
                    - (max(logged + estimated)::decimal(28, 0) * max(factor))::decimal(38, 9)
                    as difference
            from marts.bill_lines
            where {month_range} and item = 'tier' and unit = 'GB' and kind like 'per_gb_%'
            group by all
        )""",
        "month",
        {"tier_difference_bytes": "max(abs(difference))"},
    ),
    Part(
        """(
            select month, vendor, coalesce(sum(used), 0) as used, count(billed) as bills,
                case when min(zone) = 'UTC' and max(zone) = 'UTC'
                    then greatest(coalesce(sum(billed), 0) - coalesce(sum(used), 0), 0) end as over
            from (
                select month, cdn as vendor, logged_bytes::decimal(38, 0) as used,
                    null::decimal(38, 0) as billed, null as zone
                from marts.usage_monthly where {month_range}
                union all
                select month, vendor, null, logged_bytes, zone
                from marts.bills where {month_range}
            ) group by all
        )""",
        "month",
        {
            "billed_over_usage_bytes": "max(over)",
            "vendors_without_bill": _count("bills = 0 and used > 0"),
        },
    ),
    Part(
        "marts.bill_allocations",
        "month",
        {
            "allocation_duplicate_keys": _doubled(
                "month", "contract_id", "method", "dimension", "part"
            ),
        },
    ),
    Part(
        """(
            select b.month, greatest(abs(min(p.amount) - b.amount), abs(max(p.amount) - b.amount))
                as difference, count(p.amount) as sums
            from (select month, contract_id, amount from marts.bills where {month_range}) as b
            left join (
                select month, contract_id, method, dimension, sum(amount) as amount
                from marts.bill_allocations where {month_range} group by all
            ) as p on p.month = b.month and p.contract_id = b.contract_id
            group by b.month, b.contract_id, b.amount
        )""",
        "month",
        {
            "allocation_difference": "max(difference)",
            "bills_not_allocated": _count("sums = 0"),
        },
    ),
    *COSTS,
)
_HOUR_PARTS: dict[Family, tuple[Part, ...]] = {
    "delivery": (_TRAFFIC, _QOS, _BUCKETS, _TRAFFIC_AGAINST_QOS, _BUCKETS_AGAINST_QOS, *HOURS),
    "engagement": (_ENGAGEMENT,),
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
    sql = _mart_sql(_BILLING, literals, "month", ranges)
    return _profile_marts(connection, sql, [m.isoformat() for m in ordered])
