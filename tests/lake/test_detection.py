"""Telling a format by head and name: the right family, none, or a refusal that says why."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.formats import COUNTER_FAMILIES, FAMILIES, FEED_FAMILIES, JsonMap, family_of
from lake.formats.base import Look
from lake.formats.detection import detect, detect_head, family_for
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError

DATA = Path(__file__).parents[2].parent / "shared/data/cdn"
TELLING = ("cloudfront_v1", "cloudflare_logpush", "fastly", "nginx_json", "apache_json",
           "rec_events")  # fmt: skip


@pytest.mark.parametrize("family", TELLING)
def test_a_family_is_told_by_its_lines(family, make):
    head = make.file(family, [make.numbered(family, n) for n in range(3)])
    found = detect_head(head, "x.log")
    assert found.family == family
    assert found.detail.startswith(f"{family}: ")
    assert detect_head(b"\n\nbroken {\n" + head, "x.log").family == family


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("fastly/basic.log", "fastly"),
        ("fastly/basic.log.zst", "fastly"),
        ("fastly/full-info.log", "fastly"),
        ("cloudfront/basic.log.gz", "cloudfront_v1"),
        ("cloudflare/logfile_cloudflare.json", "cloudflare_logpush"),
    ],
)
@pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")
def test_a_real_file_is_told(name, family):
    with (DATA / name).open("rb") as stream:
        assert detect(stream, name).family == family


@pytest.mark.parametrize("head", [b"", b"\n\n", b"hello\nworld\n", b'{"a":1}\n', b"[1]\n",
                                  b"#Fields: c-ip cs-bytes-odd\n", b"\xff\xfe\n"])  # fmt: skip
def test_what_is_nobodys_is_nobodys(head):
    found = detect_head(head, "x.log")
    assert found.family is None
    assert "found none of them" in found.detail
    assert "weir source new" in found.detail


def test_a_name_alone_is_too_little_and_decides_between_equals(make, monkeypatch):
    name = "2026-11-16T10-00-00.000-abcdefghij0123456789.log.gz"
    assert detect_head(b"hello\n", name).family is None
    assert "a name as this vendor gives it" in detect_head(b"hello\n", name).detail
    monkeypatch.setattr(JsonMap, "looks_like", lambda *_: Look(0.9, "the same"))
    for family in FAMILIES.values():
        if "looks_like" in vars(type(family)) and type(family) is not JsonMap:
            monkeypatch.setattr(type(family), "looks_like", lambda *_: Look(0.9, "the same"))
    found = detect_head(make.line("fastly") + b"\n", "x.log")
    assert found.family is None
    assert "more than one may be" in found.detail
    assert detect_head(make.line("fastly") + b"\n", name).family == "fastly"


@given(st.binary(max_size=200), st.text(max_size=20))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_no_bytes_and_no_name_make_it_fail(head, name):
    assert detect_head(head, name) == detect_head(head, name)


def test_a_reason_quotes_no_text_of_the_log(make):
    found = detect_head(make.line("fastly", {"host": "\x1b[31m s3cret"}) + b"\n", "x.log")
    assert "s3cret" not in found.detail


def test_events_are_no_cdn_log(make, feed_of):
    data = io.BytesIO(make.file("rec_events", [make.line("rec_events")]))
    with pytest.raises(RefusedError, match="found rec_events"):
        family_for(feed_of("auto"), data, "x.log")


def test_a_source_without_a_format_takes_files_of_any_family(box, make, feed_of):
    box.sources = {"feed": feed_of("auto")}
    box.land("in/a.log.gz", make.file("fastly", [make.numbered("fastly", 1)]))
    box.land("in/b.log.gz", make.file("cloudflare_logpush", [make.line("cloudflare_logpush")]))
    box.land("in/c.log.gz", b"nobody knows this\n")
    box.run(CDN_REQUESTS)
    assert box.by_key() == {
        "in/a.log.gz": ["loaded"], "in/b.log.gz": ["loaded"], "in/c.log.gz": ["rejected"],
    }  # fmt: skip
    ledger = {d.key: d for d in box.ledger().values()}
    assert ledger["in/a.log.gz"].parser_version == family_of("fastly").parser_version
    assert ledger["in/b.log.gz"].parser_version.startswith("cloudflare_logpush/")
    assert ledger["in/c.log.gz"].reason.startswith("unknown_format: expected one of")
    rows = box.sql("select parser_version, cdn from {} order by 1", "bronze.cdn_requests")
    assert [cdn for _, cdn in rows] == ["cloudflare", "fastly"]


STAMP = b"[16/Nov/2026:10:00:05 +0000]"
TAIL = b'" 200 14 "-" "A"'
FIRST = b"192.0.2.7 - - " + STAMP + b' "GET '
SQUID = b"1794823205.373    250 192.0.2.7 TCP_HIT/200 15 GET http://a/ - HIER_NONE/- -"
LINES = {
    "combined": (FIRST + b"/ HTTP/1.1" + TAIL, "nginx"),
    "a user with a blank": (b"192.0.2.7 - a b " + STAMP + b' "GET / HTTP/1.1' + TAIL, "nginx"),
    "an escaped quote": (FIRST + b'/\\" HTTP/1.1' + TAIL, "apache"),
    "a named server": (b"a.example:80 " + FIRST + b"/ HTTP/1.1" + TAIL, "apache"),
    "an escaped quote further on": (
        FIRST + b"/ HTTP/1.1" + TAIL + b"\n" + FIRST + b'/\\" HTTP/1.1' + TAIL,
        "apache",
    ),
    "a hyphen for no bytes": (FIRST + b'/ HTTP/1.1" 304 - "-" "A"', "apache"),
    "a hyphen for no bytes further on": (
        (FIRST + b"/ HTTP/1.1" + TAIL + b"\n") * 99 + FIRST + b'/ HTTP/1.1" 304 - "-" "A"',
        "apache",
    ),
    "common, without referer and agent": (FIRST + b'/ HTTP/1.1" 200 14', "apache"),
    "common by CRLF": (FIRST + b'/ HTTP/1.1" 200 14\r', "apache"),
    "an absolute URI": (FIRST + b"http://a/ HTTP/1.1" + TAIL, "varnishncsa"),
    "Squid": (SQUID, "squid"),
    "prose": (b"16/Nov/2026 Service Unavailable", None),
    "a date of another kind": (b'192.0.2.7 - - [2026-11-16 10:00:05] "GET / HTTP/1.1" 200', None),
}


@pytest.mark.parametrize("what", LINES)
def test_an_access_log_is_told_by_its_lines(what):
    line, family = LINES[what]
    assert detect(io.BytesIO(line + b"\n"), "access.log").family == family


#: what writes the same lines as another, or says nothing of its columns, and must be declared
ALIKE = {
    "apache": "nginx", "ats_squid": "squid", "akamai_ds2_structured": None,
    "cloudfront_realtime": None, "json_map": None,
    "delimited_map": None,
}  # fmt: skip


#: what nobody meets without knowing what it is
DECLARED = (*COUNTER_FAMILIES, *FEED_FAMILIES)


@pytest.mark.parametrize("family", [n for n, f in FAMILIES.items() if f not in DECLARED])
def test_a_line_of_each_family_is_detected(family, make):
    data = make.file(family, [make.line(family)])
    assert detect(io.BytesIO(data), "access.log").family == ALIKE.get(family, family)


def test_json_that_no_family_writes_is_not_guessed():
    assert detect(io.BytesIO(b'{"time": "now", "status": 200}\n'), "file.log").family is None


SHAPES = {
    b"a;b;c\n1;2;3\n": "delimited text, 3 columns named, delimiter semicolon",
    b"1\t2\t3\n4\t5\t6\n": "delimited text, 3 columns without names, delimiter tab",
    # quotes hold delimiters; a line in ten may be damaged
    b'when,who,what\n1,2,"a,b"\n' * 5 + b"half,a\n":
        "delimited text, 3 columns named, delimiter comma",
    b"#Fields: date time sc-status\n2026-11-16 10:00:00 200\n":
        "delimited text, 3 columns named, delimiter space",
    b'{"a": 1}\n': "JSON objects",
    b'[{"a": 1},\n{"a": 2}]\n': "one JSON document, no object a line",
    b'{\n  "a": 1\n}\n': "one JSON document, no object a line",
    b"[Mon Nov 16 10:00:00 2026] [error] no\n": "other lines of text",
    b"one, two and three\nfour\n": "other lines of text",
    b"a,b\n1,2\n": "other lines of text",
    b"at=1 code=200 ms=3\nat=2 code=200 ms=4\n": "lines of key=value",
    b"[1, 200]\n[2, 200]\n": "JSON arrays",
    b'[{"a": 1}, {"a": 2}]\n': "one JSON document, no object a line",
    b'[\n  {\n    "a": 1\n  }\n]\n': "one JSON document, no object a line",
    b'{\n  "data": [{"a": 1}]\n}\n': "one JSON document, no object a line",
    b"a" * 999: "no line end in 999 bytes",
    b"\n": "no line with text",
}  # fmt: skip


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_what_a_log_of_nobody_is_made_of_is_said(number):
    head, shape = list(SHAPES.items())[number]
    found = detect_head(head, "x.log")
    assert found.family is None
    assert found.shape is not None
    assert found.shape.found == shape
    assert f"none of them ({shape})" in found.detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [('{"at": 1}\n'.encode("utf-16"), "not_a_log: .*UTF-16 text .*iconv"),
     (bytes(range(256)) * 9, "not_a_log: .*lines of text in UTF-8"),
     (gzip.compress(bytes(range(256)) * 9)[:60], "truncated: "),
     (b"PK\x03\x04 and so on\n", "not_a_log: .*a zip archive")],
    ids=["utf-16", "binary", "cut", "zip"],
)  # fmt: skip
def test_what_is_no_text_is_refused_for_that_and_has_no_shape(data, reason):
    with pytest.raises(RefusedError, match=reason):
        detect(io.BytesIO(data), "in/a")


def test_a_few_broken_bytes_do_not_hide_what_a_log_is():
    lines = b'{"time": "now", "status": 200}\n' * 9 + b"\xff\0\n"
    found = detect(io.BytesIO(lines), "in/a")
    assert found.shape is not None
    assert found.shape.found == "JSON objects"


def test_a_log_of_other_line_ends_is_refused_as_such():
    head = b"#Fields: date time sc-status x-edge-location\r2026-11-16\t10:00:00\t200\tFRA\r"
    with pytest.raises(RefusedError) as refused:
        detect(io.BytesIO(head), "x.log")
    assert refused.value.reason == "cr_line_ends"


def test_a_w3c_log_without_an_edge_is_not_taken_for_cloudfronts():
    fields = b"date time s-ip cs-method cs-uri-stem c-ip cs(User-Agent) sc-status time-taken"
    head = b"#Software: IIS\n#Fields: " + fields + b"\n2026-11-16 10:00:00 1 GET / 2 a 200 15\n"
    assert detect_head(head, "u_ex.log").family is None
