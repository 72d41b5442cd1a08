"""Azure Front Door: access log of Azure Monitor, one JSON object a line.

Traps: every value is text, flags and numbers too; `time` is when the response was delivered, the
END, and timeTaken is seconds; requestUri is absolute with its port; clientIp is what the viewer's
X-Forwarded-For claims where there is one, socketIp is the peer; a request that a parent cache
answered has a second row with isReceivedFromClient false, which is no viewer's; the error stands as
errorInfo, as ErrorInfo, or as both. The blob PT1H.json
is appended to within its hour: each reading of it is a new version of the same key, which replaces
the one before.

Sources: the vendor's diagnostic logs page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lake import canonical as sql
from lake.formats import ndjson
from lake.formats.base import Family, Judgement, Layout, Look, Reject, Row
from lake.formats.heads import first_lines, keys_look
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.source import Source
from lake.unknown import unknown_keys

_PROPERTIES = {
    "backendHostname": "VARCHAR",
    "cacheStatus": "VARCHAR",
    "clientCountry": "VARCHAR",
    "clientIp": "VARCHAR",
    "clientPort": "INTEGER",
    "endpoint": "VARCHAR",
    "errorInfo": "VARCHAR",
    "hostName": "VARCHAR",
    "httpMethod": "VARCHAR",
    "httpStatusCode": "INTEGER",
    "httpVersion": "VARCHAR",
    "isReceivedFromClient": "BOOLEAN",
    "originIp": "VARCHAR",
    "originName": "VARCHAR",
    "pop": "VARCHAR",
    "referer": "VARCHAR",
    "requestBytes": "BIGINT",
    "requestUri": "VARCHAR",
    "responseBytes": "BIGINT",
    "securityCipher": "VARCHAR",
    "securityProtocol": "VARCHAR",
    "socketIp": "VARCHAR",
    "timeTaken": "DOUBLE",
    "timeToFirstByte": "DOUBLE",
    "trackingReference": "VARCHAR",
    "userAgent": "VARCHAR",
}
FIELDS: dict[str, str] = {
    "time": "VARCHAR",
    "category": "VARCHAR",
    **{f"properties/{name}": kind for name, kind in _PROPERTIES.items()},
}
_ERROR, _ERROR_TOO = "properties/errorInfo", "properties/ErrorInfo"
#: a struct has no two members that differ in case alone: a file is read by the one it has
_OTHER_FIELDS = {_ERROR_TOO if n == _ERROR else n: kind for n, kind in FIELDS.items()}
_REQUIRED = ("time", "properties/requestUri", "properties/httpStatusCode")
#: known fields that nothing is made of
_LEFT_OUT = (
    "operationName", "resourceId", "properties/domain", "properties/httpStatusDetails",
    "properties/clientJA4FingerPrint", "properties/originUrl", "properties/originCryptProtocol",
    "properties/originCryptCipher", "properties/requestProtocol", "properties/result",
    "properties/routingRuleName", "properties/rulesEngineMatchNames", "properties/securityCurves",
    "properties/sni",
)  # fmt: skip
_NULLS = ("", "-", "N/A", "n/a")
_ACCESS_LOG = "frontdooraccesslog"


def _raw(name: str) -> str:
    return f'"properties/{name}"'


def _text(name: str) -> str:
    return f"nullif(null_if_empty({_raw(name)}), 'N/A')"


def _number(name: str) -> str:
    return f"try_cast({_raw(name)} as {_PROPERTIES[name]})"


def _seconds_as_ms(name: str) -> str:
    return sql.sane_ms(sql.as_ms(_number(name)))


_END = f"""case when lower(coalesce("category", '{_ACCESS_LOG}')) = '{_ACCESS_LOG}'
  then {sql.rfc3339('"time"')} end"""
_CACHE = f"""case upper({_raw("cacheStatus")})
  when 'HIT' then 'HIT' when 'REMOTE_HIT' then 'SHIELD_HIT'
  when 'MISS' then 'MISS' when 'PARTIAL_HIT' then 'MISS'
  when 'CONFIG_NOCACHE' then 'BYPASS' when 'CACHE_NOCONFIG' then 'BYPASS'
  when 'PRIVATE_NOSTORE' then 'BYPASS' else 'UNKNOWN' end"""
_FROM_CLIENT = f"coalesce({_number('isReceivedFromClient')}, true)"
_GONE = f"""({_number("httpStatusCode")} in (0, 499)
  or coalesce({_raw("errorInfo")} = 'ClientDisconnected', false))"""


class AzureFrontDoor(Family):
    """FrontDoorAccessLog."""

    name = "azure_front_door"
    version = 3
    record = CDN_REQUESTS
    cdn = "azure"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for an entry whose properties are those of a request."""
        is_access = any(b'"httpStatusCode"' in line for line in first_lines(head))
        return keys_look(head, ("time", "properties"), 2) if is_access else None

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Tell numbers and flags that every line has from those that may be missing."""
        if previous is not None:
            return previous
        is_other = b'"ErrorInfo"' in head and b'"errorInfo"' not in head
        fields = _OTHER_FIELDS if is_other else FIELDS
        known = (*_LEFT_OUT, _ERROR, _ERROR_TOO)
        return ndjson.layout_of(head, fields, _REQUIRED, _NULLS, known)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return ndjson.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return None: the reader gives a row for every line that is not blank."""
        return None

    def unknown_fields(self, lines: Lines) -> Iterable[str]:
        """Return keys without a column, of a sample of the lines."""
        return unknown_keys(lines, (*FIELDS, *_LEFT_OUT, _ERROR_TOO))

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line; a line of another log (the firewall's, say) is rejected by its name."""
        fields = FIELDS if _ERROR in layout.columns else _OTHER_FIELDS
        found = ndjson.judge(line, fields, layout, ("time",))
        if isinstance(found, Row):
            if (found.values["category"] or _ACCESS_LOG).lower() != _ACCESS_LOG:
                return Reject("wrong_category")
            if any(found.values[c] is None or found.values[c] in _NULLS for c in _REQUIRED):
                return Reject("missing_field")
        return found

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, URL parts and cache status."""
        return {
            "end_at": _END,
            "taken_d": _seconds_as_ms("timeTaken"),
            "event_time": sql.later("end_at", "-coalesce(taken_d, 0)"),
            **sql.url_steps(_raw("requestUri")),
            "host_raw_d": f"coalesce({_text('hostName')}, authority_d)",
            "host_l": "plain_host(host_raw_d)",
            **sql.path_steps("uri_path_d"),
            "cache_d": _CACHE,
            "told_d": f"case when {_text('trackingReference')} is null then {_raw('requestUri')} "
            "else path_0 end",
            "claim_d": f"case when {_raw('clientIp')} <> {_raw('socketIp')} "
            f"then {_text('clientIp')} end",
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        return {
            "event_time_precision": "case when contains(\"time\", '.') "
            "then 'end_us' else 'end_s' end",
            "end_time": "end_at",
            "row_key": sql.row_key(
                [
                    *(_raw("trackingReference"), "epoch_us(end_at)", "host_raw_d", "told_d"),
                    *(_raw("pop"), _FROM_CLIENT, _raw("socketIp"), _raw("clientPort")),
                ]
            ),
            "producer": _text("endpoint"),
            "customer": sql.lookup("host_l", source.customers),
            "parent_hop": f"case when not {_FROM_CLIENT} then {_text('trackingReference')} end",
            "request_id": _text("trackingReference"),
            "pop": _text("pop"),
            "pop_iata": f"iata({_text('pop')})",
            "client_ip": f"coalesce({_text('socketIp')}, {_text('clientIp')})",
            "client_port": _number("clientPort"),
            "country": f"case when length({_raw('clientCountry')}) = 2 "
            f"then upper({_raw('clientCountry')}) end",
            "host": "host_l",
            "scheme": "scheme_d",
            "method": _text("httpMethod"),
            "path_raw": "path_0",
            "path": "path_d",
            "query_raw": sql.allowed_query("query_d", source.privacy.query_allow),
            "status": _number("httpStatusCode"),
            "bytes_out_total": _number("responseBytes"),
            "bytes_in": _number("requestBytes"),
            "ttfb_ms": _seconds_as_ms("timeToFirstByte"),
            "duration_ms": "taken_d",
            "cache_status": "cache_d",
            "cache_status_raw": _text("cacheStatus"),
            "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
            "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
            "client_aborted": _GONE,
            "http_version": f"case when starts_with({_raw('httpVersion')}, 'HTTP') "
            f"then {_raw('httpVersion')} else 'HTTP/' || {_text('httpVersion')} end",
            "tls_version": _text("securityProtocol"),
            "tls_cipher": _text("securityCipher"),
            "user_agent": _text("userAgent"),
            "referer": f"referer_of({_text('referer')})",
            "origin_ip": _text("originIp"),
            "error_detail": f"nullif({_text('errorInfo')}, 'NoError')",
            "is_viewer": _FROM_CLIENT,
            "object_type": "object_type_of(path_d, ext_d)",
            "stream_kind": "stream_kind_of(path_d, ext_d)",
            "cmcd": "cmcd_of(query_d)",
            "extra": sql.extra_map(
                {
                    "x-forwarded-for": "claim_d",
                    "host-port": "odd_port(authority_d)",
                    "origin": f"coalesce({_text('originName')}, {_text('backendHostname')})",
                }
            ),
        }
