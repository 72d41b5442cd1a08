"""Staged deliveries and build files, small and real, with room for one planted defect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from lake.audit import DeliverySubject
from lake.catalog import open_catalog, table_of
from lake.records import LANDED
from lake.settings import load_settings

from .qos_build import good_rows

HOUR = datetime(2026, 11, 16, 10, tzinfo=UTC)
MONTH = date(2026, 11, 1)
Rows = list[dict[str, Any]]


def request_row(no: int) -> dict[str, Any]:
    """Return an unremarkable CDN request."""
    return {
        "event_time": HOUR + timedelta(seconds=no),
        "event_time_precision": "start_ms",
        "source": "cloudfront",
        "source_line": no + 1,
        "row_key": no.to_bytes(16, "big"),
        "customer": "aurora",
        "parser_version": "cloudfront_v1/1",
        "ingested_at": HOUR,
        "cdn": "cloudfront",
        "status": 0 if no % 10 == 0 else 200,
        "bytes_out_total": 1000 + no,
        "bytes_out_body": None if no % 3 else 900,
        "bytes_in": 300,
        "ttfb_ms": 12.5,
        "duration_ms": None if no % 7 == 0 else 80.0,
        "cache_status": "UNKNOWN" if no % 4 == 0 else "HIT",
        "is_edge_hit": True,
        "is_origin_fetch": False,
        "client_aborted": False,
        "sample_weight": Decimal("1.000000"),
        "is_viewer": True,
        "object_type": "segment",
        "stream_kind": "hls",
    }


def event_row(no: int) -> dict[str, Any]:
    """Return an unremarkable recommendation event."""
    is_play, is_gift = no % 4 == 0, no % 4 == 1
    gift = {"gift_count": 3, "gift_price": Decimal("0.5"), "currency": "EUR"} if is_gift else {}
    return {
        "event_time": HOUR + timedelta(seconds=no),
        "source": "rec_events",
        "source_line": no + 1,
        "row_key": no.to_bytes(16, "big"),
        "customer": "aurora",
        "parser_version": "rec_events/1",
        "ingested_at": HOUR,
        "event_id": f"event-{no}",
        "event_type": "play" if is_play else "gift" if is_gift else "impression",
        "item_id": "item",
        "position": None if is_play else no + 1,
        "propensity": None if is_play else 0.25,
        "watch_ms": 86_400_000 if is_play else None,
    } | gift


def _said(no: int) -> dict[str, Any]:
    return {
        "event_time": HOUR + timedelta(hours=no),
        "source": "counters",
        "source_line": no + 1,
        "row_key": no.to_bytes(16, "big"),
        "parser_version": "counters/1",
        "ingested_at": HOUR,
        "cdn": "cloudfront",
        "published_at": HOUR + timedelta(days=9),
    }


def usage_row(no: int) -> dict[str, Any]:
    """Return an unremarkable hour of a vendor's counters; every third counts invalidations."""
    is_other = no % 3 == 0
    return _said(no) | {
        "slot_end": HOUR + timedelta(hours=no + 1),
        "scope_kind": "distribution",
        "scope_value": "E2EXAMPLE",
        "counter": "Invalidations" if is_other else "Requests",
        "requests": None if is_other else 0,
        "quantity": 3 if is_other else None,
        "definition": "tests/1",
        "rounding": "exact",
    }


def invoice_row(no: int) -> dict[str, Any]:
    """Return a line of an invoice: usage, a refund of it, or a tax."""
    month = {"event_time": HOUR, "billing_period_end": HOUR + timedelta(days=30)}
    amount = Decimal(no) * Decimal("0.085")
    priced = {"quantity": Decimal(no), "unit": "GB", "unit_price": Decimal("0.085")}
    kinds: list[dict[str, Any]] = [
        {"charge_category": "Usage", "amount": round(amount, 2), **priced},
        {"charge_category": "Usage", "charge_class": "Correction", "amount": -amount, **priced},
        {"charge_category": "Tax", "amount": Decimal("1.90")},
    ]
    return (
        _said(no)
        | month
        | {"line_no": no, "issuer": "Example", "currency": "EUR", "amount_decimals": 2}
        | kinds[no % 3]
    )


