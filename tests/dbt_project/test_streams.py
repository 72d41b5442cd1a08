"""Traffic by stream: how a stream is told, what an hour names, and the bills split by it."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from types import SimpleNamespace

import duckdb
import jinja2
import pytest
import yaml
from dbt.cli.main import dbtRunnerResult

from .conftest import PROJECT, Weir, at, hour, message_of, request

_ROWS = (
    "select hour(hour), customer, stream, requests, bytes from marts.streams_hourly order by all"
)


def _live(name: str, time: str, stream: str, **columns: object) -> dict[str, object]:
    return request(name, time, path=f"/live/{stream}/720p/seg-{name}.m4s", **columns)


def _run(weir: Weir, **variables: object) -> dbtRunnerResult:
    """Build what the mart needs, and its tests."""
    models = ("stg_cdn__requests", "int_cdn__traffic_5m", "traffic_5m", "streams_hourly")
    return weir.invoke("run", "--select", *models, "--vars", json.dumps(variables))


def _test(weir: Weir, **variables: object) -> set[str]:
    """Return the names of the mart's tests that fail."""
    found = weir.invoke("test", "--select", "streams_hourly", "--vars", json.dumps(variables))
    return {r.node.name for r in found.result.results if r.status != "pass"}


def test_a_stream_is_the_players_content_id_or_else_the_second_folder(weir):
    weir.deliver(
        _live("a", "00:01", "news"),
        _live("b", "00:02", "x1", cmcd={"cid": "news"}),
        _live("c", "00:03", "news", cmcd={"cid": "", "st": "l"}),
        request("d", "00:04", path="/vod/film's cut/master.m3u8"),
        request("e", "00:05", path="/robots.txt"),
        request("f", "00:06"),
        _live("g", "00:07", "news", is_viewer=False),
        _live("h", "00:08", "n" * 200),
    )
    assert _run(weir).success
    assert weir.rows(_ROWS) == [
        (0, "acme", "film's cut", 1, 100),
        (0, "acme", "news", 3, 300),
        (0, "acme", "n" * 128, 1, 100),
        (0, "acme", "unknown", 2, 200),
    ]


def test_an_hour_of_a_cdn_names_its_largest_streams_and_the_rest_of_each_customer_as_one(weir):
    rows = [
        _live(f"{n}{i}", f"00:{10 * n + i:02d}", f"s{n}", bytes_out_total=1000 - n, customer=who)
        for n, who in enumerate(("acme", "zeta", "acme", "zeta", "acme"))
        for i in range(2)
    ]
    rows += [_live("late", "01:00", "s4"), _live("far", "00:59", "s4", cdn="akamai", pop="NRT")]
    weight = Decimal("3.333333")
    rows += [  # weights of a sampled log: whole requests a row, however they are grouped
        _live(f"r{i}", f"02:{i:02d}", f"s{i % 7}", sample_weight=weight, pop=f"P{i % 3}")
        for i in range(50)
    ]
    weir.deliver(*rows)
    result = _run(weir, streams_named=2)
    assert result.success, message_of(result)
    assert [row for row in weir.rows(_ROWS) if row[0] < 2] == [
        (0, "acme", "(other)", 4, 2 * 998 + 2 * 996),
        (0, "acme", "s0", 2, 2000),
        (0, "acme", "s4", 1, 100),  # of the other CDN
        (0, "zeta", "(other)", 2, 2 * 997),
        (0, "zeta", "s1", 2, 2 * 999),
        (1, "acme", "s4", 1, 100),
    ]
    sampled = "from marts.streams_hourly where hour(hour) = 2"
    assert weir.rows(f"select sum(requests), count(distinct stream) {sampled}") == [(167, 3)]
    # the cap moves no total
    assert _test(weir, streams_named=2) == set()
    for change in ("bytes = bytes + 1", "bytes = 2000, customer = 'zeta'"):
        with duckdb.connect(str(weir.home / "build.duckdb")) as connection:
            connection.execute(f"update marts.streams_hourly set {change} where stream = 's0'")
        assert _test(weir, streams_named=1) == {
            "streams_add_up_to_the_traffic", "an_hour_names_so_many_streams_and_no_more",
        }  # fmt: skip


def test_only_the_hours_that_changed_are_replaced(weir):
    weir.deliver(_live("a", "00:10", "news"), _live("b", "01:10", "film"))
    assert _run(weir).success
    weir.catalog.purge_table("bronze.cdn_requests")
    weir.deliver(_live("c", "01:20", "sport"))
    assert _run(weir, hours=[hour(1)]).success
    assert weir.rows(_ROWS) == [(0, "acme", "news", 1, 100), (1, "acme", "sport", 1, 100)]


def _rendered(call: str, **variables: object) -> str:
    """Return what a macro of the definitions gives under these variables."""

    def refuse(text: str) -> None:
        raise ValueError(text)

    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals.update(
        {
            "var": variables.__getitem__, "modules": SimpleNamespace(re=re),
            "exceptions": SimpleNamespace(raise_compiler_error=refuse), "return": lambda x: x,
        }
    )  # fmt: skip
    macros = (PROJECT / "macros" / "definitions.sql").read_text()
    return str(environment.from_string(macros + "{{ " + call + " }}").render())


@pytest.mark.parametrize("pattern", ["^/live/", "^/(live)/([^/]+)/", r"^/(\w+)/", "' or ('1"])
def test_a_path_rule_that_engines_would_read_differently_is_refused(pattern):
    assert "'^/[a-z]+/(ch-[0-9]+)/'" in _rendered(
        "stream_of()", stream_path="^/[a-z]+/(ch-[0-9]+)/"
    )
    with pytest.raises(ValueError, match=r"var 'stream_path' is .*expected a regular expression"):
        _rendered("stream_of()", stream_path=pattern)


@pytest.mark.parametrize("most", [0, -1, "many", 1_000_000, "1 or true"])
def test_a_number_of_streams_that_is_none_is_refused(most):
    assert _rendered("streams_named()", streams_named=7).strip() == "7"
    with pytest.raises(ValueError, match=r"var 'streams_named' is .*expected a whole number"):
        _rendered("streams_named()", streams_named=most)


def test_a_bill_is_split_over_published_streams(weir, tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))
    document = {
        "contract_id": "c", "vendor": "cloudfront", "currency": "USD",
        "valid_from": dt.date(2026, 1, 1),
        "components": [{"kind": "p95", "price_per_mbps": "1"}, {"kind": "fee", "amount": "9.99"}],
    }  # fmt: skip
    (folder / "c.yaml").write_text(yaml.safe_dump(document))
    weir.deliver(
        _live("a", "00:01", "news", bytes_out_total=2 * 10**9),
        _live("b", "00:02", "film", bytes_out_total=10**9, customer="zeta"),
        _live("c", "01:02", "film", bytes_out_total=10**9, customer="zeta"),
    )
    weir.build("tag:delivery")
    weir.publish(at("00:00"), at("01:00"))
    weir.build("tag:billing")  # with the test that parts sum to the bill
    rows = weir.rows(
        "select method, part, amount from marts.bill_allocations where dimension = 'stream' "
        "order by all"
    )
    assert [(method, part, float(amount)) for method, part, amount in rows] == [
        ("billed_slot", "acme/news", 5.0), ("billed_slot", "zeta/film", 4.99),
        ("volume", "acme/news", 5.0), ("volume", "zeta/film", 4.99),
    ]  # fmt: skip
