"""CloudFront standard logs, version 1: tab-separated, columns by the `#Fields` line.

Traps this family knows (facts of the vendor's documentation and of real files): the stamp is the
END of the response in whole seconds; sc-bytes includes headers; status 000 means the viewer got
nothing; columns come and go over the years, so they are read by name, never by position.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lake import canonical as sql
from lake.formats import tsv
from lake.formats.base import Family, Judgement, Layout, Look, Row
from lake.formats.heads import first_lines
from lake.inflate import Lines
from lake.records import CDN_REQUESTS
from lake.refused import RefusedError
from lake.source import Source

_TYPES = {
    "date": "DATE",
    "time": "TIME",
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
}
_TEXT = (
    "x-edge-location", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "cs(Referer)",
    "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id",
    "x-host-header", "cs-protocol", "x-forwarded-for", "ssl-protocol", "ssl-cipher",
    "x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields",
    "x-edge-detailed-result-type", "sc-content-type", "c-country",
)  # fmt: skip
_REQUIRED = ("date", "time", "sc-status")
_MAX_COLUMNS = 200

_HIT = """case
  when "x-edge-detailed-result-type" = 'OriginShieldHit' then 'SHIELD_HIT'
  else case "x-edge-response-result-type"
    when 'Hit' then 'HIT' when 'RefreshHit' then 'REVALIDATED' when 'Miss' then 'MISS'
    when 'Redirect' then 'SYNTH' when 'Error' then 'ERROR' when 'LimitExceeded' then 'ERROR'
    when 'CapacityExceeded' then 'ERROR' else 'UNKNOWN' end
