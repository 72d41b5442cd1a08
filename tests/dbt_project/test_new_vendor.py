"""A vendor that nobody knows, added as one source file: right marts, drift told, units held."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.runner import delivery_audit
from lake.catalog import ensure_all
from lake.deliveries import Delivery, read_ledger
from lake.ingest import Ingest
from lake.landing import FolderLanding
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.records import BRONZE, CDN_REQUESTS
from lake.source import load_source

from .conftest import Weir, at

SOURCE = """
name: nimbus
description: Nimbus writes minutes, kilobytes and the end of a request in Tehran's time
owner: team:tests
format: json_map
cdn: nimbus
landing: {prefix: nimbus/, suffix: .json}
map:
  event_time: {from: when.done, format: '%d.%m.%Y %H:%M:%S', zone: Asia/Tehran, stamp: end}
  duration_ms: {from: took.all, unit: min}
  ttfb_ms: {from: took.first, unit: min}
  status: code
  bytes_out_total: {sum: [kilobytes.head, kilobytes.body], unit: kB}
  bytes_in: {from: kilobytes.up, unit: kB}
  url: what
  client_ip: who
  request_id: id
  pop: where
  method: {from: verb, values: {fetch: GET, put: PUT}}
  cache_status: {from: cache, values: {warm: HIT, cold: MISS}}
  is_viewer: {from: relay, values: {'no': true, 'yes': false}}
customers: {vod.aurora.example: aurora}
expect:
  duration_ms: {p50: [500, 60000]}
  ttfb_ms: {p50: [1, 2000]}
  bytes_out_total: {mean: [500, 50000]}
"""


def line(n: int, **changes: Any) -> dict[str, Any]:
    """Return the n-th request: it ends at 15:30:05 plus n seconds in Tehran, 12:00 in UTC."""
    return {
        "id": f"r-{n}",
        "when": {"done": f"16.11.2026 15:30:{5 + n:02d}"},
        "took": {"all": 0.05, "first": "0.0002"},
        "who": "192.0.2.77",
        "what": f"https://VOD.aurora.example/dash/a/seg{n}.m4s",
        "code": "404" if n == 3 else 200,
        "kilobytes": {"head": 0.1, "body": "1.4", "up": 0.2},
        "where": "THR1",
        "verb": "fetch",
        "cache": "cold" if n % 4 == 0 else "warm",
        "relay": "yes" if n == 7 else "no",
        **changes,
    }


def flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return the fields of a record side by side, as columns have them."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        inner = flat(value, f"{before}{key}.") if isinstance(value, dict) else None
        found |= inner if inner is not None else {f"{before}{key}": value}
    return found


def as_json(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in lines)


def as_columns(lines: list[dict[str, Any]]) -> str:
    rows = [flat(one) for one in lines]
    out = io.StringIO()
    table = csv.DictWriter(out, rows[0], delimiter=";", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


#: the same vendor, and the same map, by what it writes its records in
WRITTEN: dict[str, tuple[str, Callable[[list[dict[str, Any]]], str]]] = {
    "json": (SOURCE, as_json),
    "delimited": (
        SOURCE.replace("json_map", "delimited_map\ndialect: {delimiter: semicolon}"),
        as_columns,
    ),
}


@pytest.fixture(params=WRITTEN)
def land(weir: Weir, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Delivery]:
    """Return what ingests one file of the vendor as the pipeline does, audit included."""
    text, write = WRITTEN[request.param]
    file = tmp_path / "nimbus.yaml"
    file.write_text(text)
    source = load_source(file)
    ensure_all(weir.catalog)
    fields = {
        r.identifier: list(weir.catalog.load_table(r.identifier).schema().fields) for r in BRONZE
    }
    sources = {source.name: source}

    def landed(name: str, lines: list[dict[str, Any]]) -> Delivery:
        path = tmp_path / "landing/nimbus" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(lines))
        Ingest(
            catalog=weir.catalog,
            landing=FolderLanding(tmp_path / "landing"),
            sources=sources,
            record=CDN_REQUESTS,
            audit=delivery_audit(fields, sources=sources),
            protection=Protection(Keyring.of(b"a key of the tests")),
            now=dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        ).run()
        (found,) = [d for d in read_ledger(weir.catalog).values() if d.key.endswith(path.name)]
        return found

    return landed


def test_one_source_file_gives_right_marts(weir, land):
    assert land("a", [line(n) for n in range(24)]).state == "loaded"
    weir.build("tag:delivery")
    (qos,) = weir.records("select * from marts.qos_hourly")
    assert {k: qos[k] for k in ("hour", "cdn", "customer", "requests", "bytes", "ttfb_count")} == {
        "hour": at("12:00"), "cdn": "nimbus", "customer": "aurora", "requests": 23,
        "bytes": 23 * 1500, "ttfb_count": 22,
    }  # fmt: skip
    assert (qos["errors_4xx"], qos["hit_requests"], qos["eligible_requests"]) == (1, 17, 23)
    assert qos["ttfb_p50_ms"] == pytest.approx(12, rel=0.01)
    (traffic,) = weir.records("select * from marts.traffic_5m")
    assert (traffic["slot_start"], traffic["pop"]) == (at("12:00"), "THR1")
    assert (traffic["requests"], traffic["bytes_in"]) == (23, 23 * 200)


DRIFTS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], tuple[str, ...]]] = {
    "renamed": (lambda r: {("state" if k == "cache" else k): v for k, v in r.items()}, ("state",)),
    "added": (lambda r: {**r, "who2": 1}, ("who2",)),
    "dropped": (lambda r: {k: v for k, v in r.items() if k != "where"}, ()),
    "re-ordered": (lambda r: dict(reversed(r.items())), ()),
    "inside": (lambda r: {**r, "took": {**r["took"], "tls": 1}}, ("took.tls",)),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_field_that_the_vendor_moves_costs_no_row_and_is_told(drift, land):
    change, unknown = DRIFTS[drift]
    found = land("a", [change(line(n)) for n in range(24)])
    assert (found.state, found.accepted, found.rejected) == ("loaded", 24, 0)
    assert found.unknown_fields == unknown


UNITS = {
    "minutes to ms": ({"took": {"all": 3000, "first": 12}}, "duration_ms_p50_is_as_declared"),
    "minutes to s": ({"took": {"all": 3, "first": 0.012}}, "duration_ms_p50_is_as_declared"),
    "kB to bytes": (
        {"kilobytes": {"head": 100, "body": 1400}}, "bytes_out_total_mean_is_as_declared",
    ),
    "kB to MB": (
        {"kilobytes": {"head": 0.0001, "body": 0.0014}}, "bytes_out_total_mean_is_as_declared",
    ),
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("land", ["json"], indirect=True)
def test_a_change_of_unit_is_held_and_its_neighbours_are_not(unit, weir, land):
    change, rule = UNITS[unit]
    held = land("held", [line(n, **change) for n in range(24)])
    assert held.state == "held"
    assert rule in held.reason
    assert land("good", [line(n) for n in range(24)]).state == "loaded"
    table = weir.catalog.load_table("bronze.cdn_requests")
    assert table.scan().to_arrow().num_rows == 24
    again = read_ledger(weir.catalog)[held.delivery_id]
    assert again.state == "held", "a verdict does not depend on what else was loaded"
