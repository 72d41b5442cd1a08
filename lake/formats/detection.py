"""Telling a file's format by its first lines, where no source declares it."""

from __future__ import annotations

from typing import BinaryIO

from lake.formats.akamai import AkamaiDataStream2
from lake.formats.azure import AzureFrontDoor
from lake.formats.cloudflare import CloudflareLogpush
from lake.formats.cloudfront import CloudFrontV1
from lake.formats.gcp import GoogleCdn
from lake.formats.rec_events import RecEvents
from lake.unpacked import first_bytes

_HEAD_BYTES = 1 << 18
_HEAD_LINES = 50
_TELLING_KEYS = {
    CloudflareLogpush.name: (b"EdgeStartTimestamp", b"EdgeResponseStatus"),
    AkamaiDataStream2.name: (b"reqTimeSec", b"statusCode"),
    GoogleCdn.name: (b"httpRequest", b"requestUrl", b"timestamp"),
    AzureFrontDoor.name: (b"time", b"properties", b"requestUri", b"httpStatusCode"),
    RecEvents.name: (b"event_id", b"event_type", b"event_ts_ms"),
}


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
