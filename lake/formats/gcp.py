"""Google Cloud CDN and Media CDN: request logs as LogEntry of Cloud Logging, NDJSON.

One family: both put the request into httpRequest; Cloud CDN says the rest in flags there and in
statusDetails, Media CDN in jsonPayload. Traps: 64-bit numbers are text, false flags and zeros are
left out, durations are text like `0.123s`; a chain of caches reads from the origin to the viewer;
Media CDN logs its own requests to the origin too, told by backendLatency; Media CDN does not say
which viewer left early. A retried export repeats insertId and timestamp.

Sources: LogEntry and HttpRequest references, Media CDN's request logging page.
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

_HTTP = {
    "requestMethod": "VARCHAR",
    "requestUrl": "VARCHAR",
    "requestSize": "BIGINT",
    "status": "INTEGER",
    "responseSize": "BIGINT",
    "userAgent": "VARCHAR",
    "remoteIp": "VARCHAR",
    "serverIp": "VARCHAR",
    "referer": "VARCHAR",
    "protocol": "VARCHAR",
    "latency": "VARCHAR",
    "cacheLookup": "BOOLEAN",
    "cacheHit": "BOOLEAN",
    "cacheValidatedWithOriginServer": "BOOLEAN",
}
_PAYLOAD = (
    "backendInitialLatency", "backendLatency", "cacheId", "cacheStatus", "clientRegionCode",
    "cmcd", "httpTtfb", "latency", "metroIataCode", "originIp", "proxyStatus", "rangeHeader",
    "requestId", "statusDetails", "tlsCipherSuite", "tlsVersion",
)  # fmt: skip
FIELDS: dict[str, str] = {
    "insertId": "VARCHAR",
    "timestamp": "VARCHAR",
    **{f"httpRequest/{name}": kind for name, kind in _HTTP.items()},
    **{f"jsonPayload/{name}": "VARCHAR" for name in _PAYLOAD},
    "jsonPayload/clientAsn": "BIGINT",
    "resource/labels/service_name": "VARCHAR",
    "resource/labels/url_map_name": "VARCHAR",
}
_REQUIRED = ("timestamp", "httpRequest/requestUrl")
#: known fields that nothing is made of
_LEFT_OUT = (
    "logName", "receiveTimestamp", "severity", "spanId", "trace", "traceSampled", "resource/type",
    *(f"resource/labels/{name}" for name in (
        "backend_service_name", "forwarding_rule_name", "location", "matched_path",
        "path_matcher_name", "project_id", "resource_container", "route_destination",
        "route_type", "target_proxy_name", "zone",
    )),
    "httpRequest/cacheFillBytes",
    *(f"jsonPayload/{name}" for name in (
        "@type", "cacheDecision", "cacheKeyFingerprint", "cacheMode", "clientCity",
        "compressionAlgorithmApplied", "enforcedSecurityPolicy", "flexShieldingRegion",
        "flexShieldingStatus", "location", "origin", "originalRequestId", "previewSecurityPolicy",
        "proxyRegionCode", "remoteIp", "tlsSniHostname",
    )),
)  # fmt: skip


def _http(name: str) -> str:
    return f'"httpRequest/{name}"'


def _payload(name: str) -> str:
    return f'"jsonPayload/{name}"'


def _text(column: str) -> str:
    return f"null_if_empty({column})"


def _label(name: str) -> str:
    return _text(f'"resource/labels/{name}"')


def _duration_ms(column: str) -> str:
    """Return the SQL of a duration in ms, sane or not: a column of its own, as it costs."""
    is_plain = f"ends_with({column}, 's') and not ends_with({column}, 'ss')"
    text = f"case when {is_plain} then left({column}, -1) else rtrim({column}, 's') end"
    return sql.as_ms(f"try_cast({text} as double)")


def _flag(name: str) -> str:
    return f"coalesce(try_cast({_http(name)} as boolean), false)"


_DETAILS = _payload("statusDetails")
#: of Media CDN: what each cache said, from the origin to the viewer; `stale` comes after its hit
_OF_CHAIN = """case
  when ends_with(chain_d, 'stale') or ends_with(chain_d, 'updating') then 'STALE'
  when contains(chain_d, 'revalidated') then 'REVALIDATED'
  when ends_with(chain_d, 'hit') then 'HIT'
  when contains(chain_d, 'hit') then 'SHIELD_HIT'
  when contains(chain_d, 'uncacheable') or contains(chain_d, 'bypass') then 'BYPASS'
  when ends_with(chain_d, 'miss') or ends_with(chain_d, 'fetch') then 'MISS'
  else 'UNKNOWN' end"""
#: of Cloud CDN
_OF_FLAGS = f"""case
  when {_flag("cacheHit")} then case
    when {_flag("cacheValidatedWithOriginServer")} then 'REVALIDATED' else 'HIT' end
  when starts_with({_DETAILS}, 'redirect') then 'SYNTH'
  when starts_with({_DETAILS}, 'failed_to') or starts_with({_DETAILS}, 'denied_by')
    or {_DETAILS} = 'internal_error' then 'ERROR'
  when {_flag("cacheLookup")} then 'MISS'
  when {_DETAILS} = 'response_sent_by_backend' then 'BYPASS'
  else 'UNKNOWN' end"""
_CACHE = f"case when chain_d is not null then {_OF_CHAIN} else {_OF_FLAGS} end"
_GONE = f"""(status_d in (0, 499)
  or coalesce(starts_with({_DETAILS}, 'client_disconnected'), false))"""
_PORT = r"(?:^[0-9.]+|\]):([0-9]+)$"
_IP = f"""case when starts_with({_http("remoteIp")}, '[')
    then split_part(substr({_http("remoteIp")}, 2), ']', 1)
  when contains({_http("remoteIp")}, '.') and contains({_http("remoteIp")}, ':')
    then regexp_replace({_http("remoteIp")}, '^([0-9.]+):[0-9]+$', '\\1')
  else {_text(_http("remoteIp"))} end"""
#: as text or as an object of wire keys
_CMCD = f"""case when cmcd_q <> '' then cmcd_q
  when starts_with({_payload("cmcd")}, '{{') then cmcd_text(cmcd_of_json({_payload("cmcd")}))
  else {_text(_payload("cmcd"))} end"""


class GoogleCdn(Family):
    """Cloud CDN (http_load_balancer) and Media CDN (edgecache) entries."""

    name = "gcp_cdn"
    judges_times_as_read = True
    version = 3
    record = CDN_REQUESTS
    cdn = "gcp"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for a LogEntry of a request."""
        return keys_look(head, ("httpRequest", "timestamp"), 2)

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Tell numbers and flags that every line has from those that may be missing."""
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
        """Judge one line; an entry without a request (an audit log, say) is none of these."""
        return ndjson.judge(line, FIELDS, layout, _REQUIRED)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, URL parts, chain of caches, cache status and CMCD."""
        return {
            "event_time": sql.rfc3339('"timestamp"'),
            "took_d": _duration_ms(_payload("latency")),
            "http_took_d": f"case when ({sql.sane_ms('took_d')}) is null "
            f"then {_duration_ms(_http('latency'))} end",
            "taken_d": f"coalesce({sql.sane_ms('took_d')}, {sql.sane_ms('http_took_d')})",
            "ttfb_d": _duration_ms(_payload("httpTtfb")),
            "origin_ttfb_d": _duration_ms(_payload("backendInitialLatency")),
            "origin_took_d": _duration_ms(_payload("backendLatency")),
            "status_d": f"coalesce(try_cast({_http('status')} as integer), 0)",
            **sql.url_steps(_http("requestUrl")),
            "host_l": "plain_host(authority_d)",
            **sql.path_steps("uri_path_d"),
            "chain_d": f"lower(replace({_text(_payload('cacheStatus'))}, ' ', ''))",
            "cache_d": _CACHE,
            "cmcd_q": "cmcd_of(query_d)",
            "cmcd_d": _CMCD,
            "pop_d": _text(f"trim(split_part({_payload('cacheId')}, ',', -1))"),
            "told_d": f'case when null_if_empty("insertId") is null then {_http("requestUrl")} '
            "else path_0 end",
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        return {
            "event_time_precision": "case when contains(\"timestamp\", '.') "
            "then 'start_us' else 'start_s' end",
            "end_time": sql.later("event_time", "taken_d"),
            "row_key": sql.row_key(
                [
                    *('"insertId"', "epoch_us(event_time)", _payload("requestId")),
                    *("host_l", "told_d", _http("remoteIp"), "status_d"),
                ]
            ),
            "producer": f"coalesce({_label('service_name')}, {_label('url_map_name')})",
            "customer": sql.lookup("host_l", source.customers),
            "request_id": f'coalesce({_text(_payload("requestId"))}, null_if_empty("insertId"))',
            "pop": "upper(split_part(pop_d, '-', 1))",
            "pop_iata": f"coalesce(upper({_text(_payload('metroIataCode'))}), iata(pop_d))",
            "client_ip": _IP,
            # of text without a colon there is no port to look for
            "client_port": f"case when contains({_http('remoteIp')}, ':') then try_cast(nullif("
            f"regexp_extract({_http('remoteIp')}, '{_PORT}', 1), '') as integer) end",
            "asn": f"try_cast({_payload('clientAsn')} as bigint)",
            "country": f"upper({_text(_payload('clientRegionCode'))})",
            "host": "host_l",
            "scheme": "scheme_d",
            "method": _text(_http("requestMethod")),
            "path_raw": "path_0",
            "path": "path_d",
            "query_raw": sql.allowed_query("query_d", source.privacy.query_allow),
            "status": "status_d",
            "bytes_out_total": f"coalesce(try_cast({_http('responseSize')} as bigint), 0)",
            "bytes_in": f"try_cast({_http('requestSize')} as bigint)",
            "ttfb_ms": sql.sane_ms("ttfb_d"),
            "duration_ms": "taken_d",
            "cache_status": "cache_d",
            "cache_status_raw": f"coalesce({_text(_payload('cacheStatus'))}, {_text(_DETAILS)})",
            "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
            "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
            "client_aborted": _GONE,
            "http_version": _text(_http("protocol")),
            "tls_version": _text(_payload("tlsVersion")),
            "tls_cipher": _text(_payload("tlsCipherSuite")),
            "user_agent": _text(_http("userAgent")),
            "referer": f"referer_of({_text(_http('referer'))})",
            "range_raw": _text(_payload("rangeHeader")),
            "origin_ip": f"coalesce({_text(_payload('originIp'))}, {_text(_http('serverIp'))})",
            "origin_ttfb_ms": sql.sane_ms("origin_ttfb_d"),
            "origin_duration_ms": sql.sane_ms("origin_took_d"),
            "error_detail": f"case when {_DETAILS} like 'response_%' "
            f"or {_DETAILS} like 'redirect%' or {_DETAILS} = 'byte_range_caching' then null "
            f"else {_text(_DETAILS)} end",
            "is_viewer": f"{_text(_payload('backendLatency'))} is null",
            "object_type": "object_type_of(path_d, ext_d)",
            "stream_kind": "stream_kind_of(path_d, ext_d)",
            "cmcd": "cmcd_d",
            "extra": sql.extra_map(
                {
                    "host-port": "odd_port(authority_d)",
                    "cacheId": f"case when contains({_payload('cacheId')}, ',') "
                    f"then {_payload('cacheId')} end",
                }
            ),
        }
