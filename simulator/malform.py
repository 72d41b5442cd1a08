"""Lines that no parser should accept, made from good ones.

Belongs here: one function per kind and format. Does not belong here: which files get them.
Every line made here carries a fresh row id, so that a reader that lets it through shows an extra
row instead of a duplicate that disappears.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta

from simulator.cloudfront import REQUEST_ID_COLUMN

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
_SC_BYTES, _USER_AGENT = 3, 10
_EDGE_TIME = re.compile(rb'("Edge(?:Start|End)Timestamp":)(\d+)')
_EVENT_TIME = re.compile(rb'("event_ts_ms":)(\d+)')
_RAY = re.compile(rb'("RayID":")[0-9a-f]{16}')
_FASTLY_TIME = re.compile(rb'("time_start":")(\d{4})[^"]*')
_FASTLY_ID = re.compile(rb'("request_id":")[0-9a-f]{16}')
_EVENT_ID = re.compile(rb'("event_id":")[0-9a-f]{32}')


def malform(feed: str, kind: str, line: bytes, salt: str) -> bytes:
    """Return an extra line of the given kind, made from a good line of the feed."""
    if kind == "garbage":
        return _GARBAGE
    fresh = with_fresh_id(feed, line, salt)
    if feed == "cloudfront":
        return _malform_tsv(kind, fresh)
    if kind == "ragged":
        return fresh + with_fresh_id(feed, line, f"{salt}+")
    return _malform_fastly(kind, fresh) if feed == "fastly" else _malform_json(feed, kind, fresh)


def with_fresh_id(feed: str, line: bytes, salt: str) -> bytes:
    """Replace the row id of a good line by one that no other line has."""
    digest = hashlib.sha256(salt.encode()).hexdigest().encode()
    if feed == "cloudfront":
        columns = line.split(b"\t")
        columns[REQUEST_ID_COLUMN] = digest[:54] + b"=="
        return b"\t".join(columns)
    if feed == "cloudflare":
        # Only the row's own id: ParentRayID ends in the same letters but not in the same key.
        return _RAY.sub(rb"\g<1>" + digest[:16], line, count=1)
    if feed == "fastly":
        return _FASTLY_ID.sub(rb"\g<1>" + digest[:16], line, count=1)
    return _EVENT_ID.sub(rb"\g<1>" + digest[:32], line, count=1)


def break_type(feed: str, line: bytes) -> bytes:
    """Put letters where the feed has a number, and leave the row id as it is."""
    if feed == "cloudfront":
        return _malform_tsv("wrong_type", line)
    return _malform_json(feed, "wrong_type", line)


def _malform_tsv(kind: str, line: bytes) -> bytes:
    """Break a CloudFront line."""
    columns = line.split(b"\t")
    if kind == "truncated_line":
        return b"\t".join(columns[:11])[:-3]
    if kind == "ragged":
        return line + b"\t-\t-"
    if kind == "bad_utf8":
        columns[_USER_AGENT] += b"\xff"
    elif kind == "wrong_type":
        columns[_SC_BYTES] = b"abc"
    elif kind == "bad_time":
        columns[0] = b"2026-13-45"
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
