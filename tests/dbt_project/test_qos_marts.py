"""What the marts of delivery quality say of small tables, worked out by hand."""

from __future__ import annotations

import datetime as dt

import pytest

from lake.counters import CAPACITIES
from orchestration.commands.rosetta import definitions
from orchestration.metrics.where import parse

from .asking import REGISTRY, ask
from .conftest import Row, at, key, request

MISS = {"cache_status": "MISS", "is_edge_hit": False, "is_origin_fetch": True}
BIG = {"bytes_out_total": 100_000, "bytes_out_body": 90_000, "ttfb_ms": 100.0}


def test_every_count_of_a_small_table_is_what_was_worked_out_by_hand(weir):
    live = {"cmcd": {"st": "l"}, "object_type": "segment", "is_edge_hit": False}
    weir.deliver(
        request("a", "00:00:01", **BIG, duration_ms=820.0),  # hit, 90 kB in 720 ms: 1000 kbps
        request("b", "00:01", **BIG, **MISS, duration_ms=1540.0),  # miss, 500 kbps
        request("c", "00:02", cache_status="STALE"),
        request("d", "00:03", cache_status="REVALIDATED", is_origin_fetch=True),
        request("e", "00:04", cache_status="BYPASS", is_edge_hit=False, is_origin_fetch=True),
        request("f", "00:05", method="POST"),  # answered from cache all the same, not eligible
        request("g", "00:06", status=404, **MISS | live),  # live edge
        request("h", "00:07", status=416, **MISS, object_type="segment"),  # not said to be live
        request("i", "00:08", status=503, cache_status="ERROR", is_edge_hit=False),
        request("j", "00:09", status=0, client_aborted=True, **MISS),  # the viewer left
        request("k", "00:10", status=0, **MISS),  # the origin did not answer
        request("l", "00:11", status=0),  # no answer, nobody asked the origin
        request("m", "00:12", status=499, **MISS),
        request("n", "00:13", sample_weight=4, status=302, cache_status="SYNTH"),
        request("o", "00:14", is_viewer=False, **MISS),
    )
    weir.build("tag:delivery")
    sums = ", ".join(f"cast(sum({m}) as bigint) as {m}" for m in REGISTRY.marts["qos_5m"].measures)
    expected = {
        "requests": 17,
        "bytes": 200_000 + 15 * 100,
        "bytes_in": 170,
        "eligible_requests": 11,  # not f, i, n
        "hit_requests": 4,  # a c d l
        "miss_requests": 7,
        "other_requests": 6,
        "eligible_bytes": 200_000 + 900,
        "hit_bytes": 100_300,
        "cacheable_requests": 10,  # not e
        "edge_hit_requests": 9,  # with f and the four of n
        "plain_hit_requests": 3,  # a f l
        "origin_requests": 8,  # b d e g h j k m
        "origin_bytes": 100_700,
        "errors_4xx": 2,
        "client_errors": 1,
        "live_edge_errors": 1,
        "errors_5xx": 1,
        "no_response": 3,
        "aborted": 2,
        "aborted_bytes": 200,
        "answerable_requests": 14,  # not j, l, m
        "failed_requests": 2,  # i k
        "ttfb_count": 6,  # a to f
        "throughput_count": 2,
        "throughput_bytes": 180_000,
        "throughput_us": 720_000 + 1_440_000,
        "duplicates_removed": 0,
    }
    for mart in ("qos_5m", "qos_places_hourly"):
        assert weir.records(f"select {sums} from marts.{mart}") == [expected], mart
    assert weir.rows(
        "select hop, hop_requests, hop_origin_requests from marts.qos_hops_hourly order by hop"
    ) == [("edge", 17, 8), ("inner", 1, 1)]
    ratios = {
        "hit_ratio_requests": 4 / 11,
        "hit_ratio_bytes": 100_300 / 200_900,
        "hit_ratio_cacheable": 0.4,
        "akamai_offload_rate": 9 / 17,
        "aws_chr": 3 / 17,
        "origin_offload_requests": 9 / 17,
        "origin_offload_bytes": 1 - 100_700 / 201_500,
        "error_rate_4xx": 1 / 17,
        "live_edge_error_rate": 1 / 17,
        "error_rate_5xx": 1 / 17,
        "no_response_rate": 3 / 17,
        "abort_rate": 2 / 17,
        "availability": 1 - 2 / 14,
        "throughput_kbps": 180_000 * 8 / 2160,
    }
    for name, value in ratios.items():
        assert ask(weir, name, grain="hour")[0][1] == pytest.approx(value, rel=1e-12), name
    # the busiest slot is 00:00 with two large answers and three small ones
    assert ask(weir, "peak_egress_bps", grain="hour")[0][1] == (200_300 * 8) / 300
    assert ask(weir, "egress_bps", grain="hour")[0][1] == pytest.approx(201_500 * 8 / 3600)
    assert ask(weir, "ttfb_miss_p95_ms")[0][:1] == pytest.approx([100], rel=0.01)
    assert ask(weir, "throughput_p5_kbps")[0][:1] == pytest.approx([500], rel=0.01)
    assert ask(weir, "throughput_p50_kbps")[0][:1] == pytest.approx([500], rel=0.01)
    covered = {*expected, *ratios, "peak_egress_bps", "egress_bps"}
    own = {n for n, m in REGISTRY.metrics.items() if m.owner == "team:delivery"}
    rest = {n for n in own - covered if not n.startswith(("hop_", "ttfb_", "throughput_p"))}
    assert rest == set()


