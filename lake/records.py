"""The canonical records and the ledger tables: every column once, with its meaning and unit.

Belongs here: what a bronze or ops table is made of. Does not: how a vendor's log becomes one
(lake/formats) or where tables live (lake/catalog).

Field ids are given by position and must never be reused: append columns, do not insert them.
Source of the record: CTA-5004 (CMCD) for the `cmcd` struct, the vendors' field references for
the rest. Times are UTC, microseconds. Units are in the name or in the comment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.transforms import DayTransform, HourTransform, Transform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from lake.arrow_schema import arrow_schema

STRING, LONG, INT = StringType(), LongType(), IntegerType()
DOUBLE, BOOL, TIME, BINARY = DoubleType(), BooleanType(), TimestamptzType(), BinaryType()
WEIGHT = DecimalType(18, 6)

_NESTED_ID = 1000  # nested fields count from here, so that columns keep ids equal to positions


@dataclass(frozen=True)
class Column:
    """One column: its Iceberg type, what it means, and whether it may be null."""

    name: str
    type: IcebergType
    doc: str
    required: bool = False


def req(name: str, type_: IcebergType, doc: str) -> Column:
    """Return a column that is never null."""
    return Column(name, type_, doc, required=True)


def opt(name: str, type_: IcebergType, doc: str) -> Column:
    """Return a column that may be null."""
    return Column(name, type_, doc)


@dataclass(frozen=True)
class Record:
    """A table of the lake: its name, columns, partition column and transform."""

    namespace: str
    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: str | None = None
    transform: Transform[Any, Any] | None = None
    #: columns whose values may appear in file statistics: never an address, a user or a path
    stats: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        """Return `namespace.name`, as the catalog and SQL know it."""
        return f"{self.namespace}.{self.name}"

    @cached_property
    def schema(self) -> Schema:
        """Return the Iceberg schema; field ids are positions from 1, as the catalog gives them."""
        return assign_fresh_schema_ids(
            Schema(
                *(
                    NestedField(i, c.name, c.type, required=c.required, doc=c.doc)
                    for i, c in enumerate(self.columns, 1)
                )
            )
        )

    @cached_property
    def arrow(self) -> pa.Schema:
        """Return the Arrow schema that data files are written with (field ids in metadata)."""
        return arrow_schema(self.schema)

    @property
    def spec(self) -> PartitionSpec:
        """Return the partition spec; unpartitioned when no column is named."""
        if self.partition_by is None or self.transform is None:
            return PartitionSpec()
        source = self.schema.find_field(self.partition_by)
        return PartitionSpec(
            PartitionField(source.field_id, 1000, self.transform, f"{self.partition_by}_part")
        )

    @property
    def properties(self) -> dict[str, str]:
        """Return the table properties that exactly-once commits and privacy rest on."""
        kept = {f"write.metadata.metrics.column.{c}": "full" for c in self.stats}
        return {
            "format-version": "2",
            # the built-in retry doubles rows under a ledger; lake.commit refreshes and re-checks
            "commit.retry.num-retries": "0",
            "commit.manifest-merge.enabled": "true",
            "commit.manifest.min-count-to-merge": "20",
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "50",
            "write.metadata.metrics.default": "none",
            "comment": self.doc,
            **kept,
        }


def _struct(start: int, *fields: tuple[str, IcebergType, str]) -> StructType:
    return StructType(
        *(NestedField(start + i, n, t, required=False, doc=d) for i, (n, t, d) in enumerate(fields))
    )


#: CMCD version 1 (CTA-5004) by its wire keys; `nor`/`nrr` are left out: they may carry tokens
CMCD = _struct(
    _NESTED_ID,
    ("br", DOUBLE, "encoded bitrate, kbps"),
    ("bl", LONG, "buffer length, ms"),
    ("bs", BOOL, "buffer starvation since the previous request"),
    ("cid", STRING, "content id"),
    ("d", LONG, "object duration, ms"),
    ("dl", LONG, "deadline, ms"),
    ("mtp", LONG, "measured throughput, kbps"),
    ("ot", STRING, "object type: m a v av i c tt k o"),
    ("pr", DOUBLE, "playback rate, 1 when absent"),
    ("rtp", LONG, "requested maximum throughput, kbps"),
    ("sf", STRING, "streaming format: d h s o"),
    ("sid", STRING, "session id"),
    ("st", STRING, "stream type: v (VOD) or l (live)"),
    ("su", BOOL, "start-up, seek or rebuffer recovery"),
    ("tb", DOUBLE, "top bitrate, kbps"),
    ("v", LONG, "CMCD version, 1 when absent"),
)
_EXTRA = MapType(_NESTED_ID + 50, STRING, _NESTED_ID + 51, STRING, value_required=False)

#: design.md: what every row carries so that it can be replaced, deduplicated and traced
LINEAGE = (
    req("source", STRING, "feed the row came from (name of its source file)"),
    req("delivery_id", STRING, "object version: hash of source, key and etag"),
    req("source_line", LONG, "physical line in the decompressed object, from 1"),
    req("row_key", BINARY, "identity for deduplication (16 bytes, before truncation and HMAC)"),
    opt("producer", STRING, "who wrote the line: distribution, zone or event producer"),
    opt("producer_seq", LONG, "the producer's own sequence number, where it gives one"),
    opt("customer", STRING, "tenant, by the source's host or field mapping"),
    req("parser_version", STRING, "family and version of the parser, e.g. cloudfront_v1/1"),
    opt("key_epoch", STRING, "epoch of the HMAC key in force at event_time; null: nothing HMAC-ed"),
    opt("parent_hop", STRING, "request id of the hop that caused this one; null for viewers"),
    req("ingested_at", TIME, "instant of the ingest that wrote the row (by the passed-in clock)"),
)

CDN_REQUESTS = Record(
    "bronze",
    "cdn_requests",
    "One row per accepted line of a CDN access log, duplicates included",
    (
        req("event_time", TIME, "START of the request"),
        req(
            "event_time_precision",
            STRING,
            "what the vendor stamped: start_us, start_ms, start_s, or end_s (end in whole "
            "seconds, start = end - duration)",
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
        opt("asn", LONG, "autonomous system of the peer, as the vendor gives it"),
        opt("country", STRING, "ISO 3166 alpha-2, upper case, as the vendor gives it"),
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
        req("object_type", STRING, "manifest init segment key caption other, by the path"),
        req("stream_kind", STRING, "hls, dash or other, by the path"),
        opt("cmcd", CMCD, "CMCD v1 from query or header, by wire keys"),
        opt("extra", _EXTRA, "what the format carries and the record has no column for"),
        opt(
            "bytes_out_network",
            LONG,
            "bytes including TCP/IP and TLS overhead, where the vendor logs them",
        ),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "cdn", "ingested_at"),
)

REC_EVENTS = Record(
    "bronze",
    "rec_events",
    "One row per accepted recommendation event, duplicates included",
    (
        req("event_time", TIME, "when the event happened on the client"),
        *LINEAGE,
        req("event_id", STRING, "identity of the event, from the producer"),
        req("event_type", STRING, "impression, click, play or like"),
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
        opt("extra", _EXTRA, "keys of the event that the record has no column for"),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "event_type", "ingested_at"),
)

REJECTS = Record(
    "ops",
    "rejects",
    "One row per line that was not accepted; the raw bytes stay in landing",
    (
        req("delivery_id", STRING, "object version the line is in"),
        req("source", STRING, "feed"),
        req("key", STRING, "name of the object in landing"),
        req("line", LONG, "physical line, from 1"),
        req("byte_offset", LONG, "offset of the line in the decompressed object"),
        req("byte_length", LONG, "length of the line, bytes, without the line end"),
        req("raw_sha256", STRING, "hash of the line's bytes, hex"),
        req("reason", STRING, "why: invalid_json, ragged, wrong_type, ..."),
        req("excerpt", STRING, "shape of the first characters: letters x, digits 9"),
        req("parser_version", STRING, "parser that judged it"),
        req("batch_id", STRING, "batch that recorded it"),
        req("rejected_at", TIME, "instant of the ingest"),
    ),
    partition_by="rejected_at",
    transform=DayTransform(),
    stats=("delivery_id", "source", "rejected_at", "batch_id"),
)

HOUR_ROWS = StructType(
    NestedField(_NESTED_ID + 61, "hour", TIME, required=True, doc="start of the hour"),
    NestedField(_NESTED_ID + 62, "rows", LONG, required=True, doc="accepted rows in it"),
)

DELIVERIES = Record(
    "ops",
    "deliveries",
    "History of every delivery: one row per change of state, the highest change_no is current",
    (
        req("delivery_id", STRING, "object version: hash of source, key and etag"),
        req("change_no", INT, "1, 2, ... per delivery"),
        req("changed_at", TIME, "when"),
        req("batch_id", STRING, "batch that recorded the change"),
        req("source", STRING, "feed"),
        req("table_name", STRING, "bronze table the feed goes to"),
        req("key", STRING, "name of the object in landing"),
        req("etag", STRING, "version of the object, as the landing gives it"),
        req("size_bytes", LONG, "size of the object"),
        req("last_modified", TIME, "as the landing gives it"),
        req("state", STRING, "held, loaded, replaced, duplicate or rejected"),
        req(
            "verdict", STRING, "passed, held, released or rejected: of the content, not the moment"
        ),
        opt("reason", STRING, "why it is held, rejected, replaced or a duplicate"),
        opt("other_delivery_id", STRING, "delivery that replaced it or that it duplicates"),
        req("content_id", STRING, "hash of the object's bytes and of what its name declares"),
        req("content_sha256", STRING, "hash of the object's bytes"),
        req("parser_version", STRING, "parser that read it"),
        opt("period_start", TIME, "nominal period by the name, inclusive"),
        opt("period_end", TIME, "nominal period by the name, exclusive"),
        opt("lines", LONG, "physical lines = accepted + rejected + header + blank; null: refused"),
        opt("accepted", LONG, "rows for bronze, duplicates included"),
        opt("rejected", LONG, "lines in ops.rejects"),
        opt("header", LONG, "comment and header lines"),
        opt("blank", LONG, "empty lines"),
        opt("event_time_min", TIME, "earliest accepted event"),
        opt("event_time_max", TIME, "latest accepted event"),
        opt("lateness_s", LONG, "last_modified - end of the period (or latest event), seconds"),
        opt(
            "hours",
            ListType(_NESTED_ID + 60, HOUR_ROWS, element_required=True),
            "hours of event time it touches",
        ),
        opt(
            "unknown_fields",
            ListType(_NESTED_ID + 65, STRING, element_required=True),
            "names of fields without a column, in lines sampled over the object; null: not looked",
        ),
        opt("geo_version", STRING, "geo files its addresses were looked up in: type@build epoch"),
        opt("rows_id", STRING, "digest of its rows where a replay changed them; else null"),
    ),
    stats=("delivery_id", "source", "state", "changed_at", "batch_id"),
)

CHECK_RESULTS = Record(
    "ops",
    "check_results",
    "One row per expectation and subject: what was judged, when, with which outcome",
    (
        req("checked_at", TIME, "instant of the check"),
        req("run_id", STRING, "batch, refresh or run the check belongs to"),
        req("layer", STRING, "delivery, mart or sla"),
        req("suite", STRING, "suite of expectations"),
        req("check_name", STRING, "name of the expectation"),
        req("subject", STRING, "delivery id, hour, month or feed that was judged"),
        req("severity", STRING, "critical (blocks) or warning"),
        req("is_passed", BOOL, "outcome"),
        opt("observed", STRING, "what was found"),
        opt("expected", STRING, "what was expected"),
    ),
    partition_by="checked_at",
    transform=DayTransform(),
    stats=("checked_at", "layer", "suite", "check_name"),
)

REFRESHES = Record(
    "ops",
    "refreshes",
    "One row per mart family, partition and attempt: the input version it was built from",
    (
        req("refresh_id", STRING, "run of the refresh"),
        req("refreshed_at", TIME, "instant"),
        req("family", STRING, "delivery, rollup, engagement or billing"),
        req(
            "partition_start", TIME, "hour (delivery, engagement), day (rollup) or month (billing)"
        ),
        req("input_version", STRING, "version of the inputs; see lake.versions"),
        req("outcome", STRING, "published or failed"),
        opt("reason", STRING, "failed checks or the error"),
    ),
    stats=("refreshed_at", "family", "partition_start"),
)

MART_SNAPSHOT = StructType(
    NestedField(_NESTED_ID + 71, "mart", STRING, required=True, doc="gold table"),
    NestedField(_NESTED_ID + 72, "snapshot_id", LONG, required=True, doc="pinned snapshot"),
)

RELEASES = Record(
    "ops",
    "releases",
    "One row per release: the gold snapshots that readers see together",
    (
        req("release_no", LONG, "1, 2, ..."),
        req("released_at", TIME, "instant"),
        req("refresh_id", STRING, "refresh that caused it"),
        req(
            "marts",
            ListType(_NESTED_ID + 70, MART_SNAPSHOT, element_required=True),
            "gold table and its snapshot",
        ),
    ),
    stats=("release_no", "released_at"),
)

BRONZE = (CDN_REQUESTS, REC_EVENTS)
OPS = (REJECTS, DELIVERIES, CHECK_RESULTS, REFRESHES, RELEASES)
RECORDS = {r.identifier: r for r in (*BRONZE, *OPS)}

__all__ = [
    "BRONZE",
    "CDN_REQUESTS",
    "CHECK_RESULTS",
    "DELIVERIES",
    "OPS",
    "RECORDS",
    "REC_EVENTS",
    "REFRESHES",
    "REJECTS",
    "RELEASES",
    "Column",
    "Record",
]
