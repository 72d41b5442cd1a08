"""Akamai DataStream 2 as JSON, and what its fields mean in either form.

Traps: every value is text; `-` and `^` are nothing; characters outside 0x21-0x7E are URL-encoded;
reqPath has no slash in front; a reqId is used again, so that it names a request only with its time;
proto is the scheme (HTTPS) by the guide, and the version (HTTP/1.1) in real files; the user agent
may be encoded as a form is, with `+` for blanks; totalBytes counts TCP/IP overhead, bytes the body
alone; a row with isMidgress is traffic between Akamai's own servers; CMCD comes behind a prefix
like `//1.0@V/`. lastByte 0 is how a part of an object ends, too: it means that the viewer left only
where the whole was asked for. customField and cookie may hold anything and are not kept.

Sources: data set parameters and log format of the vendor's user guide; real files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lake import canonical as sql
from lake.formats import ndjson, tsv
from lake.formats.base import Family, Judgement, Layout, Look
from lake.formats.heads import keys_look
from lake.lines import Lines
from lake.records import CDN_REQUESTS
from lake.source import Source
from lake.unknown import unknown_keys

_TEXT = (
    "version", "streamId", "cp", "reqId", "reqTimeSec", "cliIP", "proto", "reqHost", "reqMethod",
    "reqPath", "rspContentType", "UA", "range", "referer", "xForwardedFor", "edgeIP", "errorCode",
    "tlsVersion", "queryStr", "cacheStatus", "cacheRefreshSrc", "cacheable", "country", "state",
    "breadcrumbs", "lastByte", "isMidgress", "serverCountry", "billingRegion", "cmcd",
)  # fmt: skip
#: numbers; all stand in the log as text, and any of them may be nothing
NUMBERS = {
    "statusCode": "INTEGER",
    "bytes": "BIGINT",
    "totalBytes": "BIGINT",
    "overheadBytes": "BIGINT",
    "reqPort": "INTEGER",
    "rspContentLen": "BIGINT",
    "asn": "BIGINT",
    "reqEndTimeMSec": "DOUBLE",
    "turnAroundTimeMSec": "DOUBLE",
    "transferTimeMSec": "DOUBLE",
    "timeToFirstByte": "DOUBLE",
}
#: known fields that nothing is made of: dropped without a word, as others are reported
LEFT_OUT = (
    "accLang", "city", "cookie", "customField", "dnsLookupTimeMSec", "downloadTime",
    "edgeAttempts", "ewExecutionInfo", "ewUsageInfo", "fileSizeBucket", "maxAgeSec", "objSize",
    "originContentLen", "securityRules", "tlsOverheadTimeMSec", "uncompressedSize",
)  # fmt: skip
FIELDS: dict[str, str] = dict.fromkeys((*_TEXT, *NUMBERS), "VARCHAR")
REQUIRED = ("reqTimeSec", "statusCode")

_SECONDS = 'try_cast("reqTimeSec" as double)'
_EVENT_TIME = f"""case when {_SECONDS} between 0 and 1e11
  then make_timestamptz(cast(round({_SECONDS} * 1e6) as bigint)) end"""
_TAKEN = sql.sane_ms(
    """coalesce(try_cast("reqEndTimeMSec" as double), 0)
  + try_cast("turnAroundTimeMSec" as double) + try_cast("transferTimeMSec" as double)"""
)
_PREFIX = "^(//|%2[Ff]%2[Ff])[^/@%]*(@|%40)[A-Za-z](/|%2[Ff])"
_CMCD_QUERY = """case when contains(query_d, 'cmcd=')
  then cmcd_of(replace(query_d, 'cmcd=', 'CMCD=')) else cmcd_of(query_d) end"""
# behind the prefix it is Akamai, not the player, that encodes quotes and leaves commas
_CMCD = f"""case when cmcd_0 is null or not (starts_with(cmcd_0, '//')
  or starts_with(lower(left(cmcd_0, 6)), '%2f%2f')) then cmcd_0
  else regexp_replace(replace(cmcd_0, '%22', '"'), '{_PREFIX}', '') end"""
_SOURCE = """upper("cacheRefreshSrc")"""
_CACHE = f"""case "cacheStatus"
  when '1' then case when {_SOURCE} = 'ORIGIN' then 'REVALIDATED' else 'HIT' end
  when '0' then case
    when {_SOURCE} in ('PARENT', 'PEER') or (contains(crumbs_d, 'c=c') and origin_d is null)
      then 'SHIELD_HIT'
    when "cacheable" = '0' then 'BYPASS' else 'MISS' end
  else 'UNKNOWN' end"""
#: the hop of a kind among breadcrumbs like [a=192.0.2.1,b=4f1,c=g,k=0,l=12],[a=...,c=o,...]
_HOP = r"\[[^\]]*c={kind}[,\]][^\[]*"
_ORIGIN = f"""case when contains(crumbs_d, 'c=o')
  then nullif(regexp_extract(crumbs_d, '{_HOP.format(kind="o")}'), '') end"""
_ABORTED = """(status_d = 0 or coalesce(starts_with("errorCode", 'ERR_CLIENT_ABORT'), false)
  or coalesce("lastByte" = '0' and status_d = 200 and "reqMethod" = 'GET', false))"""
#: a form's encoding turns blanks into `+`, and so has no other; elsewhere a `+` is one
_AGENT = """case when contains("UA", '+') then
    case when contains("UA", '%2F') and not contains("UA", '%20')
    then replace("UA", '+', '%20') else "UA" end
  else null_if_empty("UA") end"""
_IS_MIDGRESS = """(coalesce(null_if_empty("isMidgress"), '0') <> '0')"""


def _number(column: str) -> str:
    return f'try_cast("{column}" as {NUMBERS[column]})'


def _of_hop(hop: str, letter: str) -> str:
    """Return the SQL of one value of a breadcrumb; null where it has none."""
    return f"nullif(regexp_extract({hop}, '[\\[,]{letter}=([^,\\]]+)', 1), '')"


class AkamaiDataStream2(Family):
    """DataStream 2 as JSON, one object a line."""

    name = "akamai_ds2"
    version = 3
    record = CDN_REQUESTS
    cdn = "akamai"

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the vendor's own keys."""
        return keys_look(head, ("reqTimeSec", "statusCode"), 2)

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Return all fields as text: any may be missing, and every value is text anyway."""
        return previous or Layout(FIELDS, REQUIRED, NUMBERS, nulls=tsv.NULLS)

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the typed read."""
        return ndjson.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return None: the reader gives a row for every line that is not blank."""
        return None

    def unknown_fields(self, lines: Lines) -> Iterable[str]:
        """Return keys without a column, of a sample of the lines."""
        return unknown_keys(lines, (*FIELDS, *LEFT_OUT))

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line."""
        return ndjson.judge(line, FIELDS, layout, REQUIRED)

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return times, host, path, query, CMCD, breadcrumbs and cache status."""
        return {
            "event_time": _EVENT_TIME,
            "taken_d": _TAKEN,
            "status_d": _number("statusCode"),
            "host_l": 'plain_host(null_if_empty("reqHost"))',
            **sql.path_steps(
                'case when starts_with("reqPath", \'/\') then "reqPath" '
                "when \"reqPath\" = '' then '/' else '/' || null_if_empty(\"reqPath\") end"
            ),
            "query_d": 'null_if_empty("queryStr")',
            "cmcd_0": f'coalesce(null_if_empty("cmcd"), {_CMCD_QUERY})',
            "cmcd_d": _CMCD,
            "crumbs_d": 'decode_once(null_if_empty("breadcrumbs"))',
            "origin_d": _ORIGIN,
            "cache_d": _CACHE,
            "told_d": "case when null_if_empty(\"reqId\") is null then query_d else '' end",
            "agent_d": _AGENT,
            "claim_d": 'forwarded_for(null_if_empty("xForwardedFor"))',
            "port_d": 'coalesce(odd_port("reqHost"), '
            f"cast(nullif(nullif({_number('reqPort')}, 80), 443) as varchar))",
            "range_d": "case when contains(\"range\", ',') then null "
            "else replace(null_if_empty(\"range\"), 'bytes=', '') end",
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        edge = f"regexp_extract(crumbs_d, '{_HOP.format(kind='g')}')"
        return {
            "event_time_precision": "case when contains(\"reqTimeSec\", '.') "
            "then 'start_ms' else 'start_s' end",
            "end_time": sql.later("event_time", "taken_d"),
            "row_key": sql.row_key(
                [
                    *('"reqId"', "epoch_us(event_time)", '"cliIP"', '"reqHost"', '"reqPath"'),
                    *("told_d", "status_d", '"isMidgress"', '"edgeIP"'),
                ]
            ),
            "producer": 'null_if_empty("cp")',
            "customer": sql.lookup("host_l", source.customers),
            "parent_hop": f"case when {_IS_MIDGRESS} then {_of_hop(edge, 'b')} end",
            "request_id": 'null_if_empty("reqId")',
            "pop": 'null_if_empty("serverCountry")',
            "client_ip": 'null_if_empty("cliIP")',
            "asn": _number("asn"),
            "country": 'upper(null_if_empty("country"))',
            "region": 'case when regexp_full_match("state", \'[A-Z0-9]{1,3}\') then "state" end',
            "host": "host_l",
            "scheme": "case when \"proto\" in ('HTTPS', 'HTTP') then lower(\"proto\") "
            'when null_if_empty("tlsVersion") is not null or "reqPort" = \'443\' '
            "then 'https' when \"reqPort\" = '80' then 'http' end",
            "method": 'null_if_empty("reqMethod")',
            "path_raw": "path_0",
            "path": "path_d",
            "query_raw": sql.allowed_query("query_d", source.privacy.query_allow),
            "status": "status_d",
            **_sizes(),
            "ttfb_ms": f"coalesce({_number('timeToFirstByte')}, {_number('turnAroundTimeMSec')})",
            "duration_ms": "taken_d",
            "cache_status": "cache_d",
            "cache_status_raw": "nullif(concat_ws('/', null_if_empty(\"cacheStatus\"), "
            "null_if_empty(\"cacheRefreshSrc\")), '')",
            "is_edge_hit": "cache_d in ('HIT', 'STALE', 'REVALIDATED')",
            "is_origin_fetch": "cache_d in ('MISS', 'BYPASS', 'REVALIDATED')",
            "client_aborted": _ABORTED,
            "http_version": "case when \"proto\" in ('HTTPS', 'HTTP', '', '-', '^') then null "
            'else "proto" end',
            "tls_version": 'null_if_empty("tlsVersion")',
            "user_agent": "decode_once(agent_d)",
            "referer": 'referer_of(decode_once(null_if_empty("referer")))',
            "content_type": 'decode_once(null_if_empty("rspContentType"))',
            "origin_ip": _of_hop("origin_d", "a"),
            "origin_duration_ms": f"coalesce(try_cast({_of_hop('origin_d', 'l')} as double), "
            f"case when \"cacheStatus\" = '0' and {_SOURCE} = 'ORIGIN' "
            f"then {_number('turnAroundTimeMSec')} end)",
            "error_detail": 'null_if_empty("errorCode")',
            "is_viewer": f"not {_IS_MIDGRESS}",
            "object_type": "object_type_of(path_d, ext_d)",
            "stream_kind": "stream_kind_of(path_d, ext_d)",
            "cmcd": "cmcd_d",
            "extra": sql.extra_map(
                {
                    "x-forwarded-for": "claim_d",
                    "host-port": "port_d",
                    "billingRegion": 'null_if_empty("billingRegion")',
                }
            ),
        }


def _sizes() -> dict[str, str]:
    """Return the columns of bytes; with headers is what is left without the network's overhead."""
    total, overhead = _number("totalBytes"), _number("overheadBytes")
    return {
        "bytes_out_total": f"coalesce(case when {overhead} between 0 and {total} "
        f"then {total} - {overhead} end, {total}, {_number('bytes')})",
        "bytes_out_body": _number("bytes"),
        "bytes_out_network": total,
        "content_length": _number("rspContentLen"),
        "range_raw": 'null_if_empty("range")',
        "range_start": "try_cast(split_part(range_d, '-', 1) as bigint)",
        # of `-500`, the last 500 bytes, nobody knows where they begin and end
        "range_end": "case when not starts_with(range_d, '-') "
        "then try_cast(split_part(range_d, '-', 2) as bigint) end",
    }