def test_a_hop_counts_its_own_answers_the_edge_those_of_viewers(weir):
    inner = {"is_viewer": False, "status": 200}
    sent = {"is_edge_hit": False, "is_origin_fetch": True, "cache_status": "MISS"}
    weir.deliver(
        request("a", "00:00"),  # edge FRA50: one hit, one that went on, one 503, one 404
        request("b", "00:10", **MISS),
        request("c", "00:20", status=503, cache_status="ERROR", is_edge_hit=False),
        request("d", "00:59:59", status=404, **MISS),
        request("e", "00:10", **inner, bytes_out_total=7),  # a shield answers b,
        request(
            "f", "00:59:59", **inner | sent, bytes_out_total=11, sample_weight=3
        ),  # and sends d on
        request("g", "00:20", **inner | {"status": 502}, is_edge_hit=False, pop=None),
        request("h", "00:30", **inner | sent, cdn="cloudflare", bytes_out_total=None),
        request(
            "h", "00:30", **inner | sent, cdn="cloudflare", bytes_out_total=None, source_line=2
        ),
        request("i", "01:00", **inner, cache_status="REVALIDATED", is_origin_fetch=True),
    )
    weir.build("tag:delivery")
    assert weir.rows("select * exclude (hour) from marts.qos_hops_hourly order by all") == [
        # cdn, pop, hop, requests, bytes, hits, went on, their bytes, 5xx
        ("cloudflare", "FRA50", "inner", 1, 0, 0, 1, 0, 0),
        ("cloudfront", "FRA50", "edge", 4, 400, 1, 2, 200, 1),
        ("cloudfront", "FRA50", "inner", 1, 100, 1, 1, 100, 0),  # 01:00
        ("cloudfront", "FRA50", "inner", 4, 7 + 3 * 11, 1, 3, 33, 0),
        ("cloudfront", "unknown", "inner", 1, 100, 0, 0, 0, 1),
    ]
    first = {"until": at("01:00")}
    assert ask(weir, "hop_hit_ratio", by=("hop",), **first) == [
        ("edge", 1 / 4, 4, True),
        ("inner", 1 / 6, 6, True),
    ]
    assert ask(weir, "hop_error_rate_5xx", by=("hop",), **first) == [
        ("edge", 1 / 4, 4, True),
        ("inner", 1 / 6, 6, True),
    ]
    assert ask(weir, "hop_hit_ratio", by=("hop", "pop"), grain="hour") == [
        (at("00:00"), "edge", "FRA50", 1 / 4, 4, True),
        (at("00:00"), "inner", "FRA50", 1 / 5, 5, True),
        (at("00:00"), "inner", "unknown", 0.0, 1, True),
        (at("01:00"), "inner", "FRA50", 1.0, 1, True),
    ]
    assert ask(weir, "hop_error_rate_5xx", by=("cdn",)) == [
        ("cloudflare", 0.0, 1, True),
        ("cloudfront", 2 / 10, 10, True),
    ]


