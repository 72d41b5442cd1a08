"""The same requests in any two families' words give equal marts, up to what a format cannot say.

All families are compared with one reference: the requests as rows of bronze that nobody had to
write or parse. So what a family says is compared with what every other says. What a format cannot
carry stands in carries.py, with the reason; an entry that is not needed any more fails as well.

`cdn` is the family's by construction, and one value a lake: it is taken out. PoPs of the reference
are places in the simulator's list, which has the same cities in the same order for each vendor, and
get the names that a family has for them. A format that stamps ends, or cuts instants, is compared
with the reference whose starts were worked out of such stamps.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from lake.audit import AuditReport, CheckResult
from lake.catalog import ensure_all
from lake.formats import FAMILIES
from lake.ingest import Ingest
from lake.landing import FolderLanding
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.records import CDN_REQUESTS
from lake.settings import PACKAGED_SOURCES
from lake.source import Source, load_sources
from simulator.audience import Sessions, make_sessions
from simulator.families import CDN_FAMILIES, CdnFamily, as_served_by, cut_files
from simulator.outcomes import ABORTED, GONE, METHODS, STATUS
from simulator.scenario import Scenario
from simulator.traffic import Requests, make_requests
from simulator.urls import PathWriter
from simulator.world import CLOUDFLARE, CLOUDFLARE_FIRST_POP, CUSTOMERS

from .carries import CARRIES, STAMPS, Carries
from .conftest import PROJECT, Weir, key

SCENARIO = Scenario(seed=5, hours=2, lines=4_000, incidents=frozenset())
SOURCES = {
    **load_sources(PROJECT.parent / "docs/sources"),
    **load_sources(PACKAGED_SOURCES),
}
STATES = (
    "HIT",
    "STALE",
    "REVALIDATED",
    "SHIELD_HIT",
    "MISS",
    "BYPASS",
    "ERROR",
    "SYNTH",
    "UNKNOWN",
)
Row = dict[str, Any]
Mart = dict[tuple[Any, ...], Row]


@dataclass(frozen=True)
class Traffic:
    sessions: Sessions
    requests: Requests
    #: what viewers asked for
    viewers: Requests


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    sessions = make_sessions(SCENARIO, SCENARIO.cdn_lines, 0.0)
    made = make_requests(SCENARIO, sessions, 60)
    requests = made.take(np.flatnonzero(made.cdn == CLOUDFLARE))
    return Traffic(sessions, requests, requests.take(np.flatnonzero(requests.parent < 0)))


@pytest.fixture(scope="module")
def built(tmp_path_factory, runner) -> Iterator[Callable[[str, Callable[[Weir], None]], Weir]]:
    """Return what fills a lake of its own and builds the marts of delivery over it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
            patch.delenv(name, raising=False)

        def build(name: str, fill: Callable[[Weir], None]) -> Weir:
            home = tmp_path_factory.mktemp(name)
            patch.setenv("WEIR_HOME", str(home))
            weir = Weir(home, runner)
            fill(weir)
            weir.build("tag:delivery")
            return weir

        yield build


def passes(subjects: Any) -> AuditReport:
    return AuditReport(
        tuple(
            CheckResult("delivery", "none", "none", s.delivery_id, "warning", True, None, None)
            for s in subjects
        )
    )


def source_of(family: CdnFamily) -> Source:
    """Return the example, with all customers' hosts and no sampling: here every row is written."""
    hosts = {host: c.slug for c in CUSTOMERS for host in (c.live_host, c.vod_host)}
    return SOURCES[family.source].model_copy(
        update={"customers": hosts, "sampled_percent": Decimal(100)}
    )


