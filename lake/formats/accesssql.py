"""SQL of what access logs share: instants, durations, request lines, lists of upstream times.

Belongs here: expressions over the fields of lake/formats/access.py. Does not: which canonical
column they become (there), or macros that all families share (lake/canonical.py).
"""

from __future__ import annotations

from lake import canonical as sql
from lake.formats.base import Layout

#: number -> DuckDB type; they are read as text and tried, because a hyphen stands for none
NUMBERS = {
    "body_bytes": "BIGINT", "total_bytes": "BIGINT", "bytes_in": "BIGINT",
    "content_length": "BIGINT", "client_port": "INTEGER", "duration_s": "DOUBLE",
    "duration_ms": "DOUBLE", "duration_us": "DOUBLE", "ttfb_s": "DOUBLE", "ttfb_us": "DOUBLE",
}  # fmt: skip
#: stamps from the finest to the coarsest, each of the start or of the end of a request
STAMPS = tuple(
    f"{end}_{kind}"
    for kind in ("epoch_us", "epoch_ms", "epoch_s", "iso", "local")
    for end in ("end", "start")
)
_UNITS_US = {"duration_us": 1, "duration_ms": 1_000, "duration_s": 1_000_000}
_EPOCHS_US = {"epoch_us": 1, "epoch_ms": 1_000, "epoch_s": 1_000_000}
_MAX_DURATION_US = 10**15
_PEER = r"'([0-9.]{7,15}|\[?[0-9a-fA-F]*:[0-9a-fA-F:]+\]?)(:[0-9]+)?$'"
_CMCD_HEADERS = ("cmcd_object", "cmcd_request", "cmcd_session", "cmcd_status")


class Fields:
    """Fields of a layout as SQL; one that the format does not have is a typed null."""

    def __init__(self, layout: Layout) -> None:
        """Take the fields of a layout."""
        self._known = layout.columns

    def __contains__(self, name: str) -> bool:
        """Tell whether the format has a field."""
        return name in self._known

    def __call__(self, name: str) -> str:
        """Return a field as text."""
        return f'"{name}"' if name in self._known else "cast(null as varchar)"

    def number(self, name: str) -> str:
        """Return a field as the number it is."""
        return f"try_cast({self(name)} as {NUMBERS[name]})"

    def unescaped(self, name: str) -> str:
        """Return a field with the server's escapes undone; text that is no UTF-8 then stays."""
        value = self(name)
        if name not in self:
            return value
        encoded = _percent(f"replace({value}, '%', '%25')")
        return (
            f"case when contains({value}, '\\') then coalesce(try(url_decode({encoded})), {value}) "
            f"else {value} end"
        )


def _percent(value: str) -> str:
    r"""Return text with its escapes (\xHH, \", \\ and C's) as percent-encoding."""
    for escape, code in (
        (r"\\", "%5C"), (r"\"", "%22"), (r"\t", "%09"), (r"\n", "%0A"), (r"\r", "%0D"),
        (r"\b", "%08"), (r"\v", "%0B"), (r"\f", "%0C"), (r"\x", "%"),
    ):  # fmt: skip
        value = f"replace({value}, '{escape}', '{code}')"
    return value


def _as_sent(value: str) -> str:
    """Return a target, a path or a query as the client sent it: still percent-encoded."""
    return f"case when contains({value}, '\\') then {_percent(value)} else {value} end"


def stamp_of(layout: Layout) -> str:
    """Return the finest stamp that a format has."""
    return next(stamp for stamp in STAMPS if stamp in layout.columns)


def instant(stamp: str) -> str:
    """Return the SQL of a stamp's instant; null for what is none."""
    value = f'"{stamp}"'
    kind = stamp.partition("_")[2]
    if kind == "local":
        return f"try_strptime({value}, '%d/%b/%Y:%H:%M:%S %z')"
    if kind == "iso":
        found = f"try_cast({value} as timestamptz)"
        return f"case when isfinite({found}) then {found} end"
    return f"try(make_timestamptz({_micros(value, _EPOCHS_US[kind])}))"