def _capacity(name: str, bps: int, start: dt.datetime, end: dt.datetime | None) -> Row:
    own = {"cdn": "cloudfront", "kind": "pop", "name": name, "capacity_bps": bps}
    base = {k: v for k, v in request("x", "00:00").items() if k in ("source", "delivery_id")}
    base |= {"source_line": 1, "parser_version": "test/1", "ingested_at": at("23:00")}
    return base | own | {"row_key": key(f"{name}{start}"), "event_time": start, "valid_to": end}


def test_headroom_is_against_the_capacity_in_force_and_null_where_none_is_known(weir):
    old, now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), at("00:00")
    late = dt.datetime(2026, 11, 17, tzinfo=dt.UTC)
    weir.append(
        CAPACITIES,
        [
            _capacity("FRA50", 5, old, now),
            _capacity("FRA50", 7000, now, late) | {"published_at": old},
            _capacity("FRA50", 8000, now, late) | {"published_at": now},
            _capacity("FRA50", 9, late, None),
            _capacity("ZRH50", 6, late, None),
        ],
    )
    weir.deliver(
        request("a", "00:00", bytes_out_total=150_000),
        request("b", "00:05", bytes_out_total=75_000),
        request("c", "00:05", bytes_out_total=75_000, customer="other"),
        request("d", "00:05", bytes_out_total=1, pop="ZRH50"),
    )
    weir.build("tag:delivery")
    assert weir.rows(
        "select pop, egress_bytes, peak_bps, capacity_bps, peak_utilisation, headroom_bps "
        "from marts.pop_headroom_hourly order by pop"
    ) == [
        ("FRA50", 300_000, 4000.0, 8000, 0.5, 4000.0),
        ("ZRH50", 1, pytest.approx(8 / 300), None, None, None),
    ]


def test_days_are_made_of_published_hours_and_cost_the_days_that_changed(weir):
    weir.deliver(
        request("a", "00:30", ttfb_ms=5.0), request("b", "01:30", ttfb_ms=7.0, country="DE")
    )
    weir.build("tag:delivery")
    weir.publish(at("00:00"))  # the other hour failed its audit, say
    weir.build("tag:rollup")
    assert ask(weir, "requests", grain="day", days=True) == [(at("00:00"), 1)]
    weir.publish(at("01:00"))
    assert weir.run("tag:rollup", verb="run").success
    assert ask(weir, "requests", grain="day", days=True) == [(at("00:00"), 2)]
    assert ask(weir, "ttfb_p99_ms", grain="day", days=True)[0][1] == pytest.approx(7, rel=0.01)
    assert ask(weir, "requests", by=("country",), days=True) == [("DE", 1), ("unknown", 1)]
    assert ask(weir, "requests", by=("pop",), grain="day", days=True) == [(at("00:00"), "FRA50", 2)]


