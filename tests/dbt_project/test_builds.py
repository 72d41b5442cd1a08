"""How marts are built: whole, hour by hour, and that a broken rule or variable is seen."""

from __future__ import annotations

import json

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
