"""Lines that no parser should accept, made from good ones.

Belongs here: one function per kind and format. Does not belong here: which files get them.
Every line made here carries a fresh row id, so that a reader that lets it through shows an extra
row instead of a duplicate that disappears.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from simulator import akamai
from simulator.cloudfront import FIELDS as STANDARD
from simulator.cloudfront_realtime import FIELDS as REALTIME
from simulator.delimited import COLUMNS as DELIMITED

KINDS = (
    "truncated_line",
    "bad_utf8",
    "garbage",
    "wrong_type",
    "bad_time",
    "ragged",
    "outside_period",
)
_GARBAGE = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
_YEARS = 3
_SHIFT = timedelta(days=_YEARS * 365)
_SHIFT_S = int(_SHIFT.total_seconds())


def _earlier_by(seconds: int) -> Callable[[bytes], bytes]:
    """Return what takes a number from a time stamp, quoted or not, and leaves the rest of it."""
    return lambda value: re.sub(rb"\d+", lambda n: b"%d" % (int(n[0]) - seconds), value, count=1)


def _earlier_year(value: bytes) -> bytes:
    return re.sub(rb"\d{4}", lambda year: b"%d" % (int(year[0]) - _YEARS), value, count=1)


def _earlier_date(value: bytes) -> bytes:
    return (date.fromisoformat(value.decode()) - _SHIFT).isoformat().encode()


@dataclass(frozen=True)
class _Json:
    """Where an object has what gets broken: a pattern is a key (group 1) and its value (group 2).

    earlier: takes a time three years back. agent: the key of a free text.
    """

    row_id: re.Pattern[bytes]
    time: re.Pattern[bytes]
    number: re.Pattern[bytes]
    agent: bytes
    earlier: Callable[[bytes], bytes]


@dataclass(frozen=True)
class _Columns:
    """Which columns of a line of columns get broken."""

    row_id: int
    time: int
    number: int
    agent: int
    earlier: Callable[[bytes], bytes]
    id_tail: bytes = b""
    id_digits: int = 8
    delimiter: bytes = b"\t"


_RFC_3339 = rb':)("[^"]*")'
_JSON = {
    "cloudflare": _Json(
        # only the row's own id: ParentRayID ends in the same letters but not in the same key
        re.compile(rb'("RayID":")([0-9a-f]{16})'),
        re.compile(rb'("Edge(?:Start|End)Timestamp":)(\d+)'),
        re.compile(rb'("EdgeResponseBytes":)(\d+)'),
        b'"ClientRequestUserAgent":"',
        _earlier_by(_SHIFT_S * 1_000_000_000),
    ),
    "akamai": _Json(
        re.compile(rb'("reqId":")([0-9a-f]{1,8})'),
        re.compile(rb'("reqTimeSec":)("[0-9.]+")'),
        re.compile(rb'("bytes":)("\d+")'),
        b'"UA":"',
        _earlier_by(_SHIFT_S),
    ),
    "fastly": _Json(
        re.compile(rb'("request_id":")([0-9a-f]{16})'),
        re.compile(rb'("time_start"' + _RFC_3339),
        re.compile(rb'("status":)("\d+")'),
        b'"request_user_agent":"',
        _earlier_year,
    ),
    "gcp": _Json(
        re.compile(rb'("insertId":")([0-9a-f]{16})'),
        re.compile(rb'("timestamp"' + _RFC_3339),
        re.compile(rb'("requestSize":)("\d+")'),
        b'"userAgent":"',
        _earlier_year,
    ),
    "azure": _Json(
        re.compile(rb'("trackingReference":"0)([0-9a-f]{32})'),
        re.compile(rb'("time"' + _RFC_3339),
        re.compile(rb'("responseBytes":)("\d+")'),
        b'"userAgent":"',
        _earlier_year,
    ),
    "cloudfront_v2": _Json(
        re.compile(rb'("x-edge-request-id":")([^"]*)'),
        re.compile(rb'("timestamp\(ms\)":)("\d+")'),
        re.compile(rb'("sc-bytes":)("\d+")'),
        b'"cs(User-Agent)":"',
        _earlier_by(_SHIFT_S * 1_000),
    ),
    "rec_events": _Json(
        re.compile(rb'("event_id":")([0-9a-f]{32})'),
        re.compile(rb'("event_ts_ms":)(\d+)'),
        re.compile(rb'("item_duration_ms":)(\d+)'),
        b'"device":"',
        _earlier_by(_SHIFT_S * 1_000),
    ),
}
_COLUMNS = {
    "cloudfront": _Columns(
        STANDARD.index("x-edge-request-id"),
        STANDARD.index("date"),
        STANDARD.index("sc-bytes"),
        STANDARD.index("cs(User-Agent)"),
        _earlier_date,
        b"==",
        54,
    ),
    "cloudfront_realtime": _Columns(
        REALTIME.index("x-edge-request-id"),
        REALTIME.index("timestamp"),
        REALTIME.index("sc-bytes"),
        REALTIME.index("cs-user-agent"),
        _earlier_by(_SHIFT_S),
        b"==",
        54,
    ),
    "akamai_structured": _Columns(
        akamai.FIELDS.index("reqId"),
        akamai.FIELDS.index("reqTimeSec"),
        akamai.FIELDS.index("bytes"),
        akamai.FIELDS.index("UA"),
        _earlier_by(_SHIFT_S),
    ),
    "delimited": _Columns(
        DELIMITED.index("id"),
        DELIMITED.index("ended"),
        DELIMITED.index("code"),
        DELIMITED.index("agent"),
        _earlier_year,
        id_digits=16,
        delimiter=b";",
    ),
}
#: access logs: what a line says is its identity, so that a broken line is another one
_ACCESS = ("nginx", "apache", "varnishncsa", "squid", "ats_squid")
_ACCESS_STATUS = re.compile(rb'(" |[A-Z]/)\d{3} ')
_ACCESS_STAMP = re.compile(rb"\[[^\]]*\]|(?<![\d.])1\d{9}\.\d{3}(?=  *)")
_YEAR = re.compile(rb"(?<=/)(\d{4})(?=:\d\d:\d\d:\d\d )")


def malform(feed: str, kind: str, line: bytes, salt: str) -> bytes:
    """Return an extra line of the given kind, made from a good line of the feed."""
    if kind == "garbage":
        return _GARBAGE
    if feed in _ACCESS:
        return _malform_access(kind, line)
    fresh = with_fresh_id(feed, line, salt)
    if feed in _COLUMNS:
        return _malform_columns(_COLUMNS[feed], kind, fresh)
    if kind == "ragged":
        return fresh + with_fresh_id(feed, line, f"{salt}+")
    return _malform_json(_JSON[feed], kind, fresh)


def with_fresh_id(feed: str, line: bytes, salt: str) -> bytes:
    """Replace the row id of a good line by one that no other line has."""
    digest = hashlib.sha256(salt.encode()).hexdigest().encode()
    if feed in _COLUMNS:
        where = _COLUMNS[feed]
        columns = line.split(where.delimiter)
        columns[where.row_id] = digest[: where.id_digits] + where.id_tail
        return where.delimiter.join(columns)
    return _JSON[feed].row_id.sub(lambda at: at[1] + digest[: len(at[2])], line, count=1)


def break_type(feed: str, line: bytes) -> bytes:
    """Put letters where the feed has a number, and leave the row id as it is."""
    if feed in _COLUMNS:
        return _malform_columns(_COLUMNS[feed], "wrong_type", line)
    return _malform_json(_JSON[feed], "wrong_type", line)


def _malform_columns(where: _Columns, kind: str, line: bytes) -> bytes:
    """Break a line of columns."""
    columns = line.split(where.delimiter)
    if kind == "truncated_line":
        return where.delimiter.join(columns[:11])[:-3]
    if kind == "ragged":
        return where.delimiter.join((line, b"-", b"-"))
    if kind == "bad_utf8":
        columns[where.agent] += b"\xff"
    elif kind == "wrong_type":
        columns[where.number] = b"abc"
    elif kind == "bad_time":
        columns[where.time] = b"2026-13-45"
    elif kind == "outside_period":
        columns[where.time] = where.earlier(columns[where.time])
    else:
        raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")
    return where.delimiter.join(columns)


def _malform_json(where: _Json, kind: str, line: bytes) -> bytes:
    """Break a JSON line."""
    if kind == "truncated_line":
        return line[: len(line) * 3 // 5]
    if kind == "bad_utf8":
        return line.replace(where.agent, where.agent + b"\xff", 1)
    if kind == "wrong_type":
        return where.number.sub(rb'\g<1>"abc"', line, count=1)
    if kind == "bad_time":
        return where.time.sub(rb'\g<1>"yesterday"', line)
    if kind == "outside_period":
        return where.time.sub(lambda found: found[1] + where.earlier(found[2]), line)
    raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")


def _malform_access(kind: str, line: bytes) -> bytes:
    """Break a line of an access log."""
    if kind == "truncated_line":
        return line[: len(line) * 2 // 5]
    if kind == "ragged":
        return line + b" and more"
    if kind == "bad_utf8":
        return line[:-1] + b"\xff" + line[-1:]
    if kind == "wrong_type":
        return _ACCESS_STATUS.sub(rb"\g<1>abc ", line, count=1)
    if kind == "bad_time":
        return _ACCESS_STAMP.sub(
            lambda found: b"[never ever]" if found[0].startswith(b"[") else b"never", line
        )
    if kind == "outside_period":
        return _ACCESS_STAMP.sub(_three_years_before, line)
    raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")


def _three_years_before(found: re.Match[bytes]) -> bytes:
    if found[0].startswith(b"["):
        return _YEAR.sub(lambda year: b"%d" % (int(year[1]) - 3), found[0])
    return b"%.3f" % (float(found[0]) - _SHIFT_S)
