"""The canonical records and all tables together: every column once, with its meaning and unit.

Belongs here: what a bronze table of requests or events is made of, and which tables there are. Does
not: the parts that tables are declared with (lake/columns, lake/cmcd_columns), the ledger tables
(lake/ops_records), the vendors' own counters (lake/counters), what players and recommendation say
besides (lake/feeds), how a vendor's log becomes a record (lake/formats) or where tables live
(lake/catalog).

Field ids are given by position and must never be reused: append columns, do not insert them.
Source of the record: CTA-5004 (CMCD) for the `cmcd` struct, the vendors' field references for
the rest. Times are UTC, microseconds. Units are in the name or in the comment.
"""

from __future__ import annotations

from pyiceberg.transforms import HourTransform

from lake.cmcd_columns import CMCD_COLUMNS, EXTRA
from lake.columns import (
    BOOL,
    DOUBLE,
    INT,
    LINEAGE,
    LONG,
    MONEY,
    STRING,
    TIME,
    WEIGHT,
    Column,
    Record,
    opt,
    req,
)
from lake.counters import COUNTERS
from lake.feeds import FEEDS
from lake.ops_records import CHECK_RESULTS, DELIVERIES, OPS, REFRESHES, REJECTS, RELEASES

CDN_REQUESTS = Record(
    "bronze",
    "cdn_requests",
    "One row per accepted line of a CDN access log, duplicates included",
    (
        req("event_time", TIME, "START of the request"),
        req(
            "event_time_precision",
            STRING,
            "what the vendor stamped, and how finely: start_us, start_ms, start_s; or end_us, "
            "end_ms, end_s (the end, start = end - duration)",
        ),
        opt("end_time", TIME, "end of the response"),
        *LINEAGE,
        req("cdn", STRING, "vendor or own fleet: cloudfront, akamai, ...; the source may name it"),
        opt("request_id", STRING, "the vendor's request id"),
        opt("pop", STRING, "edge location as the vendor writes it"),
        opt("pop_iata", STRING, "airport code of the edge location"),
        opt("client_ip", STRING, "peer address the CDN saw, truncated to /24 or /48"),
        opt("client_ip_version", INT, "4 or 6"),
        opt("client_port", INT, "peer port"),
        opt("asn", LONG, "autonomous system of the peer: the vendor's, else a geo file's"),
        opt("country", STRING, "ISO 3166 alpha-2, upper case: the vendor's, else a geo file's"),
        opt("region", STRING, "ISO 3166-2 subdivision"),
        opt("host", STRING, "viewer's Host, lower case, without port"),
        opt("scheme", STRING, "http, https, ws, wss"),
        opt("method", STRING, "HTTP method"),
        opt("path_raw", STRING, "path as logged, without query"),
        opt("path", STRING, "path percent-decoded to a fixpoint (at most 3 times)"),
        opt("query_raw", STRING, "query cut to the source's allow-list; CMCD is in cmcd"),
        req("status", INT, "HTTP status; 0 when the viewer got none"),
        opt("bytes_out_total", LONG, "bytes to the viewer with headers"),
        opt("bytes_out_body", LONG, "bytes to the viewer without headers"),
        opt("bytes_in", LONG, "bytes from the viewer"),
        opt("ttfb_ms", DOUBLE, "time to first byte at the edge, ms"),
        opt("duration_ms", DOUBLE, "start to end of the response, ms"),
        req(
            "cache_status",
            STRING,
            "HIT STALE REVALIDATED SHIELD_HIT MISS BYPASS ERROR SYNTH UNKNOWN",
        ),
        opt("cache_status_raw", STRING, "the vendor's value(s)"),
        req("is_edge_hit", BOOL, "HIT, STALE or REVALIDATED"),
        req("is_origin_fetch", BOOL, "MISS, BYPASS or REVALIDATED"),
        req("client_aborted", BOOL, "the viewer went away before the end"),
        opt("http_version", STRING, "as logged, e.g. HTTP/2.0"),
        opt("tls_version", STRING, "as logged, e.g. TLSv1.3"),
        opt("tls_cipher", STRING, "as logged"),
        opt("user_agent", STRING, "percent-decoded once"),
        opt("referer", STRING, "without query"),
        opt("content_type", STRING, "of the response"),
        opt("content_length", LONG, "Content-Length of the response, bytes"),
        opt("range_start", LONG, "first byte of the range"),
        opt("range_end", LONG, "last byte of the range, inclusive"),
        opt("range_raw", STRING, "Range as requested"),
        opt("origin_ip", STRING, "origin address, the customer's own machine: not truncated"),
        opt("origin_status", INT, "HTTP status of the origin; null without an origin request"),
        opt("origin_ttfb_ms", DOUBLE, "origin time to first byte, ms"),
        opt("origin_duration_ms", DOUBLE, "origin request to last byte, ms"),
        opt("error_detail", STRING, "the vendor's error class"),
        req("sample_weight", WEIGHT, "rows this one stands for (100 / sampling per cent)"),
        req("is_viewer", BOOL, "false for midgress, shield, worker and child rows"),
        req("object_type", STRING, "manifest init segment key caption other, by path, then CMCD"),
        req("stream_kind", STRING, "hls, dash or other, by the path"),
        CMCD_COLUMNS[0],
        opt("extra", EXTRA, "what the format carries and the record has no column for"),
        opt(
            "bytes_out_network",
            LONG,
            "bytes including TCP/IP and TLS overhead, where the vendor logs them",
        ),
        *CMCD_COLUMNS[1:],
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "cdn", "ingested_at"),
    counts_repeats=True,
)

