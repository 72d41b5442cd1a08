"""What the hourly marts say of small tables whose numbers were worked out by hand."""

from __future__ import annotations

import itertools
import math
import random
from decimal import Decimal

import pytest

from .conftest import at, event, message_of, request


def test_a_small_table_gives_the_numbers_worked_out_by_hand(weir):
    miss = {"cache_status": "MISS", "is_edge_hit": False}
    weir.deliver(
        request("a", "00:00:00", ttfb_ms=0.0),
        request("b", "00:04:59", ttfb_ms=100.0, bytes_out_total=300, **miss),
        request("c", "00:05:00", status=404, **miss),
        request("d", "00:59:59", status=499, client_aborted=True, ttfb_ms=9.0, **miss),
        request("e", "00:10", status=0, client_aborted=True, bytes_out_total=None, **miss),
        request("f", "00:10", status=503, cache_status="ERROR", is_edge_hit=False),
        request("g", "00:10", method="POST", sample_weight=10, ttfb_ms=None),
        request("h", "00:10", is_viewer=False),
        request("i", "01:00:00", customer=None, pop=None, sample_weight=Decimal("2.5")),
        request("j", "01:01:00", customer=None, pop=None, sample_weight=Decimal("2.5")),
    )
    weir.build("tag:delivery")
    acme, unknown = weir.records("select * from marts.qos_hourly order by hour")
    assert {k: v for k, v in acme.items() if not k.startswith("ttfb_p")} == {
        "hour": at("00:00"),
        "cdn": "cloudfront",
        "customer": "acme",
        "requests": 16,
        "bytes": 100 + 300 + 100 + 100 + 0 + 100 + 1000,
        "eligible_requests": 5,
        "hit_requests": 1,
        "eligible_bytes": 600,
        "hit_bytes": 100,
        "hit_ratio_requests": 0.2,
        "hit_ratio_bytes": pytest.approx(1 / 6),
        "ttfb_count": 2,
        "errors_4xx": 1,
        "errors_5xx": 1,
        "no_response": 1,
        "aborted": 2,
        "duplicates_removed": 0,
    }
    assert acme["ttfb_p50_ms"] == 0
    assert acme["ttfb_p95_ms"] == acme["ttfb_p99_ms"] == pytest.approx(100, rel=0.01)
    assert (unknown["customer"], unknown["requests"], unknown["bytes"]) == ("unknown", 5, 500)
    assert weir.rows(
        "select strftime(slot_start, '%H:%M'), pop, customer, requests, bytes, bytes_in, "
        "hit_requests, hit_bytes from marts.traffic_5m order by all"
    ) == [
        ("00:00", "FRA50", "acme", 2, 400, 20, 1, 100),
        ("00:05", "FRA50", "acme", 1, 100, 10, 0, 0),
        ("00:10", "FRA50", "acme", 12, 1100, 120, 0, 0),
        ("00:55", "FRA50", "acme", 1, 100, 10, 0, 0),
        ("01:00", "unknown", "unknown", 5, 500, 50, 5, 500),
    ]


def test_a_vendor_that_logs_neither_times_nor_sizes_has_zeros_and_nulls(weir):
    """What a log lacks is null in all its rows, where an engine's count_if would be null."""
    bare = {"cdn": "bare", "ttfb_ms": None, "bytes_out_total": None, "bytes_in": None}
    bare |= {"method": None, "pop": None, "customer": None}
    weir.deliver(request("a", "00:01", **bare), request("b", "00:02", status=0, **bare))
    weir.happen(event("a", "00:01", "play", scene=None, customer=None, watch_ms=None))
    weir.build("tag:delivery tag:engagement")
    (quality,) = weir.records("select * exclude (hour, cdn, customer) from marts.qos_hourly")
    nulls = {"hit_ratio_requests", "hit_ratio_bytes", "ttfb_p50_ms", "ttfb_p95_ms", "ttfb_p99_ms"}
    assert {name for name, value in quality.items() if value is None} == nulls
    assert {name: value for name, value in quality.items() if value} == {
        "requests": 2,
        "no_response": 1,
    }
    assert weir.rows("select count(*) from marts.ttfb_buckets_hourly") == [(0,)]
    assert weir.rows("select * exclude (slot_start, cdn) from marts.traffic_5m") == [
        ("unknown", "unknown", 2, 0, 0, 0, 0)
    ]
    assert weir.rows("select * exclude (hour) from marts.engagement_hourly") == [
        ("unknown", "unknown", 0, 0, None, 1, 0, 0, 0, 0)
    ]


def test_engagement_counts_each_kind_of_event_once(weir):
    weir.happen(
        event("i1", "03:00", "impression"),
        event("i2", "03:01", "impression"),
        event("i2", "03:01", "impression", delivery_id="d2"),
        event("c1", "03:02", "click"),
        event("p1", "03:02", "play", watch_ms=7000, item_duration_ms=60000),
        event("p2", "03:03", "play", watch_ms=7001, item_duration_ms=60000),
        event("p3", "03:04", "play", watch_ms=3000, item_duration_ms=3000),
        event("l1", "03:59:59", "like"),
        event("c2", "04:00", "click", scene=None, customer=None),
    )
    weir.build("tag:engagement")
    assert weir.rows("select * exclude (hour) from marts.engagement_hourly order by hour") == [
        ("acme", "feed", 2, 1, 0.5, 3, 2, 17001, 1, 1),
        ("unknown", "unknown", 0, 1, None, 0, 0, 0, 0, 0),
    ]
    assert weir.rows(
        "select event_type, rows_delivered, duplicates_removed, rows_kept "
        "from intermediate.int_rec__duplicates_hourly where event_type = 'impression'"
    ) == [("impression", 3, 1, 2)]


