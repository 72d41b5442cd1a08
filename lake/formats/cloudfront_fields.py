"""CloudFront's fields and what they become, whichever of its logs carries them.

Belongs here: names, types and the canonical SQL, over the names of the standard log (v1). Does
not: how a log is laid out (cloudfront, cloudfront_v2, cloudfront_realtime).

Traps: the stamp is the END of the response; sc-bytes includes headers; status 000 means the
viewer got nothing; cs(Host) is the distribution's name, x-host-header what the viewer asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lake import canonical as sql
from lake import cmcd
from lake.formats.base import Layout
from lake.source import Source

TYPES = {
    "date": "DATE",
    "time": "TIME",
    "timestamp(ms)": "BIGINT",
    "sc-bytes": "BIGINT",
    "sc-status": "INTEGER",
    "cs-bytes": "BIGINT",
    "time-taken": "DECIMAL(15,3)",
    "c-port": "INTEGER",
    "time-to-first-byte": "DECIMAL(15,3)",
    "sc-content-len": "BIGINT",
    "sc-range-start": "BIGINT",
    "sc-range-end": "BIGINT",
    "asn": "BIGINT",
    "origin-fbl": "DECIMAL(15,3)",
    "origin-lbl": "DECIMAL(15,3)",
}
TEXT = (
    "x-edge-location", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "cs(Referer)",
    "cs(User-Agent)", "cs-uri-query", "x-edge-result-type", "x-edge-request-id",
    "x-host-header", "cs-protocol", "x-forwarded-for", "ssl-protocol", "ssl-cipher",
    "x-edge-response-result-type", "cs-protocol-version", "fle-status",
    "x-edge-detailed-result-type", "sc-content-type", "c-country", "cache-behavior-path-pattern",
)  # fmt: skip
#: what is known and never stored: cookies and headers may carry credentials
LEFT_OUT = (
    "cs(Cookie)", "fle-encrypted-fields", "cs-headers", "cs-header-names", "cs-headers-count",
    "cs-accept", "cs-accept-encoding", "c-ip-version", "primary-distribution-id",
    "primary-distribution-dns-name", "distributionid", "DistributionId", "distribution-tenant-id",
    "connection-id", "r-host", "s-ip", "sr-reason", "x-edge-mqcs", "viewer-request-log-data",
    "viewer-response-log-data",
)  # fmt: skip
#: columns of a real-time log -> key of CMCD; next object and range may carry tokens
CMCD = {
    "cmcd-encoded-bitrate": "br", "cmcd-buffer-length": "bl", "cmcd-buffer-starvation": "bs",
    "cmcd-content-id": "cid", "cmcd-object-duration": "d", "cmcd-deadline": "dl",
    "cmcd-measured-throughput": "mtp", "cmcd-object-type": "ot", "cmcd-playback-rate": "pr",
    "cmcd-requested-maximum-throughput": "rtp", "cmcd-streaming-format": "sf",
    "cmcd-session-id": "sid", "cmcd-stream-type": "st", "cmcd-startup": "su",
    "cmcd-top-bitrate": "tb", "cmcd-version": "v",
}  # fmt: skip
CMCD_LEFT_OUT = ("cmcd-next-object-request", "cmcd-next-range-request")
_FLAGS, _QUOTED = ("bs", "su"), ("cid", "sid")
KNOWN = frozenset((*TYPES, *TEXT, *LEFT_OUT, *CMCD, *CMCD_LEFT_OUT))

_QUOTED_NAME = re.compile(r'"([^"]+)"')
_HIT = """case
  when "x-edge-detailed-result-type" = 'OriginShieldHit' then 'SHIELD_HIT'
  else case "x-edge-response-result-type"
    when 'Hit' then 'HIT' when 'RefreshHit' then 'REVALIDATED' when 'Miss' then 'MISS'
    when 'Redirect' then 'SYNTH' when 'Error' then 'ERROR' when 'LimitExceeded' then 'ERROR'
    when 'CapacityExceeded' then 'ERROR' when 'FunctionGeneratedResponse' then 'SYNTH'
    else 'UNKNOWN' end
end"""
_ABORTED = """("sc-status" = 0
  or coalesce("x-edge-result-type" = 'Error' and "x-edge-response-result-type" <> 'Error', false)
  or coalesce("x-edge-detailed-result-type" = 'ClientCommError', false))"""


class Columns:
    """Raw columns as SQL of their types; one that this file does not have is a typed null.

    The reader has made nulls of `-` and the like already.
    """

    def __init__(self, layout: Layout) -> None:
        self._known = layout.columns

    def __contains__(self, name: str) -> bool:
        """Tell whether this file may have the column."""
        return name in self._known

    def __call__(self, name: str) -> str:
        """Return the SQL of a column."""
        kind = TYPES.get(name, "VARCHAR")
        if name not in self._known:
            return f"cast(null as {kind})"
        is_typed = self._known[name] == kind
        return f'"{name}"' if is_typed else f'try_cast("{name}" as {kind})'

    def expression(self, text: str) -> str:
        """Return an expression over column names with the columns' SQL in their place."""
        return _QUOTED_NAME.sub(lambda found: self(found[1]), text)


def end_of_standard(col: Columns) -> str:
    """Return the SQL of the end of the response in a standard log: by the millisecond if told."""
    by_second = f"try(make_timestamptz(epoch_us({col('date')} + {col('time')})))"
    if "timestamp(ms)" not in col:
        return by_second
    ms = col("timestamp(ms)")
    return (
        f"case when ({ms}) is null then {by_second} when {ms} between 0 and 9999999999999 "
        f"then make_timestamptz({ms} * 1000) end"
    )


