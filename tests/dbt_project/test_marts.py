"""What the hourly marts say of small tables whose numbers were worked out by hand."""

from __future__ import annotations

import itertools
import json
import math
import random
from decimal import Decimal

import duckdb
import pytest

from .conftest import Weir, at, event, hour, message_of, request

MARTS = ("traffic_5m", "qos_hourly", "ttfb_buckets_hourly", "engagement_hourly")
QOS = (
    "qos_5m",
    "qos_places_hourly",
    "qos_buckets_5m",
    "qos_buckets_hourly",
    "qos_hops_hourly",
    "pop_headroom_hourly",
    "rosetta_hourly",
    "streams_hourly",
)
BILLING = (
    "usage_monthly", "bill_lines", "bills", "bill_allocations", "what_ifs", "unit_costs",
)  # fmt: skip
DAYS = ("qos_daily", "qos_pops_daily", "qos_buckets_daily")


def _content(weir: Weir, mart: str, where: str = "true") -> list[tuple[object, ...]]:
    return weir.rows(f"select * from marts.{mart} where {where} order by all")


def test_a_whole_build_of_an_empty_lake_passes_all_its_tests_and_gives_empty_marts(weir):
    result = weir.invoke("build")
    assert result.success, message_of(result)
    for mart in (*MARTS, *QOS, *DAYS, *BILLING):
        assert weir.rows(f"select count(*) from marts.{mart}") == [(0,)]
    # the lake was read, not made
    assert weir.catalog.list_namespaces() == []


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


def test_a_refresh_touches_the_requested_hours_alone_and_empties_what_became_empty(weir):
    weir.deliver(*(request(f"{h}", f"{h:02d}:30", bytes_out_total=h + 1) for h in range(5)))
    weir.happen(*(event(f"{h}", f"{h:02d}:30", "click") for h in range(5)))
    weir.build("tag:delivery tag:engagement")
    marts = (*MARTS, *QOS)
    marts = tuple(mart for mart in marts if mart != "rosetta_hourly")  # many rows an hour
    before = {mart: _content(weir, mart) for mart in marts}
    assert all(len(rows) == 5 for rows in before.values())

    # hour 1 empties, hours 3 and 4 get rows, hour 2 changes but is not asked for
    weir.catalog.purge_table("bronze.cdn_requests")
    weir.catalog.purge_table("bronze.rec_events")
    weir.deliver(
        *(request(f"n{h}", f"{h:02d}:40", bytes_out_total=50, ttfb_ms=5e3) for h in (0, 2, 3, 4))
    )
    weir.happen(*(event(f"n{h}", f"{h:02d}:40", "like") for h in (0, 2, 3, 4)))
    weir.build("tag:delivery tag:engagement", hours=[hour(4), hour(1), hour(3)])
    for mart in marts:
        column = "slot_start" if mart.endswith("_5m") else "hour"
        after = _content(weir, mart)
        kept = [row for row in before[mart] if row[0].hour in (0, 2)]
        assert [row for row in after if row[0].hour in (0, 2)] == kept
        assert sorted(row[0].hour for row in after) == [0, 2, 3, 4]
        new = _content(weir, mart, f"hour({column}) in (3, 4)")
        assert not set(new) & set(before[mart])
    assert weir.rows("select count(*) from staging.stg_cdn__requests") == [(2,)]


def test_nothing_requested_replaces_everything(weir):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    weir.build("tag:delivery", hours=[hour(0)])
    assert weir.rows("select count(*) from marts.traffic_5m") == [(1,)]
    weir.build("tag:delivery")
    assert weir.rows("select count(*) from marts.traffic_5m") == [(2,)]
    weir.catalog.purge_table("bronze.cdn_requests")
    weir.build("tag:delivery")
    assert weir.rows("select count(*) from marts.traffic_5m") == [(0,)]


def test_an_insert_that_fails_leaves_the_old_rows(weir):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    weir.build("tag:delivery")
    before = _content(weir, "traffic_5m")
    with duckdb.connect(str(weir.home / "build.duckdb")) as connection:
        columns = ", ".join(
            f"{name} {type_}"
            for name, type_, *_ in connection.execute("describe marts.traffic_5m").fetchall()
        )
        connection.execute(f"create table marts.t ({columns}, check (bytes < 1000))")
        connection.execute("insert into marts.t select * from marts.traffic_5m")
        connection.execute("drop table marts.traffic_5m")
        connection.execute("alter table marts.t rename to traffic_5m")
    weir.deliver(request("c", "00:30", bytes_out_total=5000))
    result = weir.run("tag:delivery", hours=[hour(0)], verb="run")
    assert not result.success
    assert "CHECK" in message_of(result)
    assert _content(weir, "traffic_5m") == before


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