def fill_with(family: CdnFamily, traffic: Traffic) -> Callable[[Weir], None]:
    def fill(weir: Weir) -> None:
        landing, source = weir.home / "landing", source_of(family)
        served = as_served_by(family, traffic.requests)
        rows = np.flatnonzero((served.parent < 0) | family.marks_children)
        writer = family.writer(SCENARIO.seed, traffic.sessions)
        cut = cut_files(family, SCENARIO, traffic.sessions, served, rows, lines_per_file=1_000)
        for name, part in cut:
            path = landing / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(family.data(writer, served.take(part)))
        ensure_all(weir.catalog)
        report = Ingest(
            catalog=weir.catalog,
            landing=FolderLanding(landing),
            sources={source.name: source},
            record=CDN_REQUESTS,
            audit=passes,
            protection=Protection(Keyring.of(b"a key of the tests")),
            now=dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        ).run()
        loaded = [d for d in report.changes if d.state == "loaded"]
        assert {d.state for d in report.changes} == {"loaded"}, report.changes
        assert sum(d.accepted for d in loaded) == rows.size
        assert sum(d.rejected for d in loaded) == 0

    return fill


# --- the reference -------------------------------------------------------------------------------


def reference_rows(traffic: Traffic, stamp: str) -> list[Row]:
    """Return what viewers asked for as rows of bronze; `cdn` names the stamp."""
    rows = traffic.viewers
    customer = traffic.sessions.customer[rows.session].tolist()
    common = {
        "source": "reference",
        "delivery_id": "reference",
        "parser_version": "test/1",
        "ingested_at": SCENARIO.end,
        "event_time_precision": stamp,
        "cdn": stamp,
        "is_viewer": True,
        "sample_weight": 1,
        "object_type": "segment",
        "stream_kind": "hls",
    }
    return [
        {
            **common,
            "row_key": key(f"{stamp}-{at}"),
            "source_line": at,
            "event_time": dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=us),
            "customer": CUSTOMERS[customer[at - 1]].slug,
            "pop": str(pop % CLOUDFLARE_FIRST_POP),
            "path": unquote(path),
            "method": METHODS[method],
            "status": int(STATUS[ending]),
            "bytes_out_total": sent,
            "bytes_in": 380 + dice,
            "ttfb_ms": float(ttfb),
            "cache_status": STATES[cache],
            "is_edge_hit": STATES[cache] in ("HIT", "STALE", "REVALIDATED"),
            "is_origin_fetch": STATES[cache] in ("MISS", "BYPASS", "REVALIDATED"),
            "client_aborted": ending in (ABORTED, GONE),
        }
        for at, (us, pop, method, ending, sent, dice, ttfb, cache, path) in enumerate(
            zip(
                STAMPS[stamp](rows).tolist(), rows.pop.tolist(), rows.method.tolist(),
                rows.ending.tolist(), (rows.body_bytes + rows.header_bytes).tolist(),
                rows.dice.tolist(), rows.ttfb_ms.tolist(), rows.cache.tolist(),
                PathWriter(traffic.sessions).paths(rows),
                strict=True,
            ),
            1,
        )
    ]  # fmt: skip


@pytest.fixture(scope="module")
def reference(built, traffic) -> Weir:
    return built(
        "reference",
        lambda weir: weir.deliver(*(row for s in STAMPS for row in reference_rows(traffic, s))),
    )


# --- the comparison ------------------------------------------------------------------------------

KEYS = {
    "traffic_5m": ("slot_start", "pop", "customer"),
    "qos_hourly": ("hour", "customer"),
    "streams_hourly": ("hour", "customer", "stream"),
}
#: by stream over all locations, which some formats do not name
_SUMMED = {
    "streams_hourly": "(select hour, cdn, customer, stream, sum(requests) as requests, "
    "sum(bytes) as bytes from marts.streams_hourly group by all)"
}


def mart_of(weir: Weir, mart: str, cdn: str) -> Mart:
    keys = KEYS[mart]
    relation = _SUMMED.get(mart, f"marts.{mart}")
    rows = weir.records(f"select * exclude (cdn) from {relation} where cdn = '{cdn}'")
    return {tuple(row.pop(k) for k in keys): row for row in rows}


