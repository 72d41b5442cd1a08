"""The same requests in any vendor's words are the same rows, but for what a format cannot say."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from lake.formats import family_of
from lake.limits import Limits
from lake.parse import Constants, Parser
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.source import ABSOLUTE_RANGE, LandingSpec, Source
from simulator.akamai import FIELDS, AkamaiStructuredWriter, AkamaiWriter
from simulator.audience import Sessions, make_sessions
from simulator.azure import AzureWriter
from simulator.cloudflare import CloudflareWriter
from simulator.gcp import GcpWriter
from simulator.scenario import Scenario
from simulator.traffic import Requests, make_requests
from simulator.world import CLOUDFLARE

START = datetime(2026, 11, 16, tzinfo=UTC)
Row = dict[str, Any]
#: what every format carries, and the same in each
SAME = (
    "host", "path", "path_raw", "method", "scheme", "bytes_out_total", "is_viewer", "client_ip",
    "user_agent", "referer", "cmcd", "object_type", "stream_kind", "customer",
)  # fmt: skip
WRITERS = {
    "cloudflare_logpush": CloudflareWriter,
    "akamai_ds2": AkamaiWriter,
    "akamai_ds2_structured": AkamaiStructuredWriter,
    "gcp_cdn": GcpWriter,
    "azure_front_door": AzureWriter,
}


def parsed(family: str, lines: list[str]) -> list[Row]:
    source = Source(
        name="feed",
        description="a feed of the tests",
        owner="team:tests",
        format=family,
        landing=LandingSpec(prefix="in/"),
        fields=FIELDS if family == "akamai_ds2_structured" else (),
        customers={"vod.aurora.example": "aurora"},
        limits=Limits(),
    )
    parser = Parser(source, family_of(family), Protection(Keyring.of(b"a key of the tests")))
    data = "\n".join([*lines, ""]).encode()
    rows: list[Row] = []
    totals = parser.parse(
        io.BytesIO(data),
        "in/file.log",
        len(data),
        Constants("d-1", START, None, *ABSOLUTE_RANGE),
        lambda table: rows.extend(table.to_pylist()),
    )
    parser.close()
    assert (totals.accepted, totals.lines) == (len(lines), len(lines))
    unknown = totals.unknown_fields
    assert family == "cloudflare_logpush" or unknown == set()
    return sorted(rows, key=lambda r: r["source_line"])


@pytest.fixture(scope="module")
def traffic() -> tuple[Sessions, Requests]:
    scenario = Scenario(7, START, 1, 4_000, frozenset())
    sessions = make_sessions(scenario, scenario.cdn_lines, 0.3)
    requests = make_requests(scenario, sessions, 60)
    return sessions, requests.take(np.flatnonzero(requests.cdn == CLOUDFLARE))


@pytest.fixture(scope="module")
def rows_of(traffic) -> Callable[[str], list[Row]]:
    sessions, requests = traffic
    known: dict[str, list[Row]] = {}

    def of(family: str) -> list[Row]:
        if family not in known:
            known[family] = parsed(family, WRITERS[family](7, sessions).lines(requests))
        return known[family]

    return of


def akamai(row: Row) -> Row:
    """Milliseconds; the status before the viewer left; no word for stale."""
    return {
        "event_time": row["event_time"].replace(
            microsecond=row["event_time"].microsecond // 1_000 * 1_000
        ),
        "duration_ms": int(round(row["duration_ms"], 3)),
        "status": status_sent(row),
        "cache_status": {"STALE": "HIT"}.get(row["cache_status"], row["cache_status"]),
        "client_aborted": row["client_aborted"],
    }


def structured(row: Row) -> Row:
    """Besides, whole seconds."""
    return {**akamai(row), "event_time": row["event_time"].replace(microsecond=0)}


def azure(row: Row) -> Row:
    """The end is exact, the duration in milliseconds; no word for stale and revalidated."""
    merged = {"STALE": "HIT", "REVALIDATED": "HIT"}
    return {
        "end_time": row["end_time"],
        "duration_ms": int(round(row["duration_ms"], 3)),
        "status": row["status"],
        "cache_status": merged.get(row["cache_status"], row["cache_status"]),
        "client_aborted": row["client_aborted"],
    }


def google(row: Row) -> Row:
    """Microseconds; Cloud CDN has no shield and no stale, Media CDN no viewer that left midway."""
    cache, is_left = row["cache_status"], row["client_aborted"]
    is_media = row["host"].startswith("live.") or not row["is_viewer"]
    if not is_media:
        merged = {
            "STALE": "HIT",
            "SHIELD_HIT": "MISS",
            **({"BYPASS": "UNKNOWN"} if is_left else {}),
        }
        cache = merged.get(cache, cache)
    return {
        "event_time": row["event_time"],
        "duration_ms": round(row["duration_ms"], 3),
        "status": status_sent(row),
        "cache_status": cache,
        "client_aborted": is_left and (not is_media or status_sent(row) == 0),
    }


def status_sent(row: Row) -> int:
    """Return the status that the viewer got: Cloudflare says 499 where the viewer had left."""
    if row["status"] != 499:
        return int(row["status"])
    return 200 if row["bytes_out_total"] else 0


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("akamai_ds2", akamai),
        ("akamai_ds2_structured", structured),
        ("gcp_cdn", google),
        ("azure_front_door", azure),
    ],
    ids=["akamai", "akamai_structured", "gcp", "azure"],
)
def test_the_same_requests_are_the_same_rows(family, said, rows_of):
    whole, other = rows_of("cloudflare_logpush"), rows_of(family)
    assert len({r["row_key"] for r in other}) == len(other)
    for ours, theirs in zip(whole, other, strict=True):
        wanted = said(ours)
        assert said(theirs) == wanted, (ours["source_line"], ours["cache_status"])
        assert {c: theirs[c] for c in SAME} == {c: ours[c] for c in SAME}


def test_the_traffic_has_what_is_compared(rows_of):
    rows = rows_of("cloudflare_logpush")
    assert len(rows) > 1_000
    assert {r["cache_status"] for r in rows} >= {
        "HIT",
        "STALE",
        "REVALIDATED",
        "SHIELD_HIT",
        "MISS",
    }
    assert {r["is_viewer"] for r in rows} == {True, False}
    assert {r["client_aborted"] for r in rows} == {True, False}
    assert {r["status"] for r in rows} >= {200, 206, 304, 499}
    assert sum(r["cmcd"] is not None for r in rows) > 500
    assert any("%" in r["path_raw"] for r in rows)


@pytest.mark.parametrize("family", ["akamai_ds2", "gcp_cdn", "azure_front_door"])
def test_a_caused_request_is_no_viewers_and_names_its_cause_where_it_can(family, rows_of):
    rows = rows_of(family)
    caused = [r for r in rows if not r["is_viewer"]]
    assert caused
    viewers = {r["request_id"] for r in rows if r["is_viewer"]}
    if family == "gcp_cdn":
        assert {r["parent_hop"] for r in caused} == {None}
    else:
        assert {r["parent_hop"] for r in caused} <= viewers


def test_origins_and_networks_are_kept_where_a_format_has_them(rows_of):
    for row, flare in zip(rows_of("akamai_ds2"), rows_of("cloudflare_logpush"), strict=True):
        assert (row["asn"], row["country"]) == (flare["asn"], flare["country"])
        assert row["ttfb_ms"] == flare["ttfb_ms"]
        assert row["bytes_out_body"] == flare["bytes_out_body"]
        assert row["origin_ip"] == flare["origin_ip"]
        assert row["bytes_out_network"] >= row["bytes_out_total"]
