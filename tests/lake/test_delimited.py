"""Delimited logs of vendors that nobody knows: columns by name, dialects, and no line by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import inflate
from lake.dialect import Dialect
from lake.field_map import FieldMap
from lake.formats import quoting
from lake.formats.delimited import DelimitedMap
from lake.inflate import Buffer
from lake.lines import Lines
from lake.refused import RefusedError

from .parse.either_way import BOUNDED

MAP = {"event_time": {"from": "at", "unit": "iso"}, "status": "code", "url": "what"}
AT = datetime(2026, 11, 16, 10, 0, 5, tzinfo=UTC)


@pytest.fixture
def judged_lines(monkeypatch):
    """Count the lines that are looked at one by one."""
    seen = []
    judge = DelimitedMap.judge
    monkeypatch.setattr(
        DelimitedMap, "judge", lambda *given: (seen.append(given[1]), judge(*given))[1]
    )
    return seen


@pytest.fixture
def read(parse, feed_of):
    def of(data: bytes, fields=None, names=(), **dialect):
        source = feed_of(
            "delimited_map",
            map=FieldMap.model_validate(fields or MAP),
            dialect=Dialect.model_validate({"delimiter": ";", **dialect}),
            fields=names,
        )
        found = parse("delimited_map", data, source=source)
        found.check_accounts(data)
        return found

    return of


ROW = "2026-11-16T10:00:05Z;{};/a.ts"
HEAD = "at;code;what"


def rows(*lines: str, head: str = HEAD, end: str = "\n") -> bytes:
    return end.join([head, *lines, ""]).encode()


@pytest.mark.parametrize(
    ("head", "line", "unknown"),
    [
        ("code;at;what", "200;2026-11-16T10:00:05Z;/a.ts", set()),
        ("at;new;code;what", "2026-11-16T10:00:05Z;9;200;/a.ts", {"new"}),
        ("at;code;path", "2026-11-16T10:00:05Z;200;/a.ts", {"path"}),
        ("at;code", "2026-11-16T10:00:05Z;200", set()),
        (" at ;code; what", "2026-11-16T10:00:05Z;200;/a.ts", set()),
        # what does not look like a name is told by its shape
        ("at;code;what;x\x1b[31m", "2026-11-16T10:00:05Z;200;/a.ts;1", {"shape x·[99x"}),
    ],
    ids=["re-ordered", "added", "renamed", "dropped", "spaced", "no name"],
)
def test_columns_go_by_name(head, line, unknown, read):
    found = read(rows(line, head=head))
    assert [(r["event_time"], r["status"]) for r in found.rows] == [(AT, 200)]
    assert found.rows[0]["path"] == ("/a.ts" if "what" in head else None)
    assert found.totals.unknown_fields == unknown


def test_a_column_without_which_no_row_can_be_refuses_the_file(read):
    for head in ("when;code;what", "at;status", "at;code;code", "at", "at,code"):
        with pytest.raises(RefusedError, match=r"bad_header: .*Correct dialect, fields or map"):
            read(rows("1;2;3", head=head))


W3C = "#Version: 1.0\n#Fields: date time sc-status cs-uri-stem\n"
APART = {
    "event_time": {"join": ["date", "time"], "unit": "iso"},
    "status": "sc-status",
    "path": "cs-uri-stem",
}


def test_a_w3c_log_says_its_columns_and_says_them_again_where_they_change(read):
    data = (
        f"{W3C}2026-11-16 10:00:05 200 /a\n# rotated\n2026-11-16 10:00:05 404 /b\n"
        "#Fields: sc-status date time cs-uri-stem tls\n304 2026-11-16 10:00:05 /c 1\n"
    ).encode()
    found = read(data, APART, delimiter=" ")
    assert [(r["source_line"], r["event_time"], r["status"], r["path"]) for r in found.rows] == [
        (3, AT, 200, "/a"), (5, AT, 404, "/b"), (7, AT, 304, "/c"),
    ]  # fmt: skip
    assert (found.totals.header, found.totals.unknown_fields) == (4, {"tls"})


def test_a_date_without_its_time_of_day_is_no_instant(read):
    data = f"{W3C}2026-11-16 - 200 /a\n- 10:00:05 200 /a\n".encode()
    assert read(data, APART, delimiter=" ").reasons == {3: "missing_field", 4: "missing_field"}


def test_a_log_without_names_has_those_that_the_source_declares(read):
    data = rows(ROW.format(200), f"{ROW.format(200)};new", head="# by an edge")
    found = read(data, names=("at", "code", "what"))
    assert [r["status"] for r in found.rows] == [200]
    assert found.reasons == {3: "ragged"}


def test_a_dot_in_the_name_of_a_column_means_nothing(read):
    fields = {**MAP, "status": "http.code", "pop": '"edge.pop"'}
    data = rows("2026-11-16T10:00:05Z;200;FRA1;x", head="at;http.code;edge.pop;what")
    (row,) = read(data, fields).rows
    assert (row["status"], row["pop"]) == (200, "FRA1")


DIALECTS = [
    ({"delimiter": "tab"}, "\t", 'a "b'),
    ({"delimiter": "|", "quote": "none"}, "|", 'say "x" or "'),
    ({"delimiter": ",", "quote": "none"}, ",", '"'),
    ({"delimiter": "\x01", "quote": "none"}, "\x01", "x"),
    ({"delimiter": ",", "comment": "//"}, ",", "# no comment"),
    ({"delimiter": ",", "comment": "none"}, ",", "//"),
]


@pytest.mark.parametrize("case", range(len(DIALECTS)))
def test_a_dialect_says_what_is_text(case, read):
    dialect, delimiter, text = DIALECTS[case]
    text = text if dialect.get("quote") == "none" else text.replace('"', "")
    line = delimiter.join(["2026-11-16T10:00:05Z", "200", "/a", text])
    comment = {"//": ["// x"], "none": []}.get(dialect.get("comment", ""), ["# x"])
    head = delimiter.join(["at", "code", "what", "note"])
    found = read(rows(*comment, line, *comment, head=head), {**MAP, "extra": ["note"]}, **dialect)
    assert [dict(r["extra"])["note"] for r in found.rows] == [text]
    assert found.totals.header == 1 + 2 * len(comment)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [700, 64 * 1024 * 1024])
def test_good_lines_are_not_looked_at_one_by_one(end, size, read, judged_lines, monkeypatch):
    monkeypatch.setattr(inflate, "CHUNK_BYTES", size)
    good = [f'2026-11-16T10:00:05Z;200;"/a;{n}.ts""";' for n in range(60)]
    bad = [ROW.format("x"), '"half', ROW.format("200;9")]
    lines = [*good[:20], bad[0], *good[20:40], bad[1], *good[40:], bad[2]]
    # a delimiter at the end of every line is a column without a name
    found = read(rows(*lines, head="at;code;what", end=end))
    assert (found.totals.accepted, found.totals.rejected) == (60, 3)
    assert found.reasons == {22: "wrong_type", 43: "bad_quotes", 64: "ragged"}
    assert len(judged_lines) == 4  # those three, and the header