def derived_sql(col: Columns, end: str, path: str, query: str) -> Mapping[str, str]:
    """Return times, host, path and query. end, path, query: SQL over raw columns."""
    taken_us = f"cast(coalesce({col('time-taken')}, 0) * 1000000 as bigint)"
    return {
        "end_at": end,
        # a year that no time stamp holds makes the line's time null, not the file's
        "event_time": f"try(make_timestamptz(epoch_us(end_at) - {taken_us}))",
        "host_l": f"plain_host(coalesce({col('x-host-header')}, {col('cs(Host)')}))",
        "path_r": path,
        **sql.path_steps("path_r", times=4),  # this log encodes what it logs
        "query_r": query,
        "cache_d": col.expression(_HIT),
        "aborted_d": col.expression(_ABORTED),
    }


def _precision(col: Columns, by_ms: str) -> str:
    return f"case when ({col(by_ms)}) is not null then 'end_ms' else 'end_s' end"


def canonical_sql(col: Columns, source: Source) -> Mapping[str, str]:
    """Return the canonical columns over raw and derived ones."""
    edge = col("x-edge-location")
    by_ms = "timestamp(ms)" in col
    results = ("x-edge-result-type", "x-edge-response-result-type", "x-edge-detailed-result-type")
    extra = {
        "x-forwarded-for": f"forwarded_for({col('x-forwarded-for')})",
        "fle-status": col("fle-status"),
        "host-port": f"odd_port(coalesce({col('x-host-header')}, {col('cs(Host)')}))",
        "cache-behavior-path-pattern": col("cache-behavior-path-pattern"),
    }
    request = col("x-edge-request-id")
    identity = [col("cs(Host)"), request, col("c-ip"), col("c-port"), "path_r"]
    # a request with an id is told by it: to hash its query string too would double the work
    query = f"case when {request} is null then query_r end"
    return {
        "event_time_precision": _precision(col, "timestamp(ms)") if by_ms else "'end_s'",
        "end_time": "end_at",
        "row_key": sql.row_key([*identity, query, "epoch_us(end_at)"]),
        "customer": sql.lookup("host_l", source.customers),
        "request_id": col("x-edge-request-id"),
        "pop": edge,
        "pop_iata": f"iata({edge})",
        "client_ip": col("c-ip"),
        "client_port": col("c-port"),
        "asn": col("asn"),
        "country": f"upper({col('c-country')})",
        "host": "host_l",
        "scheme": col("cs-protocol"),
        "method": col("cs-method"),
        "path_raw": "path_r",
        "path": "path_d",
        "query_raw": sql.allowed_query("query_r", source.privacy.query_allow),
        "status": col("sc-status"),
        "bytes_out_total": col("sc-bytes"),
        "bytes_in": col("cs-bytes"),
        "ttfb_ms": f"cast({col('time-to-first-byte')} * 1000 as double)",
        "duration_ms": f"cast({col('time-taken')} * 1000 as double)",
        "cache_status": "cache_d",
        "cache_status_raw": f"nullif(concat_ws('/', {', '.join(col(c) for c in results)}), '')",
        "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
        "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
        "client_aborted": "aborted_d",
        "http_version": col("cs-protocol-version"),
        "tls_version": col("ssl-protocol"),
        "tls_cipher": col("ssl-cipher"),
        "user_agent": f"decode_once({col('cs(User-Agent)')})",
        "referer": f"referer_of({col('cs(Referer)')})",
        "content_type": col("sc-content-type"),
        "content_length": col("sc-content-len"),
        "range_start": col("sc-range-start"),
        "range_end": col("sc-range-end"),
        "origin_ttfb_ms": f"cast({col('origin-fbl')} * 1000 as double)",
        "origin_duration_ms": f"cast({col('origin-lbl')} * 1000 as double)",
        "error_detail": f"case when {col('x-edge-result-type')} = 'Error' "
        f"then {col('x-edge-detailed-result-type')} end",
        "is_viewer": "true",
        "object_type": "object_type_of(path_d, ext_d)",
        "stream_kind": "stream_kind_of(path_d, ext_d)",
        **cmcd_of(col),
        "extra": sql.extra_map(extra),
    }


def cmcd_of(col: Columns) -> Mapping[str, str]:
    """Return the SQL of CMCD as one text: of its own columns, else out of the query string.

    A query string stands in the log percent-encoded once more.
    """
    # the order of the columns is the vendor's, not the player's: sorted, it is no deviation
    keys = sorted((key, name) for name, key in CMCD.items() if name in col)
    pairs = [_pair(key, col(name)) for key, name in keys]
    if not pairs:
        return {cmcd.TWICE: "cmcd_of(query_r)"}
    own = f"nullif(concat_ws(',', {', '.join(pairs)}), '')"
    return {cmcd.TEXT: f"coalesce({own}, cmcd_of(decode_once(query_r)))"}


def _pair(key: str, value: str) -> str:
    if key in _FLAGS:
        return (
            f"case when lower({value}) in ('true', '1', '?1') then '{key}' "
            f"when lower({value}) in ('false', '0', '?0') then '{key}=?0' end"
        )
    if key in _QUOTED:
        return f"'{key}=\"' || replace(decode_once({value}), '\"', '') || '\"'"
    return f"'{key}=' || {value}"


def layout_of_names(
    names: Sequence[str], required: tuple[str, ...], *, header_lines: int = 0, delimiter: str
) -> Layout:
    """Return the layout of delimited columns; text out of a header stays out of SQL."""
    columns = {
        n if n in KNOWN else f"unknown_{i}": TYPES.get(n, "VARCHAR") for i, n in enumerate(names)
    }
    return Layout(
        columns,
        required,
        header_lines=header_lines,
        unknown=tuple(n for n in names if n not in KNOWN),
        delimiter=delimiter,
    )