def roster_row(no: int) -> dict[str, Any]:
    """Return a producer whose span ends where its next one begins."""
    span = {"valid_to": HOUR + timedelta(hours=no + 1)} if no % 2 == 0 else {}
    return _said(no) | span | {"feed": "rec_events", "producer": f"rec-{no // 2}", "cadence_s": 60}


def capacity_row(no: int) -> dict[str, Any]:
    """Return a place whose span ends where its next one begins."""
    span = {"valid_to": HOUR + timedelta(hours=no + 1)} if no % 2 == 0 else {}
    return _said(no) | span | {"kind": "pop", "name": f"P{no // 2}", "capacity_bps": 10**11}


def _fed(no: int) -> dict[str, Any]:
    return {
        "event_time": HOUR + timedelta(seconds=no),
        "source": "feeds",
        "source_line": no + 1,
        "row_key": no.to_bytes(16, "big"),
        "parser_version": "feeds/1",
        "ingested_at": HOUR,
    }


def player_row(no: int) -> dict[str, Any]:
    """Return an unremarkable event of a player."""
    kind = "playbackStall" if no % 3 else "heartbeat"
    return _fed(no) | {"event_type": kind, "session_id": f"s-{no}", "stall_ms": no or None}


def assignment_row(no: int) -> dict[str, Any]:
    """Return an assignment; every unit is assigned twice, to the same variant."""
    unit = no // 2
    return _fed(no) | {
        "experiment_id": "e",
        "variant": "ab"[unit % 2],
        "user_key": f"u-{unit}",
        "unit_kind": "user",
        "planned_share": 0.5 if no % 4 else None,
    }


def item_row(no: int) -> dict[str, Any]:
    """Return a state of an item; live rooms have no length."""
    return _fed(no) | {"item_id": f"i-{no}", "change_kind": "upsert", "duration_ms": no or None}


def creator_row(no: int) -> dict[str, Any]:
    """Return a state of a creator."""
    return _fed(no) | {"creator_id": f"c-{no}", "change_kind": "snapshot", "followers": no or None}


MAKERS = {
    "bronze.player_events": player_row,
    "bronze.experiment_assignments": assignment_row,
    "bronze.items": item_row,
    "bronze.creators": creator_row,
    "bronze.cdn_requests": request_row,
    "bronze.rec_events": event_row,
    "bronze.vendor_usage": usage_row,
    "bronze.vendor_invoices": invoice_row,
    "bronze.producer_rosters": roster_row,
    "bronze.capacities": capacity_row,
}
SOURCES = {
    **dict.fromkeys(MAKERS, "feeds"),
    "bronze.cdn_requests": "cloudfront",
    "bronze.rec_events": "rec_events",
}


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    home = tmp_path_factory.mktemp("lake")
    catalog = open_catalog(load_settings({"WEIR_HOME": str(home)}))
    return {record.identifier: table_of(catalog, record) for record in LANDED}


@pytest.fixture(scope="session")
def fields_by_table(tables: Mapping[str, Table]) -> dict[str, Sequence[NestedField]]:
    return {name: table.schema().fields for name, table in tables.items()}


Stage = Callable[..., DeliverySubject]