def as_carried(mart: Mart, carries: Carries, keys: tuple[str, ...]) -> Mart:
    """Return rows of the reference under a family's names of PoPs, added up where those are equal.

    Only counts have a PoP.
    """
    if "pop" not in keys:
        return mart
    found: dict[tuple[Any, ...], Counter[str]] = {}
    for (slot, place, customer), row in mart.items():
        pop = carries.pop(int(place)) if carries.pop else "unknown"
        found.setdefault((slot, pop, customer), Counter()).update(row)
    return {
        at: {**row, "bytes_in": row["bytes_in"] - carries.bytes_in_less * row["requests"]}
        for at, row in found.items()
    }


def differing(ours: Mart, theirs: Mart) -> Counter[str]:
    """Return column -> number of keys whose values differ; a key that one lacks is all columns."""
    found: Counter[str] = Counter()
    for at in ours.keys() | theirs.keys():
        one, other = ours.get(at, {}), theirs.get(at, {})
        found.update(c for c in one.keys() | other.keys() if one.get(c) != other.get(c))
    return found


#: the pair that every run of the tests compares
EVERY_RUN = ("cloudflare", "nginx")


@pytest.mark.parametrize(
    "name",
    [n if n in EVERY_RUN else pytest.param(n, marks=pytest.mark.slow) for n in CDN_FAMILIES],
)
def test_the_same_requests_give_equal_marts(name, built, traffic, reference):
    family, carries = CDN_FAMILIES[name], CARRIES[name]
    weir = built(name, fill_with(family, traffic))
    assert weir.rows("select distinct cdn from marts.traffic_5m") == [(carries.cdn,)]
    told: set[str] = set()
    for mart, keys in KEYS.items():
        wanted = as_carried(mart_of(reference, mart, carries.stamp), carries, keys)
        found = mart_of(weir, mart, carries.cdn)
        assert found.keys() == wanted.keys()
        different = differing(found, wanted)
        assert set(different) <= carries.unsaid, (mart, different)
        told |= set(different)
    assert told == carries.unsaid, "what a format carries by now is no exception any more"


def test_the_traffic_has_what_is_compared(reference):
    sums = reference.records(
        "select cdn, sum(requests) as requests, sum(hit_requests) as hit_requests, "
        "sum(errors_4xx) as errors_4xx, sum(errors_5xx) as errors_5xx, "
        "sum(no_response) as no_response, sum(aborted) as aborted, min(ttfb_count) as ttfb_count "
        "from marts.qos_hourly group by cdn"
    )
    assert {row.pop("cdn") for row in sums} == set(STAMPS)
    assert all(min(row.values()) > 0 for row in sums), sums
    assert sums[0]["requests"] > 2_000
    exact, coarse = (mart_of(reference, "traffic_5m", s) for s in ("start", "end_s"))
    assert len({pop for _, pop, _ in exact}) > 5
    assert len({stream for _, _, stream in mart_of(reference, "streams_hourly", "start")}) > 30
    assert differing(exact, coarse)["requests"], "whole seconds of the end move requests"


def test_a_request_that_only_one_side_has_is_found(reference):
    whole = mart_of(reference, "traffic_5m", "start")
    at, row = next(iter(whole.items()))
    assert not differing(whole, dict(whole))
    assert differing(whole, {**whole, at: {**row, "requests": row["requests"] - 1}}) == {
        "requests": 1
    }
    assert set(differing(whole, {k: r for k, r in whole.items() if k != at})) == set(row)


def test_every_family_of_requests_is_compared():
    """Families by a field map have no words of their own: what they read is in their source."""
    by_a_map = {"json_map", "nginx_json", "apache_json"}
    read = {f.name for f in FAMILIES.values() if f.record is CDN_REQUESTS}
    written = {one.format for one in CDN_FAMILIES.values()}
    assert read - by_a_map == written - by_a_map
    assert set(CARRIES) == set(CDN_FAMILIES)
    assert all(SOURCES[one.source].format == one.format for one in CDN_FAMILIES.values())
