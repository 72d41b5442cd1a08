"""Telling a file's format by its first lines, where no source declares it."""

from __future__ import annotations

from typing import BinaryIO

from lake.formats.cloudflare import CloudflareLogpush
from lake.formats.cloudfront import CloudFrontV1
from lake.formats.cloudfront_v2 import CloudFrontV2
from lake.formats.rec_events import RecEvents
from lake.parquet_rows import column_names
from lake.unpacked import first_bytes

_HEAD_BYTES = 1 << 18
_HEAD_LINES = 50
_TELLING_KEYS = {
    CloudflareLogpush.name: (b"EdgeStartTimestamp", b"EdgeResponseStatus"),
    CloudFrontV2.name: (b"x-edge-location", b"sc-status"),
    RecEvents.name: (b"event_id", b"event_type", b"event_ts_ms"),
}
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
    return None