def precision(stamp: str) -> str:
    """Return the SQL of what was stamped, and how finely."""
    end, _, kind = stamp.partition("_")
    if kind == "epoch_s":
        return f"case when contains(\"{stamp}\", '.') then '{end}_ms' else '{end}_s' end"
    return f"'{end}_{kind.removeprefix('epoch_') if kind.startswith('epoch') else 's'}'"


def times(layout: Layout) -> dict[str, str]:
    """Return the derived columns taken_us, event_time and end_at."""
    f, stamp = Fields(layout), stamp_of(layout)
    duration = next((name for name in _UNITS_US if name in f), None)
    taken = "cast(null as bigint)"
    if duration:
        micros = _micros(f(duration), _UNITS_US[duration])
        taken = f"case when {micros} between 0 and {_MAX_DURATION_US} then {micros} end"
    if stamp.startswith("start"):
        ends = "event_time + to_microseconds(taken_us)"
        return {"taken_us": taken, "event_time": instant(stamp), "end_at": ends}
    # in one expression: the parser judges a line by its event_time alone
    starts = f"{instant(stamp)} - to_microseconds(coalesce({taken}, 0))"
    if not stamp.endswith("local"):  # any year may be written, not every one computed with
        starts = f"try({starts})"
    ends = "event_time + to_microseconds(coalesce(taken_us, 0))"
    return {"taken_us": taken, "event_time": starts, "end_at": ends}


def _micros(value: str, unit: int) -> str:
    return f"try_cast(round(try_cast({value} as double) * {unit}) as bigint)"


def request(f: Fields) -> dict[str, str]:
    """Return the derived columns of the request: method, target and what the target says.

    A request line that is none (a hyphen, bytes of a handshake) has no method and no path. Of an
    absolute URI scheme and host are taken; that of CONNECT is a host. What follows the question
    mark is cut off first: CMCD makes it the longest part by far.
    """
    return {
        **_request_line(f),
        "bare_d": "split_part(target_d, '?', 1)",
        "is_absolute_d": "not starts_with(bare_d, '/') and contains(bare_d, '://')",
        "origin_d": "case when is_absolute_d then split_part(split_part(bare_d, '://', 2), '/', 1) "
        "when method_d = 'CONNECT' then target_d end",
        "rest_d": "case when is_absolute_d "
        "then substr(bare_d, strpos(bare_d, '://') + 3 + length(origin_d)) end",
        "local_d": "case when is_absolute_d "
        "then case when starts_with(rest_d, '/') then rest_d else '/' || rest_d end "
        "when method_d = 'CONNECT' then null else bare_d end",
        "named_d": f"coalesce({f('host')}, split_part(origin_d, '@', -1), {f('server_name')})",
        "host_l": "plain_host(named_d)",
        **_path("without_query(local_d)"),
        "asked_d": "case when local_d is not null and length(target_d) > length(bare_d) + 1 "
        "then substr(target_d, length(bare_d) + 2) end",
        "query_d": _as_sent("asked_d"),
    }


def _path(path: str) -> dict[str, str]:
    """Return the steps to the path's fixpoint; the server's own escapes go first."""
    logged = {"path_0": path, "sent_d": _as_sent("path_0")}
    return {**logged, **sql.path_steps(path), "path_1": "decode_once(sent_d)"}


def _request_line(f: Fields) -> dict[str, str]:
    if "request" not in f:
        target = f("target")
        if "target" not in f:
            target = f"{f('path')} || coalesce('?' || nullif(ltrim({f('query')}, '?'), ''), '')"
        return {"method_d": f("method"), "protocol_d": f("protocol"), "target_d": target}
    return {
        "request_w": f"string_split({f('request')}, ' ')",
        "is_line_d": "coalesce(len(request_w) > 1 "
        "and regexp_full_match(request_w[1], '[A-Za-z_-]{1,32}'), false)",
        "protocol_d": "case when is_line_d and starts_with(request_w[-1], 'HTTP/') "
        "then request_w[-1] end",
        "method_d": "case when is_line_d then request_w[1] end",
        "target_d": "case when not is_line_d then null "
        "when protocol_d is null then array_to_string(request_w[2:], ' ') "
        "when len(request_w) = 3 then request_w[2] "
        "else array_to_string(request_w[2:-2], ' ') end",
    }