end"""
_ABORTED = """("sc-status" = 0
  or coalesce("x-edge-result-type" = 'Error' and "x-edge-response-result-type" <> 'Error', false)
  or coalesce("x-edge-detailed-result-type" = 'ClientCommError', false))"""


class CloudFrontV1(Family):
    """Standard log v1."""

    name = "cloudfront_v1"
    version = 2
    record = CDN_REQUESTS
    cdn = "cloudfront"
    file_names = r"(^|/)[A-Z0-9]{6,20}\.\d{4}-\d{2}-\d{2}-\d{2}\.[0-9a-f]{8}\.gz$"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the header; its fields tell whose W3C log it is."""
        for line in first_lines(head):
            if line.startswith(b"#Fields:"):
                known = len(
                    {f.decode("utf-8", "replace") for f in line.split()[1:]} & ({*_TYPES, *_TEXT})
                )
                return Look(1.0, "a #Fields line of CloudFront") if known > 2 else None
        return None

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Read `#Fields`; without a header take the source's declared order."""
        fields: list[str] = []
        header_lines = 0
        for line in head.split(b"\n"):
            if not line.startswith(b"#"):
                break
            header_lines += 1
            if line.startswith(b"#Fields:"):
                fields = line[len(b"#Fields:") :].decode("utf-8", "replace").split()
        if not fields and previous is not None:
            return Layout(previous.columns, previous.required, header_lines=header_lines)
        names = fields or list(source.fields)
        if not names:
            raise RefusedError(
                "no_header",
                "expected a #Fields line, found none, and the source declares no order. "
                "Add `fields: [date, time, ...]` to the source file.",
            )
        missing = [c for c in _REQUIRED if c not in names]
        if missing or len(set(names)) != len(names) or len(names) > _MAX_COLUMNS:
            raise RefusedError(
                "bad_header",
                f"expected date, time and sc-status, each column once and at most {_MAX_COLUMNS}, "
                f"found {len(names)} columns without {missing}. Check the log configuration or "
                "the source's `fields`.",
            )
        # a header is text out of a log: a name that the family does not know stays out of SQL
        known = {n: n in _TYPES or n in _TEXT for n in names}
        columns = {
            n if known[n] else f"unknown_{i}": _TYPES.get(n, "VARCHAR") for i, n in enumerate(names)
        }
        unknown = tuple(n for n in names if not known[n])
        return Layout(columns, _REQUIRED, header_lines=header_lines, unknown=unknown)

    def cuts(self, memory: mmap.mmap, size: int) -> Sequence[int]:
        """Cut where a `#Fields` line begins after data: the columns may change there."""
        found: list[int] = []
        at = memory.find(b"\n#Fields:", 0, size)
        while at >= 0:
            if not _only_header(memory, at + 1):
                found.append(at + 1)
            at = memory.find(b"\n#Fields:", at + 1, size)
        return found

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return tsv.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that have too many columns."""
        return tsv.overflowing(lines, layout, numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line; a leap second, which the typed reader has no time for, is the last ms."""
        found = tsv.judge(line, layout)
        if isinstance(found, Row) and found.values.get("time") == "23:59:60":
            return Row({**found.values, "time": "23:59:59.999"})
        return found

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path and query."""
        col = _Columns(layout)
        end = 'try(cast("date" + "time" as timestamptz))'
        taken_us = f"cast(coalesce({col('time-taken')}, 0) * 1000000 as bigint)"
        return {
            "end_at": end,
            # a year that no time stamp holds makes the line's time null, not the file's
            "event_time": f"try({end} - to_microseconds({taken_us}))",
            "host_l": f"plain_host(coalesce({col('x-host-header')}, {col('cs(Host)')}))",
            **sql.path_steps(col("cs-uri-stem")),
            "cache_d": col.expression(_HIT),
            "aborted_d": col.expression(_ABORTED),
            "query_d": f"decode_once({col('cs-uri-query')})",
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        col = _Columns(layout)
        edge = col("x-edge-location")
        extra = {
            "x-forwarded-for": f"forwarded_for({col('x-forwarded-for')})",
            "fle-status": col("fle-status"),
            "host-port": f"odd_port(coalesce({col('x-host-header')}, {col('cs(Host)')}))",
        }
        return {
            "event_time_precision": "'end_s'",
            "end_time": "end_at",
            "row_key": sql.row_key(
                [
                    col(c)
                    for c in (
                        "cs(Host)",
                        "x-edge-request-id",
                        "c-ip",
                        "c-port",
                        "cs-uri-stem",
                        "cs-uri-query",
                    )
                ]
                + ["epoch_us(end_at)", "epoch_us(event_time)"]
            ),
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
            "path_raw": col("cs-uri-stem"),
            "path": "path_d",
            "query_raw": sql.allowed_query(col("cs-uri-query"), source.privacy.query_allow),
            "status": '"sc-status"',
            "bytes_out_total": col("sc-bytes"),
            "bytes_in": col("cs-bytes"),
            "ttfb_ms": f"cast({col('time-to-first-byte')} * 1000 as double)",
            "duration_ms": f"cast({col('time-taken')} * 1000 as double)",
            "cache_status": "cache_d",
            "cache_status_raw": f"concat_ws('/', {col('x-edge-result-type')}, "
            f"{col('x-edge-response-result-type')}, {col('x-edge-detailed-result-type')})",
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
            "error_detail": f"case when {col('x-edge-result-type')} = 'Error' "
            f"then {col('x-edge-detailed-result-type')} end",
            "is_viewer": "true",
            "object_type": "object_type_of(path_d)",
            "stream_kind": "stream_kind_of(path_d)",
            "cmcd": "cmcd_of(query_d)",
            "extra": sql.extra_map(extra),
        }


class _Columns:
    """Raw columns as SQL; one that this file does not have is a typed null."""

    def __init__(self, layout: Layout) -> None:
        self._known = layout.columns

    def __call__(self, name: str) -> str:
        if name in self._known:
            return f'"{name}"'
        return f"cast(null as {_TYPES.get(name, 'VARCHAR')})"

    def expression(self, text: str) -> str:
        """Replace the columns of an expression that this file does not have."""
        for name in (
            "x-edge-detailed-result-type",
            "x-edge-response-result-type",
            "x-edge-result-type",
        ):
            text = text.replace(f'"{name}"', self(name))
        return text


def _only_header(memory: mmap.mmap, end: int) -> bool:
    """Tell whether everything before an offset is header lines."""
    return end < 4096 and all(
        not line or line.startswith(b"#") for line in memory[:end].split(b"\n")
    )
