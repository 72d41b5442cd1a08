"""CloudFront's logs as they come: any column set, any separator, named by their partitions."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lake.refused import RefusedError
from lake.source import load_source

EXAMPLES = Path(__file__).parents[2] / "docs/sources"
V1 = "cloudfront_v1"
#: how many columns the vendor's log had, from 2008 on
HISTORY = (12, 15, 18, 19, 23, 24, 26, 33)


def columns(make) -> list[str]:
    return make.header(V1).split(b"#Fields: ")[1].decode().split()


def header(names) -> bytes:
    return f"#Version: 1.0\n#Fields: {' '.join(names)}\n".encode()


@pytest.mark.parametrize("separator", [b"\t", b" "], ids=["tabs", "spaces"])
@pytest.mark.parametrize("count", HISTORY)
@pytest.mark.parametrize("judged", [False, True], ids=["fast", "judged"])
def test_every_column_set_there_was_is_read(count, separator, judged, parse, make):
    names = columns(make)[:count]
    lines = [b"\t".join(make.numbered(V1, n).split(b"\t")[:count]) for n in range(5)]
    data = header(names) + b"".join(line.replace(b"\t", separator) + b"\n" for line in lines)
    found = parse(V1, data, judged=judged)
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.header) == (5, 2)
    row = found.rows[0]
    assert (row["status"], row["bytes_out_total"], row["pop"]) == (200, 1500, "FRA56-P1")
    assert row["path"] == "/hls/a/seg1.ts"
    assert row["duration_ms"] == (250.0 if "time-taken" in names else None)
    assert row["host"] == ("vod.aurora.example" if count > 15 else "d1.cloudfront.net")
    assert row["cache_status"] == ("HIT" if count >= 23 else "UNKNOWN")


def test_lines_separated_by_spaces_mean_what_lines_separated_by_tabs_mean(parse, make, feed_of):
    source = feed_of(V1, fields=tuple(columns(make)))
    lines = [make.numbered(V1, n) for n in range(40)]
    lines[7:7] = [b"half\ta\tline", b"", make.line(V1)[:-9]]
    lines[20] += b"\t"  # a delimiter at the end is forgiven
    tabs = b"\n".join(lines)
    spaces = tabs.replace(b"\t", b" ")
    by_tabs, by_spaces = (parse(V1, d, source=source) for d in (tabs, spaces))
    by_spaces.check_accounts(spaces)
    assert by_spaces.rows == by_tabs.rows
    assert by_spaces.reasons == by_tabs.reasons == {8: "ragged", 10: "ragged"}
    assert parse(V1, spaces, source=source, judged=True).rows == by_spaces.rows


def test_a_text_with_an_escaped_space_stays_one_field(parse, make, feed_of):
    source = feed_of(V1, fields=tuple(columns(make)))
    line = make.line(V1, {"x-forwarded-for": "192.0.2.9,\\x20203.0.113.7"})
    found = parse(V1, line.replace(b"\t", b" ") + b"\n", source=source)
    assert dict(found.rows[0]["extra"])["x-forwarded-for"] == "192.0.2.0, 203.0.113.0"


def test_separator_and_columns_may_change_in_mid_file(parse, make):
    names = columns(make)
    first = make.file(V1, [make.numbered(V1, n) for n in range(3)])
    second = header(names[:12]) + b"".join(
        b" ".join(make.numbered(V1, n).split(b"\t")[:12]) + b"\n" for n in range(4)
    )
    data = first + second + first
    found = parse(V1, data)
    found.check_accounts(data)
    assert (found.totals.accepted, found.totals.rejected) == (10, 0)
    assert [r["client_port"] for r in found.rows] == [54298] * 3 + [None] * 4 + [54298] * 3


def test_fields_of_version_2_in_a_text_log_are_known(parse, make):
    names = ["timestamp(ms)", "sc-status", "asn", "origin-fbl", "c-country", "time-taken"]
    data = header(names) + b"1794823205373\t200\t3320\t0.120\tde\t0.250\n"
    for judged in (False, True):
        found = parse(V1, data, judged=judged)
        found.check_accounts(data)
        (row,) = found.rows
        assert row["event_time"].isoformat() == "2026-11-16T10:00:05.123000+00:00"
        assert (row["event_time_precision"], row["country"]) == ("end_ms", "DE")
        assert (row["asn"], row["origin_ttfb_ms"]) == (3320, 120.0)
        assert found.totals.unknown_fields == set()


def test_a_real_time_log_needs_a_declared_order(parse, make, feed_of):
    family = "cloudfront_realtime"
    for fields in ((), ("c-ip", "sc-status"), ("timestamp", "sc-status", "c-ip", "c-ip")):
        with pytest.raises(RefusedError, match=r"no_header: .*Add `fields"):
            parse(family, make.line(family), source=feed_of(family, fields=fields))


def test_a_sampled_real_time_log_counts_by_its_share(parse, make, feed_of):
    family = "cloudfront_realtime"
    source = feed_of(family, sampled_percent=5)
    (row,) = parse(family, make.line(family) + b"\n", source=source).rows
    assert row["sample_weight"] == 20


def test_nothing_of_headers_and_cookies_is_kept(parse, make, feed_of):
    found = parse("cloudfront_realtime", make.line("cloudfront_realtime") + b"\n")
    assert "s3cret" not in repr(found.rows)
    data = make.line("cloudfront_v2", {"cs(Cookie)": "s3cret", "cs-headers": "s3cret"}) + b"\n"
    found = parse("cloudfront_v2", data)
    assert "s3cret" not in repr(found.rows)
    assert found.totals.unknown_fields == set()


def test_a_key_that_nobody_knows_is_told_of(parse, make):
    data = make.line("cloudfront_v2", {"x-new-field": "s3cret"}) + b"\n"
    found = parse("cloudfront_v2", data)
    assert found.totals.unknown_fields == {"x-new-field"}
    assert json.loads(data)["x-new-field"] not in repr(found.rows)


NAMES = [
    ("cloudfront_v2_json",
     "cloudfront_json/AWSLogs/111122223333/CloudFront/DistributionId=E2/year=2026/month=11/day=16/"
     "hour=10/E2.2026-11-16-10.a1b2.gz", "E2"),
    ("cloudfront_v2_parquet",
     "cloudfront_parquet/AWSLogs/111122223333/CloudFront/E2/2026/11/16/10/"
     "E2.2026-11-16-10.a1b2.parquet", "E2"),
    ("cloudfront_realtime", "realtime/cloudfront/2026/11/16/10/l-1-2026-11-16-10-02-03-ab", None),
    ("cloudfront_firehose", "firehose/cloudfront/2026/11/16/10/std-1-2026-11-16-10-02-03-ab", None),
    ("rec_events_parquet",
     "rec_events_parquet/dt=2026-11-16/hour=10/rec-eu-1-900.parquet", "rec-eu-1"),
    ("rec_events_csv", "rec_events_csv/dt=2026-11-16/hour=10/rec-eu-1-900.csv.gz", "rec-eu-1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "producer"), NAMES, ids=[n[0] for n in NAMES])
def test_an_example_source_reads_period_and_producer_out_of_a_name(name, key, producer):
    source = load_source(EXAMPLES / f"{name}.yaml")
    assert key.startswith(source.landing.prefix)
    assert key.endswith(source.landing.suffix)
    facts = source.name_facts(key)
    start = datetime.fromisoformat("2026-11-16T10:00:00+00:00")
    assert (facts.period_start, facts.period_end) == (start, start + timedelta(hours=1))
    assert facts.producer == producer
