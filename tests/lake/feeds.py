"""The source of a family as the tests declare it, and the field maps of a vendor nobody knows.

Belongs here: what a source file would say. Does not: lines (making.py).
"""

from __future__ import annotations

from typing import Any

from lake.source import LandingSpec, Privacy, Source

from .making import ACCESS, BASES

#: the map of a vendor nobody knows: kilobytes, minutes, a zone of its own, an end for a stamp
ODD_MAP: dict[str, Any] = {
    "event_time": {
        "from": "when.done",
        "format": "%d.%m.%Y %H:%M:%S",
        "zone": "Asia/Tehran",
        "stamp": "end",
    },
    "duration_ms": {"from": "took.all", "unit": "min"},
    "ttfb_ms": {"from": 'took."first.byte"', "unit": "min"},
    "status": "code",
    "bytes_out_total": {"sum": ["kilobytes.head", "kilobytes.body"], "unit": "kB"},
    "bytes_out_body": {"from": "kilobytes.body", "unit": "kB"},
    "client_ip": "who.addr",
    "user_agent": "who.agent",
    "url": "what",
    "request_id": "id",
    "cache_status": {"from": "cache", "values": {"warm": "HIT", "cold": "MISS"}},
    "is_viewer": {"from": "relay", "values": {"no": True, "yes": False}},
    "method": {"const": "GET"},
    "extra": ["note"],
}
#: the same of a delimited log of that vendor
FLAT_MAP: dict[str, Any] = {
    **ODD_MAP,
    "event_time": {**ODD_MAP["event_time"], "from": "done"},
    "duration_ms": {"from": "took", "unit": "min"},
    "ttfb_ms": {"from": "first", "unit": "min"},
    "bytes_out_total": {"sum": ["head", "body"], "unit": "kB"},
    "bytes_out_body": {"from": "body", "unit": "kB"},
    "client_ip": "who",
    "host": "host",
    "user_agent": {"const": "Mozilla/5.0 (X11)"},
}


def source_of(family: str, **changes: Any) -> Source:
    given: dict[str, Any] = {
        "name": "feed",
        "description": "a feed of the tests",
        "owner": "team:tests",
        "format": family,
        "landing": LandingSpec(prefix="in/"),
        "customers": {"vod.aurora.example": "aurora"},
        "privacy": Privacy(query_allow=("v", "quality")),
        "log_format": ACCESS.get(family, {}).get("format", ""),
        **({"map": ODD_MAP} if family == "json_map" else {}),
        **(
            {"map": FLAT_MAP, "dialect": {"delimiter": ";", "nulls": ["NULL"]}}
            if family == "delimited_map"
            else {}
        ),
    }
    # the only ones whose files never say their columns
    if family in ("akamai_ds2_structured", "cloudfront_realtime"):
        given["fields"] = tuple(BASES[family].values)
    return Source(**{**given, **changes})
