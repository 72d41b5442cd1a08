"""Whatever bytes come: no crash, every line accounted for, good lines kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import inflate

from .either_way import BOUNDED, FAMILIES, assert_agreement, both_ways

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