@pytest.mark.parametrize(
    "hours",
    [
        ["2026-11-16T00:00:00+00:00') or (1 = 1"],
        ["2026-11-16T00:00:00+00:00\n"],
        ["2026-11-16T00:30:00+00:00"],
        ["2026-11-16T02:00:00+02:00"],
        ["2026-13-16T00:00:00+00:00"],
        "2026-11-16T00:00:00+00:00",
    ],
)
def test_a_variable_that_is_no_list_of_hours_never_reaches_sql(weir, hours):
    variables = json.dumps({"hours": hours})
    result = weir.invoke("run", "--select", "stg_rec__events", "--vars", variables)
    assert not result.success
    assert "var 'hours'" in message_of(result)
    assert "expected" in message_of(result)


def test_months_are_judged_like_hours(weir):
    result = weir.run("usage_monthly", months=["2026-11-02"], verb="run")
    assert not result.success
    assert "var 'months' holds \"2026-11-02\"" in message_of(result)


def test_every_test_of_the_project_fails_where_its_rule_is_broken(weir):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    weir.happen(event("a", "00:30", "click"), event("b", "01:30", "play", watch_ms=1))
    traffic = {"slot_start": at("00:30"), "bytes": 3 * 10**9}
    weir.publish_traffic([traffic, traffic | {"cdn": "uncontracted", "bytes": 1}])
    weir.build("tag:delivery tag:engagement tag:billing")
    weir.publish(at("00:00"), at("01:00"))
    weir.build("tag:rollup")
    names = [n.name for n in weir.runner.manifest.nodes.values() if n.resource_type == "test"]
    marts = (*MARTS, *QOS, *DAYS, *BILLING)
    # a NOT NULL of the contract stands before these: they cannot be broken in place
    guarded = {f"{mart}_never_null" for mart in (*MARTS, *BILLING)}

    with duckdb.connect(str(weir.home / "build.duckdb")) as connection:
        for table in ("stg_cdn__requests", "stg_rec__events"):
            connection.execute(f"insert into staging.{table} select * from staging.{table}")
            connection.execute(
                f"insert into staging.{table} by name select * replace (null as row_key) "
                f"from staging.{table} limit 1"
            )
        for table in marts:
            connection.execute(f"insert into marts.{table} select * from marts.{table}")
        connection.execute("update marts.qos_hourly set requests = 9, hit_requests = 8")
        connection.execute("update marts.ttfb_buckets_hourly set requests = 9")
        connection.execute("update marts.qos_places_hourly set miss_requests = 9")
        connection.execute("update marts.qos_5m set bytes_in = 7")
        connection.execute("update marts.qos_buckets_5m set requests = 9")
        connection.execute("update marts.qos_daily set aborted = 9")
        connection.execute("update marts.usage_monthly set logged_bytes = 5")
        connection.execute("update marts.bills set amount = 7")
        connection.execute("update marts.engagement_hourly set valid_plays = 9")
        connection.execute(
            "insert into marts.streams_hourly by name select s.* replace ('s' || n as stream) "
            "from (from marts.streams_hourly limit 1) as s, range(101) as t(n)"
        )
    result = weir.invoke("test", "--select", "test_type:data")
    status = {r.node.name: str(r.status) for r in result.result.results}
    assert set(status) == set(names)
    passing = {name for name, said in status.items() if said == "pass"}
    assert passing == guarded
    assert status["cdns_have_a_contract_in_force"] == "warn"


def test_the_requested_hours_alone_are_tested(weir):
    weir.deliver(request("a", "00:30"), request("b", "01:30"))
    weir.build("tag:delivery")
    with duckdb.connect(str(weir.home / "build.duckdb")) as connection:
        connection.execute("update marts.qos_hourly set requests = 9 where hour(hour) = 0")
    weir.build("tag:delivery", hours=[hour(1)])
    assert not weir.run("tag:delivery", verb="test").success


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
