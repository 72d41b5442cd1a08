"""Files as vendors really write them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2].parent / "shared/data/cdn"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")


@pytest.mark.parametrize("name", ["basic.log", "basic.log.gz"])
def test_a_cloudfront_log_is_read_whole(name, parse):
    data = (DATA / "cloudfront" / name).read_bytes()
    found = parse("cloudfront_v1", data, name=name)
    assert (found.totals.accepted, found.totals.header, found.totals.rejected) == (20, 2, 0)
    assert {r["pop_iata"] for r in found.rows} >= {"CMH"}
    assert {r["client_ip"] for r in found.rows} == {"1.2.3.0", "3.4.5.0"}


def test_the_vendors_examples_need_a_declared_order(parse, make, feed_of):
    order = tuple(make.header("cloudfront_v1").split(b"#Fields: ")[1].decode().split())
    source = feed_of("cloudfront_v1", fields=order)
    data = (DATA / "cloudfront/aws_doc_examples.tsv").read_bytes()
    found = parse("cloudfront_v1", data, source=source)
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.rejected) == (6, 0)
    assert [r["status"] for r in found.rows] == [200, 200, 200, 502, 502, 502]
    assert found.rows[3]["error_detail"] == "OriginDnsError"


def test_a_cloudflare_line_is_read(parse):
    data = (DATA / "cloudflare/logfile_cloudflare.json").read_bytes()
    found = parse("cloudflare_logpush", data)
    found.check_accounts(data)
    assert found.totals.accepted == 1
    row = found.rows[0]
    assert (row["country"], row["asn"], row["status"]) == ("RU", 12389, 301)
    assert (row["client_ip"], row["origin_ip"]) == ("198.18.140.0", None)


@pytest.mark.parametrize("name", ["basic.log", "basic.log.zst"])
def test_a_fastly_log_is_read_behind_the_header_of_syslog(name, parse):
    data = (DATA / "fastly" / name).read_bytes()
    found = parse("fastly", data, name=name)
    assert (found.totals.lines, found.totals.accepted, found.totals.rejected) == (23, 23, 0)
    assert found.totals.unknown_fields == set()
    row = found.rows[0]
    assert row["event_time"].isoformat() == "2024-01-16T23:53:20.460557+00:00"
    assert (row["host"], row["scheme"]) == ("static.crates.io", "https")
    assert (row["path"], row["bytes_out_body"]) == ("/crates/strsim/strsim-0.10.0.crate", 11355)
    assert (row["status"], row["method"], row["client_ip"]) == (200, "GET", "1.2.3.0")
    third = found.rows[2]["path_raw"], found.rows[2]["path"]
    assert [p.rpartition("-0.5.2")[2] for p in third] == [
        "%2B5.3.0-patched.crate", "+5.3.0-patched.crate",
    ]  # fmt: skip


def test_a_fastly_log_with_nested_objects_is_read(parse):
    data = (DATA / "fastly/full-info.log").read_bytes()
    found = parse("fastly", data)
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.rejected) == (20, 0)
    assert found.totals.unknown_fields == set()
    row = found.rows[0]
    assert (row["pop"], row["http_version"], row["referer"]) == ("CHI", "HTTP/2", None)
    assert (row["tls_version"], row["content_type"]) == ("TLSv1.3", "application/gzip")
    assert row["user_agent"].startswith("cargo/1.92.0-nightly")


def test_an_akamai_stream_is_read_with_its_duplicates_and_aborts(parse):
    data = (DATA / "akamai/akamai_ds2_video.shared.ndjson").read_bytes()
    found = parse("akamai_ds2", data)
    found.check_accounts(data)
    rows = found.rows
    assert (found.totals.accepted, found.totals.rejected) == (329, 0)
    assert found.totals.unknown_fields == set()
    # exact duplicates share their key, and nothing else does
    assert len({r["row_key"] for r in rows}) == len(set(data.splitlines())) == 129
    assert Counter(r["client_aborted"] for r in rows) == {True: 252, False: 77}
    assert Counter(r["cache_status"] for r in rows) == {"HIT": 189, "MISS": 140}
    assert {r["status"] for r in rows} == {206}
    assert {r["client_ip"].rsplit(".", 1)[1] for r in rows} == {"0"}
    assert {r["query_raw"] for r in rows} == {None}


def test_akamai_rows_have_the_documented_values(parse):
    data = (DATA / "akamai/akamai_ds2_video.shared.ndjson").read_bytes()
    first, second = parse("akamai_ds2", data).rows[:2]
    start = datetime(2024, 6, 21, 3, 18, 19, 742_000, tzinfo=UTC)
    wanted = {
        "event_time": start,
        "event_time_precision": "start_ms",
        "end_time": start + timedelta(milliseconds=5 + 12 + 11_687),
        "request_id": "246b7966",
        "country": "ID",
        "host": "upos-bstar1-mirrorakam.akamaized.net",
        "path": "/iupxcodeboss/6s/eq/m210901a2306abrtohyzga2el4sfeq6s-1-211220110000.m4s",
        "bytes_out_body": 2_874_788,
        "bytes_out_network": 3_046_075,
        "ttfb_ms": 12.0,
        "duration_ms": 11_704.0,
        "cache_status": "HIT",
        "client_aborted": True,
        "error_detail": "ERR_CLIENT_ABORT|general",
        "range_start": 13_903_735,
        "range_end": 39_164_062,
        "user_agent": "Bilibili Freedoooooom/MarkII",
        "scheme": "http",
        "tls_version": None,
        "is_viewer": True,
        "object_type": "segment",
    }
    assert {k: first[k] for k in wanted} == wanted
    assert (second["cache_status"], second["client_aborted"]) == ("MISS", False)
    assert (second["bytes_out_body"], second["duration_ms"]) == (5_456_223, 11_962.0)


@pytest.mark.parametrize("judged", [False, True])
def test_a_log_of_apache_is_read_but_for_its_one_broken_line(judged, parse, feed_of):
    data = (DATA / "apache/apache_logs").read_bytes()
    found = parse("apache", data, judged=judged, source=feed_of("apache", log_format=""))
    found.check_accounts(data)
    assert found.reasons == {8899: "ragged"}
    statuses = Counter(r["status"] for r in found.rows)
    assert statuses.pop(403) + statuses.pop(416) == 4
    assert statuses == {200: 9125, 304: 445, 404: 213, 301: 164, 206: 45, 500: 3}
    first = found.rows[0]
    assert f"{first['event_time']:%Y-%m-%d %H:%M:%S}" == "2015-05-17 10:05:03"
    assert (first["method"], first["bytes_out_body"], first["bytes_out_total"]) == (
        "GET", 203023, None,
    )  # fmt: skip
    assert all(r["path"].startswith("/") and r["client_ip"] for r in found.rows)


@pytest.mark.parametrize("judged", [False, True])
def test_a_log_of_nginx_in_another_zone_is_read_whole(judged, parse, feed_of):
    data = (DATA / "nginx/logfile_shop_access_log.0").read_bytes()
    found = parse("nginx", data, judged=judged, source=feed_of("nginx", log_format=""))
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.rejected) == (1_000, 0)
    # +0330: half past three in the morning of Tehran is midnight
    assert f"{found.rows[0]['event_time']:%Y-%m-%d %H:%M:%S}" == "2019-01-22 00:26:14"
    assert Counter(r["status"] for r in found.rows) == {
        200: 938, 404: 24, 302: 20, 301: 11, 304: 7,
    }  # fmt: skip
    assert found.rows[0]["path"].startswith("/filter/27|13 \u0645\u06af")