def test_duplicates_go_whatever_the_order_of_deliveries_and_the_same_row_survives(weir):
    first = [request("a", "00:01", bytes_out_total=7), request("b", "00:02")]
    again = [request("a", "00:01", bytes_out_total=5, delivery_id="d2", source_line=9)]
    third = [
        request("a", "00:01", bytes_out_total=5, pop="ZRH50", delivery_id="d3"),
        request("a", "00:01", bytes_out_total=None, delivery_id="d3", source_line=2),
    ]
    seen = []
    for order in itertools.permutations((first, again, third)):
        for delivery in order:
            weir.deliver(*delivery)
        result = weir.run("stg_cdn__requests+1", verb="run")
        assert result.success, message_of(result)
        seen.append(weir.rows("select * from staging.stg_cdn__requests order by row_key"))
        weir.catalog.purge_table("bronze.cdn_requests")
    assert all(rows == seen[0] for rows in seen)
    assert len(seen[0]) == 2
    assert weir.rows(
        "select rows_delivered, duplicates_removed, rows_kept "
        "from intermediate.int_cdn__duplicates_hourly"
    ) == [(5, 3, 2)]
    assert weir.rows("select sum(requests), sum(bytes) from intermediate.int_cdn__traffic_5m") == [
        (2, 105)
    ]


def test_percentiles_of_any_roll_up_are_within_one_per_cent_of_the_nearest_rank(weir):
    dice = random.Random(7)
    values = {
        (h, c): [dice.lognormvariate(mu, 1.5) for _ in range(n)]
        for (h, c), (mu, n) in {
            (0, "x"): (3, 900),
            (0, "y"): (8, 301),
            (1, "x"): (-2, 700),
            (1, "y"): (4, 1),
        }.items()
    }
    values[0, "x"] += [0.0] * 50 + [-1.0]
    weir.deliver(
        *(
            request(f"{h}{c}{i}", f"{h:02d}:{i % 60:02d}", customer=c, ttfb_ms=value)
            for (h, c), some in values.items()
            for i, value in enumerate(some)
        )
    )
    weir.build("tag:delivery")

    def nearest_rank(some: list[float], percent: int) -> float:
        return max(0.0, sorted(some)[math.ceil(percent * len(some) / 100) - 1])

    names = {"ttfb_p50_ms": 50, "ttfb_p95_ms": 95, "ttfb_p99_ms": 99}
    for row in weir.records("select * from marts.qos_hourly"):
        some = values[row["hour"].hour, row["customer"]]
        assert row["ttfb_count"] == len(some)
        for name, percent in names.items():
            assert row[name] == pytest.approx(nearest_rank(some, percent), rel=0.01)

    for keys, groups in {
        "customer": {c: values[0, c] + values[1, c] for c in ("x", "y")},
        "cdn": {"cloudfront": list(itertools.chain(*values.values()))},
    }.items():
        compiled = weir.invoke(
            "compile",
            "--inline",
            f"{{{{ bucket_percentiles(ref('ttfb_buckets_hourly'), ['{keys}'], {names}) }}}}",
        )
        assert compiled.success, compiled.exception
        rows = weir.records(compiled.result.results[0].node.compiled_code)
        assert {row[keys] for row in rows} == groups.keys()
        for row in rows:
            for name, percent in names.items():
                assert row[name] == pytest.approx(
                    nearest_rank(groups[row[keys]], percent), rel=0.01
                )


def test_a_sampled_log_loses_no_request_to_rounding_however_thin_its_groups(weir):
    dice = random.Random(5)
    weight = Decimal("3.333333")  # 30 %
    rows = [
        request(
            f"{i}",
            f"00:{dice.randrange(60):02d}",
            pop=f"P{dice.randrange(40)}",
            ttfb_ms=dice.lognormvariate(3, 1),
            status=dice.choice([200, 200, 404, 503, 0]),
            sample_weight=weight,
        )
        for i in range(1500)
    ]
    weir.deliver(*rows)
    weir.build("tag:delivery")
    (quality,) = weir.records("select * from marts.qos_hourly")
    assert quality["requests"] == quality["eligible_requests"] == round(1500 * weight)
    parts = ("ttfb_count", "errors_4xx", "errors_5xx", "no_response")
    assert sum(quality[part] for part in parts) == quality["requests"]
    measured = sum(row["status"] == 200 for row in rows)
    assert quality["ttfb_count"] == pytest.approx(measured * float(weight), rel=0.01)
    for count, requests in weir.rows(
        "select count(*), sum(requests) from staging.stg_cdn__requests "
        "group by pop, time_bucket(interval 5 minutes, event_time)"
    ):
        assert abs(requests - count * weight) < 1
