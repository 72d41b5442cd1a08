"""One unremarkable row of each bronze table that deliveries are staged of.

Belongs here: rows that every rule passes. Does not: staging them (conftest), or the defects.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

HOUR = datetime(2026, 11, 16, 10, tzinfo=UTC)


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
