"""The ledger tables: what became of deliveries, lines, checks, refreshes and releases.

Belongs here: what an ops table is made of. Does not: bronze tables (lake/records), how the ledger
is read (lake/ledger) or written (lake/commit).

Field ids are given by position and must never be reused: append columns, do not insert them.
Times are UTC, microseconds. Units are in the name or in the comment.
"""

from __future__ import annotations

from pyiceberg.transforms import DayTransform
from pyiceberg.types import ListType, NestedField, StructType

from lake.columns import (
    BOOL,
    INT,
    LONG,
    NESTED_ID,
    STRING,
    TIME,
    Record,
    opt,
    req,
)

REJECTS = Record(
    "ops",
    "rejects",
    "One row per line that was not accepted; the raw bytes stay in landing",
    (
        req("delivery_id", STRING, "object version the line is in"),
        req("source", STRING, "feed"),
        req("key", STRING, "name of the object in landing"),
        req("line", LONG, "physical line, or row of a Parquet object, from 1"),
        req("byte_offset", LONG, "offset of the line in the decompressed object; 0 for a row"),
        req("byte_length", LONG, "length of the line, bytes, without the line end"),
        req("raw_sha256", STRING, "hash of the line's bytes, of a row's as canonical JSON, hex"),
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
    NestedField(NESTED_ID + 61, "hour", TIME, required=True, doc="start of the hour"),
    NestedField(NESTED_ID + 62, "rows", LONG, required=True, doc="accepted rows in it"),
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
            ListType(NESTED_ID + 60, HOUR_ROWS, element_required=True),
            "hours of event time it touches",
        ),
        opt(
            "unknown_fields",
            ListType(NESTED_ID + 65, STRING, element_required=True),
            "names of fields without a column, in lines sampled over the object; null: not looked",
        ),
        opt("geo_version", STRING, "geo files its addresses were looked up in: type@epoch-digest"),
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
    NestedField(NESTED_ID + 71, "mart", STRING, required=True, doc="gold table"),
    NestedField(NESTED_ID + 72, "snapshot_id", LONG, required=True, doc="pinned snapshot"),
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
            ListType(NESTED_ID + 70, MART_SNAPSHOT, element_required=True),
            "gold table and its snapshot",
        ),
    ),
    stats=("release_no", "released_at"),
)

OPS = (REJECTS, DELIVERIES, CHECK_RESULTS, REFRESHES, RELEASES)
