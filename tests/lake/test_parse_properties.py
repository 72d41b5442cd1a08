"""Whatever bytes come: no crash, every line accounted for, good lines kept."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lake import formats, inflate
from lake import lines as lines_module
from lake.formats import CloudFrontV1
from lake.limits import Limits
from lake.parse import Constants, Parser
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.refused import RefusedError
from lake.source import ABSOLUTE_RANGE

#: one for each way of reading; the others share theirs with one of these and run when it is slow
OFTEN = ("cloudfront_v1", "cloudflare_logpush", "rec_events", "apache", "akamai_ds2", "fastly",
         "delimited_map")  # fmt: skip
FAMILIES = tuple(
    name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow)
    for name, family in formats.FAMILIES.items()
    if family not in formats.COUNTER_FAMILIES  # judged line by line: test_counters.py
)
JSON = (
    "cloudflare_logpush", "cloudfront_v2", "akamai_ds2", "gcp_cdn", "azure_front_door",
    "rec_events",
    *(f.name for f in formats.FEED_FAMILIES if f.name != "cmcd_events"),
)  # fmt: skip
BOUNDED = settings(
    derandomize=True,
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
MARKS = tuple(b'\n|\r|\r\n|\t|"|\0|\xff|\xef\xbb\xbf|#|{|}|'.split(b"|"))


@st.composite
def damages(draw):
    """A list of edits, each at a place given as a share of the length."""
    kinds = st.sampled_from(["cut", "insert", "repeat", "flip", "glue", "blank"])
    edit = st.tuples(kinds, st.floats(0, 1), st.integers(0, 30), st.sampled_from(MARKS))
    return draw(st.lists(edit, min_size=1, max_size=6))


def damage(data: bytes, edits) -> bytes:
    for kind, where, length, mark in edits:
        at = int(where * len(data))
        if kind == "cut":
            data = data[:at] + data[at + length :]
        elif kind == "insert":
            data = data[:at] + mark + data[at:]
        elif kind == "repeat":
            data = data[: at + length] + data[at:]
        elif kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 + length)]) + data[at + 1 :]
        elif kind == "glue":
            end = data.find(b"\n", at)
            data = data[:end] + data[end + 1 :] if end >= 0 else data
        elif kind == "blank":
            end = data.find(b"\n", at)
            data = data[: end + 1] + b" \t\n\n" + data[end + 1 :] if end >= 0 else data
    return data


def is_strict(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def both_ways(parse, family: str, data: bytes):
    """Parse by the fast read and by the judge; give back both, or None for a refused file."""
    found = []
    for judged in (False, True):
        try:
            result = parse(family, data, judged=judged)
        except RefusedError as err:
            found.append(err.reason)
            continue
        result.check_accounts(data)
        found.append(result)
    if any(isinstance(f, str) for f in found):
        assert found[0] == found[1]
        return None
    return found


def assert_agreement(family: str, data: bytes, fast, judged) -> None:
    """Assert that the judge gives the same rows; JSON that is none may pass the reader alone."""
    lines = data.split(b"\n")
    strict = [
        row for row in fast.rows if family not in JSON or is_strict(lines[row["source_line"] - 1])
    ]
    assert strict == judged.rows


@pytest.mark.parametrize("family", FAMILIES)
@given(body=st.binary(max_size=300))
@BOUNDED
def test_any_bytes_are_accounted_for(family, body, parse, make):
    data = make.header(family) + body
    if data:
        both_ways(parse, family, data)


@pytest.mark.parametrize("family", FAMILIES)
@given(edits=damages())
@BOUNDED
def test_any_damage_is_accounted_for_and_judged_alike(family, edits, parse, make):
    head = make.header(family)
    whole = make.file(family, [make.numbered(family, n) for n in range(6)])
    data = head + damage(whole[len(head) :], edits)
    found = both_ways(parse, family, data)
    if found:
        assert_agreement(family, data, *found)


@pytest.mark.parametrize("family", FAMILIES)
@given(bad=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4))
@BOUNDED
def test_good_lines_beside_bad_ones_are_all_kept(family, bad, parse, make):
    good = [make.numbered(family, n) for n in range(5)]
    lines = [part for pair in zip(good, bad * 5, strict=False) for part in pair]
    # a file of one line end: text that brings its own is another file
    lines = [line.replace(b"\n", b"").replace(b"#Fields:", b"") for line in lines]
    data = make.file(family, lines)
    result = parse(family, data)
    result.check_accounts(data)
    first = make.header(family).count(b"\n") + 1
    wanted = {first + i for i, line in enumerate(lines) if line in good}
    assert wanted <= {row["source_line"] for row in result.rows}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(lambda d: d.replace(b"\n", b"\n\n"), id="blank lines between"),
        pytest.param(lambda d: d[:-1], id="no final line end"),
        pytest.param(lambda d: d + b"\n\n \n", id="blank lines at the end"),
        pytest.param(lambda d: d + b" ", id="ends in a space"),
    ],
)
def test_line_ends_and_blank_lines_lose_no_row(family, change, parse, make):
    head = make.header(family)
    whole = make.file(family, [make.numbered(family, n) for n in range(7)])
    data = head + change(whole[len(head) :])
    found = both_ways(parse, family, data)
    assert found is not None
    assert [r.totals.accepted for r in found] == [7, 7]
    assert found[0].rows == found[1].rows


@pytest.mark.parametrize("family", FAMILIES)
def test_a_byte_order_mark_at_the_beginning_costs_nothing(family, parse, make):
    data = b"\xef\xbb\xbf" + make.file(family, [make.numbered(family, n) for n in range(7)])
    found = both_ways(parse, family, data)
    assert [r.totals.accepted for r in found] == [7, 7]
    broken = b"\xef\xbb\xbf" + make.header(family) + b"broken\n"
    result = parse(family, broken)
    result.check_accounts(broken)
    assert result.totals.rejected == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [1_200, 64 * 1024 * 1024])
def test_a_byte_order_mark_further_on_rejects_its_line(family, size, parse, make, monkeypatch):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", size)
    lines = [b"\xef\xbb\xbf" * (n % 3 == 1) + make.numbered(family, n) for n in range(9)]
    data = make.file(family, lines)
    for result in both_ways(parse, family, data):
        assert (result.totals.accepted, result.totals.rejected) == (6, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_of_ten_megabytes_is_one_reject(family, parse, make):
    good = [make.numbered(family, n) for n in range(2)]
    data = make.file(family, [good[0], b"x" * 10_000_000, good[1]])
    result = parse(family, data)
    result.check_accounts(data)
    assert (result.totals.accepted, result.totals.rejected) == (2, 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [1_500, 4_096])
def test_chunks_make_no_difference(family, size, parse, make, monkeypatch):
    lines = [make.numbered(family, n) for n in range(30)]
    lines[7] = lines[7][:-9]
    lines[20:20] = [b"", b"nonsense"]
    data = make.file(family, lines)[:-1]
    whole = parse(family, data)
    whole.check_accounts(data)
    monkeypatch.setattr(inflate, "CHUNK_BYTES", size)
    cut = parse(family, data)
    cut.check_accounts(data)
    assert cut.rows == whole.rows
    # lines that are too late are told after those that are no records, chunk by chunk
    for totals in (cut.totals, whole.totals):
        totals.rejects.sort(key=lambda r: r.line)
    assert cut.totals == whole.totals


def test_a_line_longer_than_a_chunk_is_read(parse, make, monkeypatch):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 2_000)
    long = make.line("rec_events", {"model_version": "m" * 9_000})
    data = make.file("rec_events", [make.numbered("rec_events", 1), long])
    result = parse("rec_events", data)
    result.check_accounts(data)
    assert result.totals.accepted == 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [2_000, 9_000, 1 << 20])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_line_longer_than_the_limit_is_one_reject(
    family, chunk, is_last, parse, make, feed_of, monkeypatch
):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", chunk)
    source = feed_of(family, limits=Limits(max_line_bytes=2_048))
    good = [make.numbered(family, n) for n in range(5)]
    long = b"x" * 7_000
    lines = [long, *good[:2], long + b"\r", b"broken", good[2], long, long, b"", *good[3:]]
    data = make.file(family, [*lines, long] if is_last else lines)[: -1 if is_last else None]
    for judged in (False, True):
        result = parse(family, data, judged=judged, source=source)
        result.check_accounts(data)
        assert result.totals.accepted == 5
        reasons = list(result.reasons.values())
        assert reasons.count("line_too_long") == 4 + is_last
        assert len(reasons) == 5 + is_last


@pytest.mark.parametrize("family", FAMILIES)
def test_more_lines_than_a_chunk_may_have_are_read_in_parts(family, parse, make, monkeypatch):
    lines = [make.numbered(family, n) for n in range(30)]
    lines[7] = b"nonsense"
    lines[20:20] = [b"", b"\r"]
    data = make.file(family, lines)
    whole = parse(family, data)
    for most in (2, 3, 7, 31, 32, 33):
        monkeypatch.setattr(lines_module, "MAX_CHUNK_LINES", most)
        parts = parse(family, data)
        parts.check_accounts(data)
        assert parts == whole


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
