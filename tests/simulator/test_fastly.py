"""The same simulated requests as Fastly and as Cloudflare write them: equal canonical rows."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest

from lake.formats import family_of
from lake.parse import Constants, Parser
from lake.source import ABSOLUTE_RANGE, Source
from simulator.audience import make_sessions
from simulator.cloudflare import CloudflareWriter
from simulator.fastly import FastlyWriter
from simulator.outcomes import SHIELD_HIT
from simulator.scenario import Scenario
from simulator.traffic import make_requests
from simulator.world import CLOUDFLARE

#: what both formats carry; not here: port, parent hop, TLS, content type, origin, vendor's words
CARRIED = (
    "event_time", "end_time", "event_time_precision", "request_id", "pop",
    "pop_iata", "client_ip", "asn", "country", "host", "scheme", "method", "path_raw", "path",
    "query_raw", "status", "bytes_out_total", "bytes_out_body", "bytes_in", "ttfb_ms",
    "client_aborted", "http_version", "user_agent", "referer", "is_viewer", "object_type",
    "stream_kind", "cmcd", "sample_weight",
)  # fmt: skip


def rows_of(family, lines):
    source = Source(
        name="feed", description="", owner="", format=family, landing={"prefix": ""},
        customers={"live.aurora.example": "aurora"},
    )  # fmt: skip
    parser = Parser(source, family_of(family), None)
    data = "".join(line + "\n" for line in lines).encode()
    tables = []
    constants = Constants("d", datetime(2026, 11, 20, tzinfo=UTC), None, *ABSOLUTE_RANGE)
    totals = parser.parse(io.BytesIO(data), "x.log", len(data), constants, tables.append)
    parser.close()
    assert (totals.rejected, totals.unknown_fields) == (
        0, set() if family == "fastly" else totals.unknown_fields,
    )  # fmt: skip
    return [row for t in tables for row in t.to_pylist()]


@pytest.fixture(scope="module")
def both():
    scenario = Scenario(seed=7, hours=1, lines=4_000)
    sessions = make_sessions(scenario, scenario.cdn_lines, 0.5)
    requests = make_requests(scenario, sessions, 40)
    chosen = requests.take(np.flatnonzero(requests.cdn == CLOUDFLARE)[-1_500:])
    fastly = rows_of("fastly", FastlyWriter(7, sessions).lines(chosen))
    cloudflare = rows_of("cloudflare_logpush", CloudflareWriter(7, sessions).lines(chosen))
    return chosen, fastly, cloudflare


def test_the_same_requests_give_equal_rows(both):
    _, fastly, cloudflare = both
    assert len(fastly) == len(cloudflare) == 1_500
    for one, other in zip(fastly, cloudflare, strict=True):
        assert {k: one[k] for k in CARRIED} == {k: other[k] for k in CARRIED}
        assert one["duration_ms"] == pytest.approx(other["duration_ms"], rel=1e-9)
    assert {r["is_viewer"] for r in fastly} == {True, False}
    assert any(r["client_aborted"] for r in fastly)


def test_the_cache_differs_by_what_an_edge_cannot_say_of_its_shield(both):
    requests, fastly, cloudflare = both
    states = {r["cache_status"] for r in fastly}
    assert states >= {"HIT", "MISS", "STALE", "REVALIDATED", "BYPASS", "UNKNOWN"}
    for code, one, other in zip(requests.cache.tolist(), fastly, cloudflare, strict=True):
        if code == SHIELD_HIT:
            assert (one["cache_status"], other["cache_status"]) == ("MISS", "SHIELD_HIT")
        elif other["cache_status"] != "SHIELD_HIT":
            assert one["cache_status"] == other["cache_status"]
            assert one["is_edge_hit"] == other["is_edge_hit"]
