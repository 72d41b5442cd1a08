"""The same requests, written by a server of one's own and by Cloudflare, become equal rows.

Up to what a format cannot carry: Apache and Varnish stamp whole seconds, none has a word for a hit
at a shield, Varnish says nothing of revalidation, staleness and clients that left.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lake.source import load_sources
from simulator.audience import make_sessions
from simulator.cloudflare import CloudflareWriter
from simulator.combined import ApacheWriter, NginxWriter
from simulator.families import CDN_FAMILIES
from simulator.malform import KINDS, malform
from simulator.scenario import Scenario
from simulator.squid import SquidWriter
from simulator.traffic import make_requests
from simulator.varnish import VarnishWriter
from simulator.world import CLOUDFLARE

SOURCES = load_sources(Path(__file__).parents[2] / "docs/sources")
EVERYWHERE = ("host", "customer", "method", "path", "query_raw", "object_type", "stream_kind")
WEB = (*EVERYWHERE, "bytes_out_body", "bytes_in", "user_agent", "referer")
#: family -> writer, equal columns, unit of event_time in us, what its cache has no word for
FAMILIES: dict[str, tuple[Any, tuple[str, ...], int, dict[str, str]]] = {
    "nginx": (
        NginxWriter,
        (*WEB, "status", "client_aborted", "bytes_out_total"),
        1_000,
        {"SHIELD_HIT": "MISS"},
    ),
    "apache": (ApacheWriter, (*WEB, "client_aborted", "bytes_out_total"), 1_000_000, {}),
    "varnishncsa": (
        VarnishWriter,
        (*WEB, "scheme", "bytes_out_total", "ttfb_ms"),
        1_000_000,
        {"SHIELD_HIT": "MISS", "STALE": "HIT", "REVALIDATED": "HIT", "UNKNOWN": "SYNTH"},
    ),
    "squid": (
        SquidWriter,
        (*EVERYWHERE, "scheme", "client_aborted", "bytes_out_total", "content_type"),
        1_000,
        {"SHIELD_HIT": "MISS"},
    ),
}


@pytest.fixture(scope="module")
def traffic():
    scenario = Scenario(seed=5, hours=1, lines=6_000)
    sessions = make_sessions(scenario, scenario.cdn_lines, 0.0)
    requests = make_requests(scenario, sessions, 0)
    rows = requests.take(np.flatnonzero(requests.cdn == CLOUDFLARE)[:3_000])
    assert len(rows) == 3_000
    return scenario.seed, sessions, rows


def text(writer: Any, traffic: Any) -> bytes:
    seed, sessions, rows = traffic
    return "\n".join([*writer(seed, sessions).lines(rows), ""]).encode()


@pytest.fixture(scope="module")
def by_vendor(parse, feed_of, traffic):
    source = feed_of("cloudflare_logpush", customers=SOURCES["nginx"].customers)
    return parse("cloudflare_logpush", text(CloudflareWriter, traffic), source=source).rows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_requests_become_equal_rows(family, parse, traffic, by_vendor):
    writer, columns, unit, unsaid = FAMILIES[family]
    data = text(writer, traffic)
    found = parse(family, data, source=SOURCES[family])
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.rejected) == (3_000, 0)
    assert {r["cdn"] for r in found.rows} == {"own_edge"}
    for ours, theirs in zip(found.rows, by_vendor, strict=True):
        assert {c: ours[c] for c in columns} == {c: theirs[c] for c in columns}
        assert ours["cmcd"] == theirs["cmcd"]
        assert ours["client_ip"] == theirs["client_ip"]
        apart = abs(ours["event_time"] - theirs["event_time"]) // timedelta(microseconds=1)
        # the end and the duration are each cut to the unit
        assert apart < 2 * unit
        assert abs(ours["duration_ms"] - theirs["duration_ms"]) < 1
        if family != "apache":
            said = unsaid.get(theirs["cache_status"], theirs["cache_status"])
            assert ours["cache_status"] == said
        if theirs["status"] != 499:
            assert ours["status"] == theirs["status"]


def test_the_requests_show_every_ending_and_cache_state(by_vendor):
    assert {r["status"] for r in by_vendor} >= {200, 206, 304, 404, 499}
    assert {r["cache_status"] for r in by_vendor} >= {
        "HIT", "MISS", "SHIELD_HIT", "STALE", "REVALIDATED", "BYPASS", "UNKNOWN",
    }  # fmt: skip
    assert any(r["cmcd"] for r in by_vendor)
    assert any('"' in r["user_agent"] for r in by_vendor)


@pytest.mark.parametrize("family", [*FAMILIES, "ats_squid"])
def test_every_kind_of_broken_line_is_rejected_and_no_other(family, parse, traffic):
    good = text(CDN_FAMILIES[family].writer, traffic).split(b"\n")[:-1][:400]
    broken = [
        malform(family, kind, line, "") for kind in KINDS for line in (good[1], good[2], good[390])
    ]
    period = SOURCES[family].name_facts(f"{family}/edge-1/access-2026111600.log.gz")
    data = b"\n".join([*good, *broken, b""])
    result = parse(
        family,
        data,
        source=SOURCES[family],
        not_before=period.not_before,
        not_after=period.not_after,
    )
    result.check_accounts(data)
    assert sorted(result.reasons) == [*range(401, 401 + len(broken))]
    assert set(result.reasons.values()) == {
        "ragged", "bad_utf8", "wrong_type", "bad_time", "time_out_of_range",
    }  # fmt: skip
