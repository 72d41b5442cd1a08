"""Files whose lines are not all alike: other columns from here on, missing numbers, odd headers."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import pytest

from lake import inflate
from lake.formats import CloudFrontV1
from lake.parse import Constants, Parser
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.source import ABSOLUTE_RANGE


@pytest.mark.parametrize("size", [64 * 1024 * 1024, 2_000])
def test_columns_may_change_in_mid_file(parse, make, monkeypatch, size):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", size)
    first = make.file("cloudfront_v1", [make.numbered("cloudfront_v1", n) for n in range(3)])
    second = b"#Version: 1.0\n#Fields: sc-status time date sc-bytes\n"
    second += b"404\t10:00:05\t2026-11-16\t17\n" * 90
    data = first + second + first
    result = parse("cloudfront_v1", data)
    result.check_accounts(data)
    assert result.totals.rejected == 0
    assert [r["status"] for r in result.rows] == [200] * 3 + [404] * 90 + [200] * 3
    assert {r["bytes_out_total"] for r in result.rows} == {1500, 17}


def test_concatenated_gzip_members_are_one_object(parse, make):
    parts = [
        make.file("rec_events", [make.numbered("rec_events", n) for n in range(k, k + 3)])
        for k in (0, 3, 6)
    ]
    packed = b"".join(gzip.compress(p) for p in parts)
    plain = parse("rec_events", b"".join(parts))
    whole = parse("rec_events", packed, name="in/file.gz")
    assert whole.rows == plain.rows
    assert whole.totals == plain.totals


def test_a_header_is_text_and_never_reaches_sql(parse, make):
    names = [
        'a"),(select/**/1)as(x',
        "rn",
        "event_time",
        "host_l",
        "';drop",
        "a'b",
        "Date",
        "x-host-header2",
    ]
    data = f"#Fields: date time sc-status {' '.join(names)}\n".encode()
    data += b"2026-11-16\t10:00:05\t200" + b"\ts3cret" * len(names) + b"\n"
    for judged in (False, True):
        result = parse("cloudfront_v1", data, judged=judged)
        result.check_accounts(data)
        assert result.totals.accepted == 1
        assert result.totals.unknown_fields == {
            'shape x"),(xxxxxx/**/9)xx(x', "shape ';xxxx", "shape x'x",
            "rn", "event_time", "host_l", "Date", "x-host-header2",
        }  # fmt: skip
        assert "s3cret" not in repr(result.rows)


def test_after_a_file_the_reader_gave_up_on_the_next_is_read_fast(parse, make, monkeypatch):
    family = "cloudfront_v1"
    good = [make.numbered(family, n) for n in range(20)]
    mixed = make.file(family, [b"ragged", *good, make.line(family) + b"\r", b"ragged"])
    data = make.file(family, [*good, b"ragged", *good])
    judged = []
    judge = CloudFrontV1.judge

    def counting(self, line, layout):
        judged.append(line)
        return judge(self, line, layout)

    monkeypatch.setattr(CloudFrontV1, "judge", counting)
    for _ in range(2):
        parse(family, mixed).check_accounts(mixed)
        judged.clear()
        result = parse(family, data)
        result.check_accounts(data)
        assert result.totals.accepted == 40
        assert len(judged) <= 3


@pytest.mark.parametrize(
    ("family", "field"),
    [("rec_events", "position"), ("rec_events", "propensity"),
     ("cloudflare_logpush", "EdgeTimeToFirstByteMs")],
)  # fmt: skip
def test_a_number_that_the_head_of_a_file_always_had_may_be_missing_later(
    parse, make, family, field
):
    full = [make.numbered(family, n) for n in range(300)]
    without = [make.line(family, drop=[field]), make.line(family, {field: None})]
    data = make.file(family, [*full, *without, b"broken", *without])
    result = parse(family, data)
    result.check_accounts(data)
    assert result.totals.accepted == 304
    assert set(result.reasons.values()) == {"invalid_json"}


class Overflowing(CloudFrontV1):
    """Computes with what no time stamp holds, as a family should not."""

    def derived_sql(self, layout, source):
        end = 'cast("date" + "time" as timestamptz)'
        return {**super().derived_sql(layout, source), "end_at": end, "event_time": end}


def test_a_value_that_sql_cannot_compute_with_rejects_its_line_and_no_other(make, feed_of):
    lines = [make.numbered("cloudfront_v1", n) for n in range(9)]
    lines[4] = make.line("cloudfront_v1", {"date": "294300-01-01"})
    data = make.file("cloudfront_v1", lines)
    parser = Parser(feed_of("cloudfront_v1"), Overflowing(), Protection(Keyring.of(b"k")))
    rows = []
    bounds = Constants("d-1", datetime(2026, 11, 20, tzinfo=UTC), None, *ABSOLUTE_RANGE)
    totals = parser.parse(
        io.BytesIO(data), "in/a", len(data), bounds, lambda table: rows.extend(table.to_pylist())
    )
    parser.close()
    assert {r.line: r.reason for r in totals.rejects} == {7: "value_out_of_range"}
    assert sorted(row["request_id"] for row in rows) == [f"n-{n}" for n in range(9) if n != 4]
