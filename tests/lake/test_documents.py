"""Whole JSON documents as usage APIs answer: records in order, each accounted for, no cut lines."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.counters import VENDOR_USAGE
from lake.document import Document
from lake.formats import FAMILIES
from lake.limits import Limits
from lake.publication import Published
from lake.refused import RefusedError
from lake.source import LandingSpec, SourceError, load_source

from .parse.either_way import BOUNDED

BUCKET = {"start_time": 1794823200, "service_id": "S1", "edge_requests": 12,
          "edge_resp_header_bytes": 4, "edge_resp_body_bytes": 30}  # fmt: skip
FASTLY: dict[str, Any] = {
    "status": "success",
    "meta": {"by": "hour", "region": "all"},
    "data": [BUCKET, {**BUCKET, "start_time": 1794826800}],
}
OF_FASTLY = {"records": "data", "keep": {"by": "meta.by", "region": "meta.region"}}
GROUP = {"count": 7, "sum": {"edgeResponseBytes": 900}, "avg": {"sampleInterval": 1},
         "dimensions": {"datetimeHour": "2026-11-16T10:00:00Z"}}  # fmt: skip
CLOUDFLARE = {"data": {"viewer": {"zones": [
    {"zoneTag": "z1", "httpRequestsAdaptiveGroups": [GROUP, GROUP]},
    {"zoneTag": "z2", "httpRequestsAdaptiveGroups": [{**GROUP, "count": 9}]},
]}}}  # fmt: skip
OF_CLOUDFLARE = {"records": "data.viewer.zones.httpRequestsAdaptiveGroups",
                 "keep": {"zoneTag": "data.viewer.zones.zoneTag"}}  # fmt: skip


@pytest.fixture
def read(parse, feed_of):
    def of(family: str, data: object, where, limits=None, **changes):
        raw = data if isinstance(data, bytes) else json.dumps(data, indent=1).encode()
        given = {"limits": Limits(**limits)} if limits else {}
        source = feed_of(family, document=Document.model_validate(where), **given, **changes)
        found = parse(family, raw, source=source, name="in/a.json")
        t = found.totals
        assert (t.lines, t.header, t.blank) == (t.accepted + t.rejected, 0, 0)
        numbers = [r["source_line"] for r in found.rows] + [r.line for r in t.rejects]
        assert sorted(numbers) == list(range(1, t.lines + 1))
        return found

    return of


@pytest.mark.parametrize("what", ["fastly_usage", "cloudflare_usage"])
def test_a_document_means_what_its_records_mean_as_lines(what, read, parse):
    if what == "fastly_usage":
        found = read(what, FASTLY, OF_FASTLY)
        lines = [{**b, "by": "hour", "region": "all"} for b in FASTLY["data"]]
    else:
        found = read(what, CLOUDFLARE, OF_CLOUDFLARE)
        zones = CLOUDFLARE["data"]["viewer"]["zones"]
        lines = [
            {**g, "zoneTag": z["zoneTag"]} for z in zones for g in z["httpRequestsAdaptiveGroups"]
        ]
    wanted = parse(what, b"".join(json.dumps(one).encode() + b"\n" for one in lines)).rows
    assert found.rows == wanted
    assert len(wanted) == len(lines)


def test_a_record_that_is_none_is_rejected_by_its_number(read):
    bad = [1, None, {**BUCKET, "start_time": "soon"}, {**BUCKET, "service_id": "\ud800"}, []]
    data = {**FASTLY, "data": [BUCKET, *bad, BUCKET]}
    found = read("fastly_usage", data, OF_FASTLY)
    assert found.reasons == {2: "not_an_object", 3: "not_an_object", 4: "bad_time",
                             5: "bad_utf8", 6: "not_an_object"}  # fmt: skip
    assert found.totals.accepted == 2


WRONG = {
    "nothing there": (
        {"data": None, "errors": [{"message": "x"}]},
        "a list at data, found nothing",
    ),
    "an object there": ({"data": {}}, "a list at data, found an object"),
    "a value on top": (3, "an object at the top, found a value"),
    "cut off": (json.dumps(FASTLY).encode()[:-9], "text that is none from character"),
    "two documents": (b'{"data": []} {"data": []}', "text that is none from character 13"),
    "no UTF-8": (b'{"data": ["\xff"]}', "found the byte 0xff at 11"),
    "levels upon levels": (b"[" * 200_000, "text that is none"),
    "lines": (b'{"start_time": 1}\n{"start_time": 2}\n', "text that is none"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_document_without_its_list_is_refused_whole(what, read):
    data, says = WRONG[what]
    with pytest.raises(RefusedError, match=rf"bad_document: .*{says}"):
        read("fastly_usage", data, OF_FASTLY)


def test_a_document_is_bounded_by_the_limit_of_a_line(read):
    small = {**FASTLY, "data": [BUCKET] * 5}
    assert read("fastly_usage", small, OF_FASTLY, {"max_line_bytes": 2_000}).totals.accepted == 5
    with pytest.raises(RefusedError, match=r"bomb: .*limits\.max_line_bytes"):
        read(
            "fastly_usage", {**FASTLY, "data": [BUCKET] * 50}, OF_FASTLY, {"max_line_bytes": 2_000}
        )


def test_an_empty_list_has_no_record_and_a_mark_is_no_text(read):
    assert read("fastly_usage", {"data": []}, OF_FASTLY).totals.lines == 0
    marked = b"\xef\xbb\xbf" + json.dumps(FASTLY).encode()
    assert read("fastly_usage", marked, OF_FASTLY).totals.accepted == 2


def test_money_in_a_document_keeps_its_digits(read):
    exact = "123456789012345.123456789012"
    text = '{"rows": [{"billing_period_start": "2026-11-01", "amount": ' + exact + "}]}"
    said = Published(issuer="E", currency="EUR")
    (row,) = read("invoice", text.encode(), {"records": "rows"}, published=said).rows
    assert str(row["amount"]) == exact


@given(at=st.integers(0, 600), bad=st.binary(min_size=1, max_size=6))
@BOUNDED
def test_any_damage_is_refused_or_accounted_for(at, bad, read):
    data = json.dumps(FASTLY).encode()
    at %= len(data)
    for broken in (data[: at + 1], data[:at] + bad + data[at + len(bad) :]):
        try:
            assert read("fastly_usage", broken, OF_FASTLY).totals.lines <= 2
        except RefusedError as err:
            reason = err.reason
            continue
        reason = "accounted for"
    assert reason


def test_a_document_goes_into_the_lake_and_is_shown(box, feed_of):
    source = feed_of("fastly_usage", document=Document.model_validate(OF_FASTLY),
                     landing=LandingSpec(prefix="in/"))  # fmt: skip
    box.sources = {"feed": source}
    box.land("in/a.json.gz", json.dumps({**FASTLY, "data": [BUCKET, {}]}).encode())
    box.run(VENDOR_USAGE)
    rows = box.sql("select requests, bytes, source_line from {}", VENDOR_USAGE.identifier)
    assert rows == [(12, 34, 1)]
    assert box.sql("select line, reason from {}", "ops.rejects") == [(2, "missing_field")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format: nginx\ndocument: {records: data}", r"feed\.yaml:6: document: .*takes a document"),
        ("format: focus_invoice\ncontainer: parquet\ndocument: {records: data}",
         r"feed\.yaml:6: container: expected none beside document"),
        ("format: fastly_usage\ndocument: {record: data}",
         r"feed\.yaml:6: document\.record: .*Did you mean `records`"),
        ("format: fastly_usage\ndocument: {records: a..b}", r"feed\.yaml:6: document\.records: "),
    ],
)  # fmt: skip
def test_a_wrong_document_is_named_by_its_line(text, says, tmp_path):
    path = tmp_path / "feed.yaml"
    path.write_text(f"name: feed\ndescription: d\nowner: o\nlanding: {{prefix: x/}}\n{text}\n")
    with pytest.raises(SourceError, match=says):
        load_source(path)


def test_every_small_table_may_come_as_a_document():
    assert {f.name for f in FAMILIES.values() if f.takes_document} >= {
        "fastly_usage", "cloudflare_usage", "akamai_usage", "invoice", "focus_invoice",
    }  # fmt: skip


def test_a_packed_document_is_unpacked(parse, feed_of):
    source = feed_of("fastly_usage", document=Document.model_validate(OF_FASTLY))
    data = gzip.compress(json.dumps(FASTLY).encode())
    assert parse("fastly_usage", data, source=source, name="in/a.json.gz").totals.accepted == 2