def test_files_appended_to_each_other_are_read_with_their_headers(read):
    part = rows(ROW.format(200), ROW.format(404))
    found = read(part + part + b"\xef\xbb\xbf" + part)
    assert (found.totals.accepted, found.totals.header) == (6, 2)
    assert found.reasons == {7: "byte_order_mark"}


def test_line_ends_of_two_systems_leave_every_line_its_number(read):
    # DuckDB counts a line twice that ends in CR LF behind an empty field where others end in LF
    lines = [ROW.format(200), "2026-11-16T10:00:05Z;200;\r", "2026-11-16T10:00:05Z;200;\xff", "x"]
    data = rows(*lines, ROW.format(404)).replace("\xff".encode(), b"\xff")
    found = read(data)
    assert found.reasons == {4: "bad_utf8", 5: "ragged"}
    assert [(r["source_line"], r["status"]) for r in found.rows] == [(2, 200), (3, 200), (6, 404)]


def test_a_file_of_comments_alone_has_no_record(read):
    found = read(b"# nothing\n\n# today\n")
    assert (found.totals.header, found.totals.blank, found.totals.accepted) == (2, 1, 0)


def test_equal_lines_without_an_id_are_several_requests(read):
    keys = [r["row_key"] for r in read(rows(ROW.format(200), ROW.format(200))).rows]
    assert len({*keys}) == 2


@given(st.lists(st.text('ab;"\n', max_size=12), min_size=1, max_size=9))
@BOUNDED
def test_separators_outside_quotes_are_counted_as_one_by_one(texts):
    data = "\n".join(texts).encode()
    width = 3
    with Buffer() as buffer:
        buffer.reserve(len(data) + 1)[: len(data)] = data
        buffer.set_size(len(data))
        lines = Lines(buffer.memory, len(data))
        even = [n for n in range(1, len(lines) + 1) if lines.raw(n).count(b'"') % 2 == 0]
        found = quoting.doubtful(lines, np.array(even, dtype=np.int64), ";", width, is_quoted=True)
        # one with fewer is none that a reader accepts
        split = {n: quoting.split(lines.raw(n).decode(), ";") for n in even}
    wrong = {n for n, cells in split.items() if cells and len(cells) > width}
    assert wrong <= set(found.tolist())
