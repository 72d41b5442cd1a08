"""Telling a file's format by its first lines, where no source declares it."""

from __future__ import annotations

import re
from typing import BinaryIO

from lake.formats.akamai import AkamaiDataStream2
from lake.formats.apache import Apache, Varnish
from lake.formats.azure import AzureFrontDoor
from lake.formats.cloudflare import CloudflareLogpush
from lake.formats.cloudfront import CloudFrontV1
from lake.formats.cloudfront_v2 import CloudFrontV2
from lake.formats.gcp import GoogleCdn
from lake.formats.nginx import Nginx
from lake.formats.rec_events import RecEvents
from lake.formats.squid import Squid
from lake.parquet_rows import column_names
from lake.unpacked import first_bytes

_HEAD_BYTES = 1 << 18
_HEAD_LINES = 50
_TELLING_KEYS = {
    CloudflareLogpush.name: (b"EdgeStartTimestamp", b"EdgeResponseStatus"),
    CloudFrontV2.name: (b"x-edge-location", b"sc-status"),
    AkamaiDataStream2.name: (b"reqTimeSec", b"statusCode"),
    GoogleCdn.name: (b"httpRequest", b"requestUrl", b"timestamp"),
    AzureFrontDoor.name: (b"time", b"properties", b"requestUri", b"httpStatusCode"),
    RecEvents.name: (b"event_id", b"event_type", b"event_ts_ms"),
}
_COMBINED = re.compile(
    rb"\S+ (?:\S+ ){1,2}.{1,64}? ?\[\d\d/[A-Z][a-z][a-z]/\d{4}(?::\d\d){3} [+-]\d{4}\] \""
    rb"(?P<absolute>[A-Z]+ https?://)?"
)
_SQUID = re.compile(rb"\d{9,10}\.\d{3} +\d+ \S+ [A-Z_]+/\d{3} \d+ ")
_NAMED_SERVER = re.compile(rb"[A-Za-z0-9.-]+:\d{1,5} \S+ \S+ ")
_TELLING_COLUMNS = {
    CloudFrontV2.name: ("x_edge_location", "sc_status"),
    RecEvents.name: ("event_id", "event_type", "event_ts_ms"),
}


def detect_parquet(stream: BinaryIO) -> str | None:
    """Return the family whose telling keys a Parquet object has as columns, None when none has.

    Raises RefusedError for an object that cannot be opened.
    """
    columns = set(column_names(stream))
    for family, keys in _TELLING_COLUMNS.items():
        if columns.issuperset(keys):
            return family
    return None


def detect(stream: BinaryIO, name: str) -> str | None:
    """Return the family that the first lines look like, None when none does.

    Raises RefusedError for an object that cannot be read at all.
    """
    head = first_bytes(stream, name, _HEAD_BYTES)
    for line in head.split(b"\n")[:_HEAD_LINES]:
        if line.startswith((b"#Version:", b"#Fields:")):
            return CloudFrontV1.name
        for family, keys in _TELLING_KEYS.items():
            if all(b'"' + key + b'"' in line for key in keys):
                return family
        if access := _access_log(line):
            return access
    return None


def _access_log(line: bytes) -> str | None:
    """Return the server whose access log a line looks like.

    Combined is the same in nginx and Apache. What only Apache writes (a quote behind a backslash,
    the server's name in front) tells it; the rest is taken for nginx. With whole seconds and no
    duration the instant is the same: the one calls it the end, the other the start.
    """
    if _SQUID.match(line):
        return Squid.name
    found = _COMBINED.match(line)
    if found is None:
        return None
    if found["absolute"]:
        return Varnish.name
    is_apache = b'\\"' in line or _NAMED_SERVER.match(line)
    return Apache.name if is_apache else Nginx.name
