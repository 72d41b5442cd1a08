"""Files as vendors really write them."""

from __future__ import annotations

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