REC_EVENTS = Record(
    "bronze",
    "rec_events",
    "One row per accepted recommendation event, duplicates included",
    (
        req("event_time", TIME, "when the event happened on the client"),
        *LINEAGE,
        req("event_id", STRING, "identity of the event, from the producer"),
        req(
            "event_type",
            STRING,
            "impression click play like share follow unfollow comment dislike gift enter_room "
            "exit_room room_start room_end",
        ),
        opt("request_id", STRING, "recommendation request that showed the item"),
        opt("user_key", STRING, "HMAC-SHA256 of the user id under key_epoch, hex"),
        opt("session_id", STRING, "client session"),
        req("item_id", STRING, "video or live room"),
        opt("creator_id", STRING, "owner of the item"),
        opt("position", INT, "rank in the list, from 1"),
        opt("scene", STRING, "feed, search or related"),
        opt("experiment_id", STRING, "experiment the request ran under"),
        opt("variant", STRING, "arm of the experiment"),
        opt("model_version", STRING, "ranking model"),
        opt("propensity", DOUBLE, "probability the policy gave to showing this item here"),
        opt("is_random", BOOL, "exposure drawn at random"),
        opt("watch_ms", LONG, "time watched, ms; plays only"),
        opt("item_duration_ms", LONG, "length of the item, ms"),
        opt("country", STRING, "ISO 3166 alpha-2"),
        opt("device", STRING, "device class"),
        opt("extra", EXTRA, "keys of the event that the record has no column for"),
        opt("gift_count", INT, "gifts given in this event; gifts only"),
        opt("gift_price", MONEY, "price of one of them, in currency"),
        opt("currency", STRING, "ISO 4217, of gift_price"),
        opt("stay_ms", LONG, "time spent in the room, ms; exit_room only"),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "event_type", "ingested_at"),
)

#: what came in as it happened; an hour of it makes marts stale (lake.versions.FAMILY_OF)
BRONZE = (CDN_REQUESTS, REC_EVENTS)
#: everything that deliveries go to
LANDED = (*BRONZE, *FEEDS, *COUNTERS)
RECORDS = {r.identifier: r for r in (*LANDED, *OPS)}

__all__ = [
    "BRONZE",
    "CDN_REQUESTS",
    "CHECK_RESULTS",
    "COUNTERS",
    "DELIVERIES",
    "FEEDS",
    "INT",
    "LANDED",
    "LONG",
    "OPS",
    "RECORDS",
    "REC_EVENTS",
    "REFRESHES",
    "REJECTS",
    "RELEASES",
    "TIME",
    "Column",
    "Record",
    "opt",
    "req",
]