@pytest.fixture
def stage(tables: Mapping[str, Table], tmp_path: Path) -> Stage:
    """Write a delivery of good rows, changed as asked, and return it as a subject."""

    def staged(
        delivery_id: str,
        table: str = "bronze.cdn_requests",
        *,
        change: Mapping[str, Any] | None = None,
        only: int | None = None,
        rows: int = 30,
        file_name: str | None = None,
        **subject: Any,
    ) -> DeliverySubject:
        data: Rows = [{**MAKERS[table](n), "delivery_id": delivery_id} for n in range(rows)]
        for row in data if only is None else data[:only]:
            row.update(change or {})
        schema = schema_to_pyarrow(tables[table].schema())
        # a writer's fault may leave nulls where the table allows none
        nullable = pa.schema([f.with_nullable(True) for f in schema], schema.metadata)
        path = tmp_path / (file_name or f"{delivery_id}.parquet")
        pq.write_table(pa.Table.from_pylist(data, schema=nullable), path)
        said: dict[str, Any] = {
            "source": SOURCES[table],
            "key": f"{delivery_id}.gz",
            "files": (path.as_posix(),),
            "accepted": rows,
            "rejected": 0,
            "header": 2,
            "blank": 0,
            "reject_reasons": {},
            "period_start": HOUR,
            "period_end": HOUR + timedelta(hours=1),
            **subject,
        }
        counted = said["accepted"] + said["rejected"] + said["header"] + said["blank"]
        said.setdefault("lines", counted)
        return DeliverySubject(delivery_id=delivery_id, table_name=table, **said)

    return staged


