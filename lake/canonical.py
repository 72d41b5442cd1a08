"""SQL that every family shares on its way to the canonical record.

The macros are pure functions of one row. `decode_once` never fails: text that does not decode
stays as it was. Sources: RFC 3986 (percent-encoding), CTA-5004 (CMCD).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lake.reads import quote_literal

_LONGEST_MS = 31 * 86_400_000
_WORD = re.compile(r"[a-z_][a-z0-9_]*")

MACROS = (
    """create or replace macro decode_once(t) as
       case when contains(t, '%') then coalesce(try(url_decode(t)), t) else t end""",
    """create or replace macro null_if_empty(t) as
       case when t in ('', '-', '^') then null else t end""",
    # X-Forwarded-For as plain text; its addresses are cut in lake.protection
    """create or replace macro forwarded_for(t) as replace(decode_once(t), '\\x20', ' ')""",
    """create or replace macro without_query(u) as case
       when contains(u, '#') then split_part(split_part(u, '?', 1), '#', 1)
       when contains(u, '?') then split_part(u, '?', 1) else u end""",
    "create or replace macro referer_of(u) as without_query(u)",
    """create or replace macro plain_host(h) as
       case when not contains(h, ':') then lower(h)
            when starts_with(h, '[') then lower(split_part(h, ']', 1) || ']')
            else lower(split_part(h, ':', 1)) end""",
    # the port of a Host header, where it is not the scheme's own
    """create or replace macro odd_port(h) as
       case when contains(h, ':') and regexp_matches(h, ':[0-9]+$') then
         nullif(nullif(regexp_extract(h, ':([0-9]+)$', 1), '443'), '80') end""",
    """create or replace macro iata(pop) as
       case when regexp_matches(pop, '^[A-Za-z]{3}([^A-Za-z]|$)') then upper(left(pop, 3)) end""",
    """create or replace macro cmcd_of(query) as case
       when starts_with(query, 'CMCD=') and not contains(query, '&') then substr(query, 6)
       when contains(query, 'CMCD=')
       then split_part(split_part('&' || query, '&CMCD=', 2), '&', 1) end""",
    # a CMCD dictionary as it stands in a header or a column, as a query would hold it
    "create or replace macro cmcd_text(dictionary) as url_encode(dictionary)",
    # a value of JSON as an item of RFC 8941, whose strings escape quote and backslash alone
    r"""create or replace macro cmcd_item(v) as case when json_type(v) = 'VARCHAR'
       then '"' || replace(replace(v ->> '$', '\', '\\'), '"', '\"') || '"'
       else cast(v as varchar) end""",
    # a CMCD dictionary out of a JSON object; tokens lose their quotes, arrays become inner lists,
    # and its keys, which have no order, are sorted
    """create or replace macro cmcd_of_json(object) as
       array_to_string(list_filter(list_transform(
         list_sort(map_entries(try(cast(cast(object as json) as map(varchar, json))))),
         lambda m: case when not regexp_full_match(m.key, '[A-Za-z0-9_.-]+') then null
           else case json_type(m.value)
             when 'BOOLEAN' then m.key || case when cast(m.value as varchar) = 'true' then ''
               else '=?0' end
             when 'NULL' then null
             when 'ARRAY' then m.key || '=(' || array_to_string(list_transform(
               try_cast(m.value as json[]), lambda i: cmcd_item(i)), ' ') || ')'
             else m.key || '=' || case when m.key in ('ot', 'sf', 'st', 'sta', 'e')
               then m.value ->> '$' else cmcd_item(m.value) end end end),
         lambda m: m is not null), ',')""",
    # CMCD-Object, -Request, -Session and -Status out of a JSON object of headers, in any case; an
    # empty member between them, because their keys are sorted header by header
    """create or replace macro cmcd_of_headers(headers) as case
       when contains(headers, 'mcd-') or contains(headers, 'MCD-') then
         nullif(array_to_string(list_transform(
           list_filter(try(json_keys(headers)), lambda k: lower(k) in
             ('cmcd-object', 'cmcd-request', 'cmcd-session', 'cmcd-status')),
           lambda k: url_encode(headers ->> ('$."' || k || '"'))), '%2C%20%2C'), '') end""",
    # init.mp4, init-stream0.m4s, video_init.cmfv; not /initial/1.mp4
    """create or replace macro segment_of(path) as
       case when contains(path, 'init') and regexp_matches(path, 'init([^a-z/][^/]*)?$')
            then 'init' else 'segment' end""",
    # extension: a column, as a case reads its operand again for each of its branches
    """create or replace macro object_type_of(path, extension) as case
         when extension in ('ts', 'aac', 'ac3', 'ec3') then 'segment'
         when extension in ('m4s', 'mp4', 'cmfv', 'cmfa', 'm4v', 'm4a', 'webm')
         then segment_of(path)
         when extension in ('m3u8', 'mpd') then 'manifest'
         when extension in ('vtt', 'webvtt', 'srt', 'ttml', 'dfxp', 'cmft') then 'caption'
         when extension = 'key' then 'key'
         else 'other' end""",
    """create or replace macro stream_kind_of(path, extension) as
       case when extension in ('m3u8', 'ts') or contains(path, '/hls/') then 'hls'
            when extension = 'mpd' or contains(path, '/dash/') then 'dash'
            else 'other' end""",
)

#: what replaces the macros that cut, where a person looks at a file of their own
AS_LOGGED = (
    "create or replace macro forwarded_for(t) as t",
    "create or replace macro referer_of(u) as u",
)


def path_steps(path: str, times: int = 3) -> dict[str, str]:
    """Return the derived columns that end in path_d, the path decoded to its fixpoint, and ext_d.

    Three times reaches the fixpoint of everything seen in real logs (%25252B). ext_d: what stands
    behind the last dot, in lower case; empty without one.
    """
    return {
        "path_0": path,
        **{f"path_{n}": f"decode_once(path_{n - 1})" for n in range(1, times)},
        "path_d": f"decode_once(path_{times - 1})",
        "ext_d": "case when contains(path_d, '.') "
        "then lower(split_part(path_d, '.', -1)) else '' end",
    }


def url_steps(url: str) -> dict[str, str]:
    """Return the derived columns of an absolute URL: scheme_d, authority_d, uri_path_d, query_d.

    Without a scheme it is a path; the authority keeps its port and loses a user. What follows the
    question mark is cut off first: CMCD makes it five times as long as the rest, which is looked
    at several times.
    """
    return {
        "bare_d": f"split_part({url}, '?', 1)",
        "colon_d": "strpos(bare_d, '://')",
        "scheme_d": "case when colon_d > 0 then lower(substr(bare_d, 1, colon_d - 1)) end",
        "rest_d": "case when colon_d > 0 then substr(bare_d, colon_d + 3) else bare_d end",
        "before_d": "case when contains(rest_d, '#') then split_part(rest_d, '#', 1) "
        "else rest_d end",
        "slash_d": "strpos(before_d, '/')",
        "login_d": "case when slash_d > 0 then substr(before_d, 1, slash_d - 1) else before_d end",
        "authority_d": "nullif(case when contains(login_d, '@') "
        "then split_part(login_d, '@', -1) else login_d end, '')",
        "uri_path_d": "case when slash_d > 0 then substr(before_d, slash_d) else '/' end",
        "asked_d": f"case when bare_d <> {url} then substr({url}, length(bare_d) + 2) end",
        "query_d": "nullif(case when contains(asked_d, '#') then split_part(asked_d, '#', 1) "
        "else asked_d end, '')",
    }


def rfc3339(column: str) -> str:
    """Return the SQL of an instant in RFC 3339, to the microsecond; null where it is none.

    A leap second, which no time stamp can hold, is the last millisecond before it.
    """
    whole = (
        f"case when contains({column}, ':59:60') then "
        f"regexp_replace({column}, ':59:60([.][0-9]*)?', ':59:59.999') else {column} end"
    )
    instant = f"try_cast({whole} as timestamptz)"
    return f"case when isfinite({instant}) then {instant} end"


def as_ms(seconds: str) -> str:
    """Return the SQL of seconds as ms; 1.003 s are 1003 ms, whatever a binary fraction says."""
    return f"round({seconds} * 1000, 6)"


def sane_ms(value: str) -> str:
    """Return the SQL of a duration in ms; null where no request takes so long, or so little."""
    return f"case when ({value}) between 0 and {_LONGEST_MS} then {value} end"


def later(instant: str, ms: str) -> str:
    """Return the SQL of an instant that many ms later or earlier; null where it has no stamp."""
    return f"try(make_timestamptz(epoch_us({instant}) + cast(round({ms} * 1000) as bigint)))"


def in_levels(steps: Mapping[str, str]) -> list[dict[str, str]]:
    """Return derived columns by level: each reads only raw columns and levels before its own."""
    level: dict[str, int] = {}
    for name, expression in steps.items():
        words = set(_WORD.findall(expression))
        level[name] = 1 + max((level[n] for n in level if n in words), default=0)
    return [
        {n: e for n, e in steps.items() if level[n] == i}
        for i in range(1, max(level.values(), default=0) + 1)
    ]


def needed_by(name: str, steps: Mapping[str, str]) -> dict[str, str]:
    """Return the derived columns that one of them is made of, itself included."""
    wanted, open_ = {name}, [name]
    while open_:
        found = {n for n in _WORD.findall(steps[open_.pop()]) if n in steps} - wanted
        wanted |= found
        open_ += found
    return {n: e for n, e in steps.items() if n in wanted}


def allowed_query(query: str, allow: Iterable[str]) -> str:
    """Return the SQL of a query string cut to an allow-list; null where nothing is left."""
    allow = tuple(allow)
    if allow == ("*",):
        return query
    names = ", ".join(quote_literal(a) for a in allow)
    if not names:
        return "null::varchar"
    # most queries hold none of the names, which costs a fifth to see
    may = " or ".join(
        f"starts_with({query}, {quote_literal(a)}) or contains({query}, {quote_literal(f'&{a}')})"
        for a in allow
    )
    return (
        f"case when {may} then nullif(array_to_string(list_filter("
        f"string_split({query}, '&'), lambda p: split_part(p, '=', 1) in ({names})), '&'), '') end"
    )


def lookup(expression: str, mapping: Mapping[str, str]) -> str:
    """Return the SQL of an exact look-up in a small mapping; null where it is not found."""
    if not mapping:
        return "null::varchar"
    cases = " ".join(
        f"when {quote_literal(k.lower())} then {quote_literal(v)}"
        for k, v in sorted(mapping.items())
    )
    return f"case {expression} {cases} end"


def extra_map(entries: Mapping[str, str]) -> str:
    """Return the SQL of the extra map from name -> text expression; null when nothing is there."""
    if not entries:
        return "null::map(varchar, varchar)"
    pairs = ", ".join(
        f"{{'k': {quote_literal(k)}, 'v': cast({v} as varchar)}}" for k, v in entries.items()
    )
    nothing = " and ".join(f"({v}) is null" for v in entries.values())
    return (
        f"case when not ({nothing}) then map_from_entries("
        f"list_filter([{pairs}], lambda e: e.v is not null)) end"
    )


def row_key(parts: Iterable[str]) -> str:
    """Return the SQL of the 16-byte identity of a row; null parts count as empty."""
    texts = [f"coalesce(cast({p} as varchar), '')" for p in parts]
    if len(texts) == 1:  # nothing to join: to copy a whole line costs
        return f"unhex(md5({texts[0]}))"
    return f"unhex(md5(concat_ws(chr(31), {', '.join(texts)})))"


def row_key_of_bytes(column: str) -> str:
    """Return the SQL of the same identity where one BLOB is all there is to it."""
    return f"unhex(md5({column}))"
