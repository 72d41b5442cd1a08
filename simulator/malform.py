"""Lines that no parser should accept, made from good ones.

Belongs here: one function per kind and format. Does not belong here: which files get them.
Every line made here carries a fresh row id, so that a reader that lets it through shows an extra
row instead of a duplicate that disappears.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta

from simulator.cloudfront import FIELDS as STANDARD
from simulator.cloudfront_realtime import FIELDS as REALTIME

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
_THREE_YEARS = timedelta(days=1095)
_THREE_YEARS_S = int(_THREE_YEARS.total_seconds())
#: feed of tab-separated lines -> where its request id, bytes and user agent are
_TSV = {
    "cloudfront": [STANDARD.index(n) for n in ("x-edge-request-id", "sc-bytes", "cs(User-Agent)")],
    "cloudfront_realtime": [
        REALTIME.index(n) for n in ("x-edge-request-id", "sc-bytes", "cs-user-agent")
    ],
}
_STAMP_MS = re.compile(rb'("timestamp\(ms\)":)"(\d+)"')
_REQUEST_ID = re.compile(rb'("x-edge-request-id":")[^"]*')
_EDGE_TIME = re.compile(rb'("Edge(?:Start|End)Timestamp":)(\d+)')
_EVENT_TIME = re.compile(rb'("event_ts_ms":)(\d+)')
_RAY = re.compile(rb'("RayID":")[0-9a-f]{16}')
_FASTLY_TIME = re.compile(rb'("time_start":")(\d{4})[^"]*')
_FASTLY_ID = re.compile(rb'("request_id":")[0-9a-f]{16}')
_EVENT_ID = re.compile(rb'("event_id":")[0-9a-f]{32}')
#: access logs: what a line says is its identity, so that a broken line is another one
_ACCESS = ("nginx", "apache", "varnishncsa", "squid")
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
    if feed in _TSV:
        return _malform_tsv(feed, kind, fresh)
    if kind == "ragged":
        return fresh + with_fresh_id(feed, line, f"{salt}+")
    return _malform_fastly(kind, fresh) if feed == "fastly" else _malform_json(feed, kind, fresh)


def with_fresh_id(feed: str, line: bytes, salt: str) -> bytes:
    """Replace the row id of a good line by one that no other line has."""
    digest = hashlib.sha256(salt.encode()).hexdigest().encode()
    if feed in _TSV:
        columns = line.split(b"\t")
        columns[_TSV[feed][0]] = digest[:54] + b"=="
        return b"\t".join(columns)
    if feed == "cloudfront_v2":
        return _REQUEST_ID.sub(rb"\g<1>" + digest[:54] + b"==", line, count=1)
    if feed == "cloudflare":
        # Only the row's own id: ParentRayID ends in the same letters but not in the same key.
        return _RAY.sub(rb"\g<1>" + digest[:16], line, count=1)
    if feed == "fastly":
        return _FASTLY_ID.sub(rb"\g<1>" + digest[:16], line, count=1)
    return _EVENT_ID.sub(rb"\g<1>" + digest[:32], line, count=1)


def break_type(feed: str, line: bytes) -> bytes:
    """Put letters where the feed has a number, and leave the row id as it is."""
    if feed in _TSV:
        return _malform_tsv(feed, "wrong_type", line)
    return _malform_json(feed, "wrong_type", line)


def _malform_tsv(feed: str, kind: str, line: bytes) -> bytes:
    """Break a tab-separated CloudFront line."""
    _, sent, agent = _TSV[feed]
    columns = line.split(b"\t")
    if kind == "truncated_line":
        return b"\t".join(columns[:11])[:-3]
    if kind == "ragged":
        return line + b"\t-\t-"
    if kind == "bad_utf8":
        columns[agent] += b"\xff"
    elif kind == "wrong_type":
        columns[sent] = b"abc"
    elif kind == "bad_time":
        columns[0] = b"2026-13-45"
    elif kind == "outside_period" and feed == "cloudfront_realtime":
        columns[0] = f"{float(columns[0]) - _THREE_YEARS_S:.3f}".encode()
    elif kind == "outside_period":
        earlier = date.fromisoformat(columns[0].decode()) - _THREE_YEARS
        columns[0] = earlier.isoformat().encode()
    else:
        raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")
    return b"\t".join(columns)


def _malform_fastly(kind: str, line: bytes) -> bytes:
    """Break a Fastly line, whose values are all text."""
    if kind == "truncated_line":
        return line[: len(line) * 3 // 5]
    if kind == "bad_utf8":
        marker = b'"request_user_agent":"'
        return line.replace(marker, marker + b"\xff", 1)
    if kind == "wrong_type":
        return re.sub(rb'("status":")\d+', rb"\g<1>abc", line, count=1)
    if kind == "bad_time":
        return _FASTLY_TIME.sub(rb"\g<1>yesterday", line)
    if kind == "outside_period":
        return _FASTLY_TIME.sub(
            lambda found: found[0].replace(found[2], b"%d" % (int(found[2]) - 3), 1), line
        )
    raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")


def _malform_json(feed: str, kind: str, line: bytes) -> bytes:
    """Break a JSON line."""
    if feed == "cloudfront_v2":
        return _malform_v2(kind, line)
    is_event = feed == "rec_events"
    time = _EVENT_TIME if is_event else _EDGE_TIME
    if kind == "truncated_line":
        return line[: len(line) * 3 // 5]
    if kind == "bad_utf8":
        marker = b'"device":"' if is_event else b'"ClientRequestUserAgent":"'
        return line.replace(marker, marker + b"\xff", 1)
    if kind == "wrong_type":
        field = b"item_duration_ms" if is_event else b"EdgeResponseBytes"
        return re.sub(rb'("%s":)\d+' % field, rb'\g<1>"abc"', line, count=1)
    if kind == "bad_time":
        return time.sub(rb'\g<1>"yesterday"', line)
    if kind == "outside_period":
        shift = _THREE_YEARS_S * (1_000 if is_event else 1_000_000_000)
        return time.sub(lambda found: found[1] + str(int(found[2]) - shift).encode(), line)
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
    return b"%.3f" % (float(found[0]) - _THREE_YEARS_S)


def _malform_v2(kind: str, line: bytes) -> bytes:
    """Break a line of CloudFront's JSON, whose values are all text."""
    if kind == "truncated_line":
        return line[: len(line) * 3 // 5]
    if kind == "bad_utf8":
        return line.replace(b'"cs(User-Agent)":"', b'"cs(User-Agent)":"\xff', 1)
    if kind == "wrong_type":
        return re.sub(rb'("sc-bytes":)"\d+"', rb'\g<1>"abc"', line, count=1)
    if kind == "bad_time":
        return _STAMP_MS.sub(rb'\g<1>"yesterday"', line)
    if kind == "outside_period":
        shift = _THREE_YEARS_S * 1_000
        return _STAMP_MS.sub(lambda f: f[1] + f'"{int(f[2]) - shift}"'.encode(), line)
    raise ValueError(f"kind: expected one of {KINDS}, found {kind!r}")