_SCHEMA = """
create schema marts;
create table marts.traffic_5m (slot_start timestamptz, cdn varchar, pop varchar, customer varchar,
    requests bigint, bytes bigint, bytes_in bigint, hit_requests bigint, hit_bytes bigint);
create table marts.qos_hourly (hour timestamptz, cdn varchar, customer varchar, requests bigint,
    bytes bigint, eligible_requests bigint, hit_requests bigint, eligible_bytes bigint,
    hit_bytes bigint, hit_ratio_requests double, hit_ratio_bytes double, ttfb_count bigint,
    ttfb_p50_ms double, ttfb_p95_ms double, ttfb_p99_ms double, errors_4xx bigint,
    errors_5xx bigint, no_response bigint, aborted bigint, duplicates_removed bigint);
create table marts.ttfb_buckets_hourly (hour timestamptz, cdn varchar, customer varchar,
    bucket integer, requests bigint);
create table marts.engagement_hourly (hour timestamptz, customer varchar, scene varchar,
    impressions bigint, clicks bigint, ctr double, plays bigint, valid_plays bigint,
    watch_ms bigint, likes bigint, duplicates_removed bigint);
create table marts.usage_monthly (month date, cdn varchar, customer varchar, requests bigint,
    logged_bytes bigint, estimated_bytes decimal(38, 0), billed_bytes decimal(38, 0));
create table marts.bill_lines (month date, contract_id varchar, vendor varchar, currency varchar,
    line_no integer, component_no integer, kind varchar, item varchar, scope varchar, unit varchar,
    tier_from decimal(38, 9), tier_to decimal(38, 9), quantity decimal(38, 9),
    unit_price decimal(18, 9), logged decimal(38, 0), estimated decimal(38, 0),
    factor decimal(9, 6), amount decimal(38, 6));
create table marts.bills (month date, contract_id varchar, vendor varchar, currency varchar,
    zone varchar, requests decimal(38, 0), logged_bytes decimal(38, 0),
    estimated_bytes decimal(38, 0), amount_low decimal(38, 6),
    amount decimal(38, 6), amount_high decimal(38, 6));
create table marts.what_ifs (month date, contract_id varchar, contract_version integer,
    terms_contract_id varchar, terms_contract_version integer, is_in_force boolean,
    billed_amount decimal(38, 6), amount decimal(38, 6));
create table marts.unit_costs (month date, subject varchar, name varchar, unit varchar,
    currency varchar, amount decimal(38, 6), quantity decimal(38, 9), unit_cost decimal(38, 9));
create table marts.bill_allocations (month date, contract_id varchar, vendor varchar,
    currency varchar, method varchar, dimension varchar, part varchar, amount decimal(38, 6));
"""
# a tenant that is not known is a null: every comparison between marts must survive it
_HOURS = """
insert into marts.traffic_5m
    select h + to_minutes(5 * s), 'cloudfront', 'FRA1', c, 10, 1000, 5, 5, 500
    from unnest([{hours}]) as a(h), range(12) as b(s), (values ('aurora'), (null)) as t(c);
insert into marts.qos_hourly
    select h, 'cloudfront', c, 120, 12000, 100, 60, 10000, 6000, 0.6, 0.6, 100, 10, 20, 30,
        1, 1, 1, 2, 3
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c);
insert into marts.ttfb_buckets_hourly
    select h, 'cloudfront', c, b, 50
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c), (values (1), (2)) as u(b);
insert into marts.engagement_hourly
    select h, c, 'feed', 100, 10, 0.1, 5, 4, 60000, 2, 1
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c);
"""
_MONTHS = """
insert into marts.usage_monthly
    select m, 'cloudfront', c, 1000, b, 0, b
    from unnest([{months}]) as a(m), (values ('aurora', 1000000400), (null, 500000000)) as t(c, b);
insert into marts.bills
    select m, 'c1', 'cloudfront', 'USD', 'UTC', 2000, 1500000400, 0, 150, 150, 150
    from unnest([{months}]) as a(m);
insert into marts.what_ifs
    select m, 'c1', 1, w, 1, w = 'c1', 150, a
    from unnest([{months}]) as a(m), (values ('c1', 150), ('c2', 90)) as t(w, a);
insert into marts.unit_costs
    select m, s, n, u, 'USD', a, 2, a / 2
    from unnest([{months}]) as a(m), (values ('cdn', 'cloudfront', 'GB', 150),
        ('platform', 'all', 'viewing hour', 150), ('platform', 'all', 'thousand plays', 150),
        ('customer', 'a', 'viewing hour', 75), ('customer', 'b', 'viewing hour', 75),
        ('customer', 'a', 'thousand plays', 75), ('customer', 'b', 'thousand plays', 75)
    ) as t(s, n, u, a);
insert into marts.bill_allocations
    select m, 'c1', 'cloudfront', 'USD', w, d, p, 75
    from unnest([{months}]) as a(m), (values ('volume'), ('billed_slot')) as w(w),
        (values ('customer'), ('pop')) as d(d), (values ('a'), ('b')) as p(p);
insert into marts.bill_lines
    select m, 'c1', 'cloudfront', 'USD', n, c, k, i, null, u, f, t, q, p, b, 0, o, x
    from unnest([{months}]) as a(m), (values
        (1, 1, 'per_gb_graduated', 'tier', 'GB', 0, 1, 1.0, 100.0, 1500000400, 1, 100.00),
        (2, 1, 'per_gb_graduated', 'tier', 'GB', 1, null, 0.5000004, 80.0, 1500000400, 1, 41.00),
        (3, 2, 'minimum', 'minimum', null, null, null, null, null, null, null, 10.00),
        (4, 3, 'credit', 'credit', null, null, null, null, null, null, null, -1.00)
    ) as l(n, c, k, i, u, f, t, q, p, b, o, x);
"""


@pytest.fixture(scope="session")
def good_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build file with two good hours and two good months."""
    path = tmp_path_factory.mktemp("build") / "build.duckdb"
    hours = ", ".join(f"timestamptz '{HOUR + timedelta(hours=n)}'" for n in (0, 1))
    months = "date '2026-10-01', date '2026-11-01'"
    days = "timestamptz '2026-11-15 00:00:00+00', timestamptz '2026-11-16 00:00:00+00'"
    with duckdb.connect(str(path)) as connection:
        connection.execute(_SCHEMA)
        connection.execute(_HOURS.format(hours=hours))
        connection.execute(_MONTHS.format(months=months))
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(good_rows(hours, days))
    return path


@pytest.fixture
def build_with(good_build: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a maker of build files that are good but for one statement's defect."""

    def build(statement: str) -> Path:
        path = tmp_path / "build.duckdb"
        path.write_bytes(good_build.read_bytes())
        with duckdb.connect(str(path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(statement)
        return path

    return build