def scheme(f: Fields) -> str:
    """Return the SQL of the scheme: logged, of an absolute URI, or by what TLS says."""
    by_tls = f"case when {f('tls_version')} is not null then 'https' else 'http' end"
    found = [f"lower({f('scheme')})"] if "scheme" in f else []
    found.append("case when is_absolute_d then lower(split_part(bare_d, '://', 1)) end")
    return f"coalesce({', '.join([*found, *([by_tls] if 'tls_version' in f else [])])})"


def row_key(f: Fields) -> str:
    """Return the SQL of a row's key: by the request's id, else by the whole line.

    Without an id nothing less tells two requests apart; with one, what a query string adds is not
    worth hashing it.
    """
    whole = sql.row_key([f("line")])
    if "request_id" not in f:
        return whole
    told = ["epoch_us(event_time)", f("client"), "host_l", "method_d", "path_0", '"status"']
    own = sql.row_key([f("request_id"), *told])
    return f"case when {f('request_id')} is not null then {own} else {whole} end"


def cmcd(f: Fields) -> str:
    """Return the SQL of the CMCD dictionary: of the query, else of the four headers.

    A header holds text as it is, and keys are sorted header by header: an empty member between.
    """
    headers = [f"cmcd_text({f.unescaped(name)})" for name in _CMCD_HEADERS if name in f]
    if not headers:
        return "cmcd_q"
    joined = f"concat_ws('%2C%20%2C', {', '.join(headers)})"
    return f"case when cmcd_q <> '' then cmcd_q else {joined} end"


def range_bounds(f: Fields) -> dict[str, str]:
    """Return the columns of the requested range; several ranges have no bounds."""
    value = f("range")
    if "range" not in f:
        return {}
    # of `-500`, the last 500 bytes, nobody knows where they begin and end
    found = {
        name: f"try_cast(regexp_extract({value}, '^bytes=([0-9]+)-([0-9]*)$', {group}) as bigint)"
        for group, name in ((1, "range_start"), (2, "range_end"))
    }
    return {"range_raw": value, **found}


def upstreams(f: Fields) -> dict[str, str]:
    """Return the columns of the origin: times are sums over all that were tried, the rest the last.

    nginx separates upstreams of one try by a comma and those of internal redirects by a colon.
    """
    found: dict[str, str] = {}
    if "upstream_s" in f:
        found["origin_duration_ms"] = _sum_ms(f("upstream_s"))
    if "upstream_header_s" in f:
        found["origin_ttfb_ms"] = _sum_ms(f("upstream_header_s"))
    if "upstream_status" in f:
        status = f"regexp_extract({f('upstream_status')}, '([0-9]{{3}})$', 1)"
        found["origin_status"] = f"try_cast({status} as integer)"
    if "upstream" in f:
        # an IPv6 address stands in brackets, which are none of it
        peer = f"regexp_extract({f('upstream')}, {_PEER}, 1)"
        found["origin_ip"] = f"nullif(trim({peer}, '[]'), '')"
    return found


def _sum_ms(value: str) -> str:
    one = f"try_cast({value} as double)"
    parts = f"string_split_regex({value}, '[ ,:]+')"
    several = f"list_sum(list_filter(list_transform({parts}, lambda v: try_cast(v as double)), "
    several += "lambda v: isfinite(v)))"
    return (
        f"case when {value} is null then null when {one} is null then round({several} * 1000, 3) "
        f"when isfinite({one}) then round({one} * 1000, 3) end"
    )
