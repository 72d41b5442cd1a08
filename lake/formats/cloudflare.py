"""Cloudflare Logpush, data set http_requests, as NDJSON.

Traps: times come as unix seconds, unix nanoseconds or RFC 3339, as numbers or strings, by the
job's setting; the same RayID stands on sub-requests of workers, which are no viewers, and
ClientRequestSource names them where no ParentRayID is logged; a status of 499 is a viewer that went
away; EdgeResponseBytes includes headers. RequestHeaders holds what the job's custom fields name,
and of it CMCD alone is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lake import canonical as sql
from lake.formats import ndjson
from lake.formats.base import Family, Judgement, Layout, Look
from lake.formats.heads import keys_look
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.source import Source
from lake.unknown import unknown_keys

FIELDS: dict[str, str] = {
    "EdgeStartTimestamp": "VARCHAR",
    "EdgeEndTimestamp": "VARCHAR",
    "EdgeResponseStatus": "INTEGER",
    "EdgeResponseBytes": "BIGINT",
    "EdgeResponseBodyBytes": "BIGINT",
    "EdgeTimeToFirstByteMs": "BIGINT",
    "ClientRequestBytes": "BIGINT",
    "ClientSrcPort": "INTEGER",
    "ClientASN": "BIGINT",
    "OriginResponseStatus": "INTEGER",
    "OriginResponseDurationMs": "BIGINT",
    "OriginResponseHeaderReceiveDurationMs": "BIGINT",
    "UpperTierColoID": "BIGINT",
    "EdgeColoID": "BIGINT",
    "CacheTieredFill": "BOOLEAN",
    "WorkerSubrequest": "BOOLEAN",
    "CacheCacheStatus": "VARCHAR",
    "CacheResponseBytes": "BIGINT",
    "ClientCountry": "VARCHAR",
    "ClientRegionCode": "VARCHAR",
    "ClientIP": "VARCHAR",
    "ClientRequestHost": "VARCHAR",
    "ClientRequestMethod": "VARCHAR",
    "ClientRequestPath": "VARCHAR",
    "ClientRequestURI": "VARCHAR",
    "ClientRequestProtocol": "VARCHAR",
    "ClientRequestScheme": "VARCHAR",
    "ClientRequestSource": "VARCHAR",
    "ClientRequestReferer": "VARCHAR",
    "ClientRequestUserAgent": "VARCHAR",
    "ClientSSLCipher": "VARCHAR",
    "ClientSSLProtocol": "VARCHAR",
    "EdgeColoCode": "VARCHAR",
    "EdgeResponseContentType": "VARCHAR",
    "OriginIP": "VARCHAR",
    "ParentRayID": "VARCHAR",
    "RayID": "VARCHAR",
    "RequestHeaders": "VARCHAR",
}
#: known fields that nothing is made of: dropped without a word, as others are reported
_LEFT_OUT = (
    "BotDetectionIDs", "BotDetectionTags", "BotScore", "BotScoreSrc", "BotTags",
    "CacheReserveUsed", "CacheResponseStatus", "ClientCity", "ClientDeviceType", "ClientIPClass",
    "ClientLatitude", "ClientLongitude", "ClientMTLSAuthCertFingerprint", "ClientMTLSAuthStatus",
    "ClientTCPRTTMs", "ClientXRequestedWith", "ContentScanObjResults",
    "ContentScanObjSizes", "ContentScanObjTypes", "Cookies", "EdgeCFConnectingO2O",
    "EdgePathingOp", "EdgePathingSrc", "EdgePathingStatus", "EdgeRateLimitAction",
    "EdgeRateLimitID", "EdgeRequestHost", "EdgeResponseCompressionRatio", "EdgeServerIP",
    "FirewallMatchesActions", "FirewallMatchesRuleIDs", "FirewallMatchesSources", "JA3Hash", "JA4",
    "JA4Signals", "JSDetectionPassed", "LeakedCredentialCheckResult", "OriginDNSResponseTimeMs",
    "OriginRequestHeaderSendDurationMs", "OriginResponseBytes", "OriginResponseHTTPExpires",
    "OriginResponseHTTPLastModified", "OriginResponseTime", "OriginSSLProtocol",
    "OriginTCPHandshakeDurationMs", "OriginTLSHandshakeDurationMs", "ResponseHeaders",
    "SecurityAction", "SecurityActions", "SecurityLevel", "SecurityRuleDescription",
    "SecurityRuleID", "SecurityRuleIDs", "SecuritySources", "SmartRouteColoID", "WAFAction",
    "WAFAttackScore", "WAFFlags", "WAFMatchedVar", "WAFProfile", "WAFRCEAttackScore", "WAFRuleID",
    "WAFRuleMessage", "WAFSQLiAttackScore", "WAFXSSAttackScore", "WorkerCPUTime",
    "WorkerScriptName", "WorkerStatus", "WorkerSubrequestCount", "WorkerWallTimeUs", "ZoneID",
    "ZoneName",
)  # fmt: skip
_REQUIRED = ("EdgeStartTimestamp", "EdgeResponseStatus", "EdgeResponseBytes")


def _instant(column: str) -> str:
    """Return the SQL of an instant given as number (s, ms, us, ns) or RFC 3339 text."""
    n = f'try_cast("{column}" as bigint)'
    # a leap second, which no time stamp can hold, is the last millisecond before it
    whole = f"""case when contains("{column}", ':59:60') then
      regexp_replace("{column}", ':59:60([.][0-9]*)?', ':59:59.999') else "{column}" end"""
    text = f"try_cast({whole} as timestamptz)"
    return (
        f"case when {n} is null then case when isfinite({text}) then {text} end "
        f"when {n} < 0 then null "
        f"when {n} >= 100000000000000000 then make_timestamptz({n} // 1000) "
        f"when {n} >= 100000000000000 then make_timestamptz({n}) "
        f"when {n} >= 100000000000 then make_timestamptz({n} * 1000) "
        f"else make_timestamptz({n} * 1000000) end"
    )


_PRECISION = """case when try_cast("EdgeStartTimestamp" as bigint) is null then
  case when contains("EdgeStartTimestamp", '.') then 'start_us' else 'start_s' end
  when length("EdgeStartTimestamp") > 14 then 'start_us'
  when length("EdgeStartTimestamp") > 11 then 'start_ms' else 'start_s' end"""
_TIERED = 'coalesce(try_cast("CacheTieredFill" as boolean), false)'
_CACHE = f"""case lower("CacheCacheStatus")
  when 'hit' then case when {_TIERED} then 'SHIELD_HIT' else 'HIT' end
  when 'stream_hit' then 'HIT'
  when 'stale' then 'STALE' when 'updating' then 'STALE'
  when 'revalidated' then 'REVALIDATED'
  when 'miss' then 'MISS' when 'expired' then 'MISS'
  when 'bypass' then 'BYPASS' when 'dynamic' then 'BYPASS' when 'ignored' then 'BYPASS'
  else 'UNKNOWN' end"""
_PARENT = """case when "ParentRayID" in ('', '0', '00') then null else "ParentRayID" end"""
_QUERY = """case when contains("ClientRequestURI", '?') then
  nullif(substr("ClientRequestURI", strpos("ClientRequestURI", '?') + 1), '') end"""
#: a viewer's request is told by its ray: to hash its query string too would double the work
_ASKED = """case when parent_d is null and "RayID" <> '' then path_0 else "ClientRequestURI" end"""
#: an end far in the future is nonsense that no reader of time stamps survives
_END = f"""case when {_instant("EdgeEndTimestamp")} < timestamptz '2100-01-01'
  then {_instant("EdgeEndTimestamp")} end"""


#: whom Cloudflare names as the source of its own requests: no viewers, ParentRayID logged or not
_IS_OWN = """coalesce("ClientRequestSource" in ('purge', 'alwaysOnline', 'healthcheck',
  'edgeWorkerFetch', 'edgeWorkerCacheAPI', 'edgeWorkerKV', 'imageResizing', 'sslDetector',
  'earlyHintsCache'), false)"""


def _number(column: str, kind: str = "bigint") -> str:
    return f'try_cast("{column}" as {kind})'


def _of_origin(column: str) -> str:
    """Return the SQL of a time at the origin: the 0 of a request that no origin saw is none."""
    is_asked = f"coalesce({_number('OriginResponseStatus')}, 1) <> 0"
    return f"case when {is_asked} then {_number(column, 'double')} end"


class CloudflareLogpush(Family):
    """Logpush http_requests."""

    name = "cloudflare_logpush"
    judges_times_as_read = True
    version = 6
    record = CDN_REQUESTS
    cdn = "cloudflare"
    file_names = r"\d{8}T\d{6}Z_\d{8}T\d{6}Z_[0-9a-z]+\.log(\.gz)?$"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the vendor's own keys."""
        return keys_look(head, ("EdgeStartTimestamp", "EdgeResponseStatus"), 2)

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Tell numbers that every line has from those that may be missing."""
        return previous or ndjson.layout_of(head, FIELDS, _REQUIRED, left_out=_LEFT_OUT)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return ndjson.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return None: the reader gives a row for every line that is not blank."""
        return None

    def unknown_fields(self, lines: Lines) -> Iterable[str]:
        """Return keys without a column, of a sample of the lines."""
        return unknown_keys(lines, (*FIELDS, *_LEFT_OUT))

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line."""
        return ndjson.judge(line, FIELDS, layout, _REQUIRED)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path, cache status and query."""
        return {
            "event_time": _instant("EdgeStartTimestamp"),
            "end_at": _END,
            "host_l": 'plain_host("ClientRequestHost")',
            **sql.path_steps(
                'coalesce(null_if_empty("ClientRequestPath"), without_query("ClientRequestURI"))'
            ),
            "query_d": _QUERY,
            "cmcd_q": "cmcd_of(query_d)",
            "cache_d": _CACHE,
            "parent_d": _PARENT,
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        timed = "(epoch_us(end_at) - epoch_us(event_time)) / 1e3"
        return {
            "event_time_precision": _PRECISION,
            "end_time": "end_at",
            "row_key": sql.row_key(
                [
                    '"RayID"',
                    "parent_d",
                    "epoch_us(event_time)",
                    '"ClientRequestHost"',
                    _ASKED,
                ]
            ),
            "customer": sql.lookup("host_l", source.customers),
            "parent_hop": "parent_d",
            "request_id": 'null_if_empty("RayID")',
            "pop": 'null_if_empty("EdgeColoCode")',
            "pop_iata": 'iata("EdgeColoCode")',
            "client_ip": 'null_if_empty("ClientIP")',
            "client_port": _number("ClientSrcPort", "integer"),
            "asn": _number("ClientASN"),
            "country": 'upper(null_if_empty("ClientCountry"))',
            "region": 'null_if_empty("ClientRegionCode")',
            "host": "host_l",
            "scheme": 'null_if_empty("ClientRequestScheme")',
            "method": 'null_if_empty("ClientRequestMethod")',
            "path_raw": "path_0",
            "path": "path_d",
            "query_raw": sql.allowed_query("query_d", source.privacy.query_allow),
            "status": '"EdgeResponseStatus"',
            "bytes_out_total": '"EdgeResponseBytes"',
            "bytes_out_body": _number("EdgeResponseBodyBytes"),
            "bytes_in": _number("ClientRequestBytes"),
            "ttfb_ms": _number("EdgeTimeToFirstByteMs", "double"),
            # of two whole seconds the difference says nothing about milliseconds
            "duration_ms": "case when end_at >= event_time and (epoch_us(end_at) % 1000000 <> 0 "
            f"or epoch_us(event_time) % 1000000 <> 0) then cast({timed} as double) end",
            "cache_status": "cache_d",
            "cache_status_raw": 'null_if_empty("CacheCacheStatus")',
            "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
            "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
            "client_aborted": '"EdgeResponseStatus" = 499',
            "http_version": 'null_if_empty("ClientRequestProtocol")',
            "tls_version": "nullif(null_if_empty(\"ClientSSLProtocol\"), 'none')",
            "tls_cipher": "nullif(null_if_empty(\"ClientSSLCipher\"), 'NONE')",
            "user_agent": 'null_if_empty("ClientRequestUserAgent")',
            "referer": 'referer_of(null_if_empty("ClientRequestReferer"))',
            "content_type": 'null_if_empty("EdgeResponseContentType")',
            "origin_ip": 'null_if_empty("OriginIP")',
            "origin_status": f"nullif({_number('OriginResponseStatus', 'integer')}, 0)",
            "origin_ttfb_ms": _of_origin("OriginResponseHeaderReceiveDurationMs"),
            "origin_duration_ms": _of_origin("OriginResponseDurationMs"),
            "is_viewer": "parent_d is null and not "
            'coalesce(try_cast("WorkerSubrequest" as boolean), false) '
            f"and not {_IS_OWN}",
            "object_type": "object_type_of(path_d, ext_d)",
            "stream_kind": "stream_kind_of(path_d, ext_d)",
            # CMCD= with nothing behind it says nothing
            "cmcd": "case when cmcd_q <> '' then cmcd_q "
            'else cmcd_of_headers("RequestHeaders") end',
            "extra": sql.extra_map(
                {
                    "host-port": 'odd_port("ClientRequestHost")',
                    "UpperTierColoID": f"nullif({_number('UpperTierColoID')}, 0)",
                    "CacheTieredFill": f"case when {_TIERED} then 'true' end",
                }
            ),
        }
