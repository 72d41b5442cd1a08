"""What the first lines of a file say of its format."""

from __future__ import annotations

import io

import pytest

from lake.formats import COUNTER_FAMILIES, FAMILIES, FEED_FAMILIES
from lake.formats.detection import detect

STAMP = b"[16/Nov/2026:10:00:05 +0000]"
TAIL = b'" 200 14 "-" "A"'
FIRST = b"192.0.2.7 - - " + STAMP + b' "GET '
SQUID = b"1794823205.373    250 192.0.2.7 TCP_HIT/200 15 GET http://a/ - HIER_NONE/- -"
LINES = {
    "combined": (FIRST + b"/ HTTP/1.1" + TAIL, "nginx"),
    "a user with a blank": (b"192.0.2.7 - a b " + STAMP + b' "GET / HTTP/1.1' + TAIL, "nginx"),
    "an escaped quote": (FIRST + b'/\\" HTTP/1.1' + TAIL, "apache"),
    "a named server": (b"a.example:80 " + FIRST + b"/ HTTP/1.1" + TAIL, "apache"),
    "an absolute URI": (FIRST + b'http://a/ HTTP/1.1' + TAIL, "varnishncsa"),
    "Squid": (SQUID, "squid"),
    "prose": (b"16/Nov/2026 Service Unavailable", None),
    "a date of another kind": (b'192.0.2.7 - - [2026-11-16 10:00:05] "GET / HTTP/1.1" 200', None),
}  # fmt: skip


@pytest.mark.parametrize("what", LINES)
def test_an_access_log_is_told_by_its_lines(what):
    line, family = LINES[what]
    assert detect(io.BytesIO(line + b"\n"), "access.log") == family


#: what writes the same lines as another, or says nothing of its columns, and must be declared
ALIKE = {
    "apache": "nginx", "ats_squid": "squid", "akamai_ds2_structured": None,
    "cloudfront_realtime": None,
}  # fmt: skip


#: what nobody meets without knowing what it is
DECLARED = (*COUNTER_FAMILIES, *FEED_FAMILIES)


@pytest.mark.parametrize("family", [n for n, f in FAMILIES.items() if f not in DECLARED])
def test_a_line_of_each_family_is_detected(family, make):
    data = make.file(family, [make.line(family)])
    assert detect(io.BytesIO(data), "access.log") == ALIKE.get(family, family)


def test_json_that_no_family_writes_is_not_guessed():
    assert detect(io.BytesIO(b'{"time": "now", "status": 200}\n'), "file.log") is None
