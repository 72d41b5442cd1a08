"""Lines and files longer than a chunk, and lines longer than their limit."""

from __future__ import annotations

import pytest

from lake import inflate
from lake import lines as lines_module
from lake.limits import Limits

from .either_way import FAMILIES


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
