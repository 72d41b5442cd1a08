"""Equal lines of one delivery: as many rows as lines, and the same rows in another delivery."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import inflate


def keys(found):
    return [row["row_key"] for row in found.rows]


def test_equal_lines_without_an_id_are_several_rows(parse, make):
    data = make.file("fastly", [make.line("fastly")] * 3 + [make.line("fastly", {"status": 404})])
    found = parse("fastly", data)
    assert len(set(keys(found))) == 4
    again = parse("fastly", make.file("fastly", [make.line("fastly")] * 2))
    assert keys(again) == keys(found)[:2]


@pytest.mark.parametrize("family", ["squid", "ats_squid"])
def test_equal_lines_of_a_proxy_are_several_requests(family, parse, make):
    data = make.file(family, [make.line(family)] * 3)
    assert len(set(keys(parse(family, data)))) == 3
    assert keys(parse(family, data, judged=True)) == keys(parse(family, data))


def test_equal_lines_of_a_server_that_logs_no_id_are_several_requests(parse, feed_of):
    combined = (
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
        '"$http_referer" "$http_user_agent"'
    )
    line = b'192.0.2.7 - - [16/Nov/2026:10:00:05 +0000] "GET /a.ts HTTP/1.1" 200 10 "-" "x"\n'
    found = parse("nginx", line * 3, source=feed_of("nginx", log_format=combined))
    assert found.totals.accepted == len(set(keys(found))) == 3


@pytest.mark.parametrize(
    ("family", "id_"), [("cloudfront_v1", "x-edge-request-id"), ("cloudflare_logpush", "RayID")]
)
def test_equal_lines_whose_id_is_missing_are_several_requests(family, id_, parse, make):
    nothing = "-" if family == "cloudfront_v1" else ""
    data = make.file(family, [make.line(family, {id_: nothing})] * 3)
    assert len(set(keys(parse(family, data)))) == 3


def test_equal_rows_of_parquet_are_the_rows_of_equal_lines(parse, make, feed_of):
    id_ = "x-edge-request-id"
    nameless = [json.loads(make.line("cloudfront_v2", {id_: "-"}))] * 3
    named = [json.loads(make.numbered("cloudfront_v2", 1))] * 2
    text = b"".join(json.dumps(row).encode() + b"\n" for row in nameless + named)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(nameless + named), sink, row_group_size=2)
    source = feed_of("cloudfront_v2", container="parquet")
    found = keys(parse("cloudfront_v2", sink.getvalue(), source=source, name="in/a.parquet"))
    assert len(set(found)) == 4
    assert found == keys(parse("cloudfront_v2", text))


def test_equal_lines_of_one_request_id_are_one_row_repeated(parse, make):
    data = make.file("fastly", [make.numbered("fastly", 1)] * 3)
    assert len(set(keys(parse("fastly", data)))) == 1


def test_occurrences_are_counted_over_chunks_and_over_both_ways(parse, make, monkeypatch):
    lines = [make.line("fastly", {"status": s}) for s in (200, 404, 200, 200, 500, 404)] * 4
    data = make.file("fastly", lines)
    whole = keys(parse("fastly", data))
    assert len(set(whole)) == len(lines)
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 2_500)
    assert keys(parse("fastly", data)) == whole
    assert keys(parse("fastly", data, judged=True)) == whole


def test_the_next_delivery_counts_anew(parse, make):
    data = make.file("fastly", [make.line("fastly")] * 2)
    assert keys(parse("fastly", data)) == keys(parse("fastly", data))