def test_the_other_cdns_and_last_week_stand_beside_a_number_and_small_groups_are_marked(weir):
    miss = {"cache_status": "MISS", "is_edge_hit": False}
    week = dt.timedelta(days=7)
    weir.deliver(
        *(request(f"a{i}", "00:01", country="DE", asn=1) for i in range(100)),
        *(request(f"b{i}", "00:01", country="DE", asn=1, cdn="x", **miss) for i in range(100)),
        request("c", "00:01", country="DE", asn=1, cdn="y"),
        *(
            request(f"d{i}", "00:01", country="DE", asn=1, **miss)
            | {"event_time": at("00:01") - week}
            for i in range(3)
        ),
    )
    weir.build("tag:delivery")
    by, asked = ("cdn", "country", "asn"), {"since": at("00:00")}
    rows = ask(weir, "hit_ratio_requests", by=by, grain="hour", against="others", **asked)
    assert [r[1:] for r in rows] == [
        ("cloudfront", "DE", 1, 1.0, pytest.approx(1 / 101), pytest.approx(100 / 101), 100, 101,
         False),
        ("x", "DE", 1, 0.0, 1.0, -1.0, 100, 101, False),
        ("y", "DE", 1, 1.0, 0.5, 0.5, 1, 200, True),
    ]  # fmt: skip
    rows = ask(weir, "hit_ratio_requests", by=("cdn",), grain="hour", against="last-week", **asked)
    assert [r[1:] for r in rows] == [
        ("cloudfront", 1.0, 0.0, 1.0, 100, 3, True),
        ("x", 0.0, None, None, 100, 0, True),
        ("y", 1.0, None, None, 1, 0, True),
    ]
    only = parse("cdn = 'x' or asn in (7)", REGISTRY.dimensions)
    assert ask(weir, "requests", where=only) == [(100,)]


def test_the_rosetta_of_a_small_table_is_what_was_worked_out_by_hand(weir):
    weir.deliver(
        request("a", "00:00", **BIG, duration_ms=820.0),  # 90 kB in 720 ms
        request("b", "00:01", **BIG, **MISS, duration_ms=280.0),  # 90 kB in 180 ms
        request("c", "00:02", cache_status="REVALIDATED", is_origin_fetch=True, ttfb_ms=40.0),
        request("d", "00:03", cache_status="BYPASS", is_edge_hit=False, is_origin_fetch=True,
                ttfb_ms=None, status=503),
        request("e", "00:04", status=499, ttfb_ms=1.0, **MISS),
        request("f", "00:05", status=404, ttfb_ms=3.0),
    )  # fmt: skip
    weir.build("tag:delivery")
    found = {
        (m, d): v
        for m, d, v in weir.rows(
            "select metric, definition, any_value(scale) * sum(numerator)::double "
            "/ sum(denominator) from marts.rosetta_hourly group by all"
        )
    }
    assert list(found.keys() ^ {(t["metric"], t["definition"]) for t in definitions()}) == []
    expected = {
        ("hit_ratio", "weir"): 3 / 6,
        ("hit_ratio", "weir_cacheable"): 3 / 5,
        ("hit_ratio", "weir_bytes"): 100_200 / 200_400,
        ("hit_ratio", "akamai"): 3 / 6,
        ("hit_ratio", "cloudfront"): 2 / 6,
        ("hit_ratio", "fastly"): 2 / 5,
        ("hit_ratio", "rfc9211"): 2 / 6,
        ("availability", "weir"): 4 / 5,
        ("availability", "no_5xx"): 5 / 6,
        ("availability", "cloudfront"): 3 / 6,
        ("availability", "answered"): 3 / 6,
        ("ttfb_ms", "weir"): 240 / 3,
        ("ttfb_ms", "all_rows"): 244 / 5,
        ("ttfb_ms", "hits"): 140 / 2,
        ("throughput_kbps", "weir"): 180_000 * 8 / 900,
        ("throughput_kbps", "any_size"): 180_000 * 8 / 900,
        ("throughput_kbps", "whole_duration"): 180_000 * 8 / 1100,
        ("throughput_kbps", "mean_of_requests"): (1000 + 4000) / 2,
    }
    assert found == {k: pytest.approx(v, rel=1e-9) for k, v in expected.items()}
