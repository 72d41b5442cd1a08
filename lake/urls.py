"""What is kept of URLs: names of places, no credentials.

Belongs here: which parts of a path, a query, a Referer and CMCD may be written. Parameters are
kept by the source's allow-list alone, wherever a URL carries them: behind `?`, behind `;`, or as a
segment `name=value` of the path (signed URLs do all three). Names that only ever hold credentials
are cut even where they are allowed. Sources: the signing schemes of CloudFront, S3, Akamai,
Cloudflare, Fastly, Google and Azure; RFC 3986 (path parameters, userinfo), RFC 7519 (JWT).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

#: stands where something was cut out of a path
CUT = "[cut]"
_MAX_DECODINGS = 12
_MAX_TEXT = 128  # characters of the longest value of CMCD, CTA-5004-B; those of a sid are 64
#: only what may hold a parameter, a user, a token or text that is still encoded needs a look
_SUSPECT = r"[=;?#@%\\]|eyJ|(?i:token|sig|hmac|jwt|auth|secret|passw|/ks/)"
_SUSPECT_TEXT = r"[=;?#@&%\\]|//|eyJ"
_UNFIT_TEXT = re.compile(r"[=;?#@&%\\]|//")
_NEVER = re.compile(
    r"(?i)x-amz-.*|x-goog-.*|signature|policy|key-pair-id|hdn(ts|tl|ea)|.*token.*|verify|"
    r"googleaccessid|awsaccesskeyid|sig|sign|hmac|jwt|ks|auth.*|.*passw.*|pwd|.*secret.*|"
    r"api[-_]?key|access[-_]?key|.*session.*|cookie|code|hash|md5"
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_PLAIN_VALUE = re.compile(r"[\w .,:+~*!?()-]{0,128}")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*")
_NAMED_TOKEN = re.compile(
    r"(?i)(token|sig|signature|auth|hmac|jwt|secret|password)[-_:~,.](?=[^0-9]*[0-9])[\w-]{12,}"
)
_BEFORE_TOKEN = re.compile(r"(?i)token|jwt|hmac|signature|secret|ks")
_USERINFO = re.compile(r"[^/@]*@")
_PARAMETERS = re.compile(r"[;?#]|&(?=[^/]*=)")
_ORIGIN = re.compile(r"(?i)([a-z][a-z0-9+.-]{0,20}:)?//([^/\\?#]*)")


#: columns of player events that hold what CMCD's texts hold
_NAMES = ("content_id", "cdn", "error_code", "player")


def decoded(text: str) -> str:
    """Return text percent-decoded until nothing changes."""
    for _ in range(_MAX_DECODINGS):
        plain = unquote(text, errors="replace")
        if plain == text:
            break
        text = plain
    return text


def kept_path(text: str, allow: Collection[str] = ()) -> str:
    """Return a path without credentials; as it was where it has none."""
    plain = decoded(text)
    clean = _clean_path(plain, allow)
    return text if clean == plain else clean


def kept_referer(text: str, allow: Collection[str] = ()) -> str:
    """Return scheme, host and path of a Referer, without user, parameters and credentials."""
    plain = decoded(text)
    found = _ORIGIN.match(plain)
    origin, path = (found[0], plain[found.end() :]) if found else ("", plain)
    host = found[2].rpartition("@")[2] if found else ""
    start = f"{found[1] or ''}//{host}" if found else ""
    path = path.split("?")[0].split("#")[0]
    clean = start + _clean_path(path, allow)
    return text if clean == origin + path == plain else clean


def kept_query(text: str, allow: Collection[str]) -> str | None:
    """Return the parameters that are allowed, whose value is plain; None where none is left."""
    kept = [pair for pair in text.split("&") if _is_kept(pair, allow)]
    return "&".join(kept) or None


def kept_text(text: str) -> str | None:
    """Return a CMCD value, or None for what looks like a URL or a token or is too long."""
    if len(text) > _MAX_TEXT or _UNFIT_TEXT.search(text.rstrip("=")) or _JWT.search(text):
        return None
    return text


def _is_kept(pair: str, allow: Collection[str]) -> bool:
    name, _, value = pair.partition("=")
    if tuple(allow) != ("*",) and name not in allow:
        return False
    value = decoded(value)
    return (
        not _NEVER.fullmatch(decoded(name))
        and _PLAIN_VALUE.fullmatch(value) is not None
        and not _JWT.search(value)
    )


def _clean_path(path: str, allow: Collection[str]) -> str:
    """Clean a decoded path segment by segment."""
    before = ""
    segments = []
    for segment in re.split(r"[/\\]", path):
        is_token = bool(segment) and _BEFORE_TOKEN.fullmatch(before) is not None
        segments.append(CUT if is_token else _clean_segment(segment, allow))
        before = segment
    clean = "/".join(segments)
    return path if clean == path.replace("\\", "/") else clean


def _clean_segment(segment: str, allow: Collection[str]) -> str:
    found = _PARAMETERS.search(segment)
    if found:
        return f"{_clean_segment(segment[: found.start()], allow)};{CUT}"
    if "=" in segment:
        name = segment.partition("=")[0]
        if _is_kept(segment, allow):
            return segment
        return f"{name}={CUT}" if _NAME.fullmatch(name) else CUT
    if _NAMED_TOKEN.fullmatch(segment) or _JWT.search(segment):
        return CUT
    return _USERINFO.sub(f"{CUT}@", segment) if ":" in segment and "@" in segment else segment


def clean(rows: pa.Table, allow: Collection[str]) -> pa.Table:
    """Return rows of a CDN log with their URLs cleaned; looks at distinct, suspect values only."""
    if "path" in rows.column_names:
        rows = _clean_paths(rows, allow)
    for name, keep in (
        ("referer", partial(kept_referer, allow=allow)),
        ("query_raw", partial(kept_query, allow=allow)),
    ):
        if name in rows.column_names:
            column = rows.column(name).combine_chunks()
            rows = _with(rows, name, _each(column, keep))
    for name in _NAMES if "content_id" in rows.column_names else ():
        if name in rows.column_names:
            rows = _with(rows, name, clean_names(rows.column(name).combine_chunks()))
    return rows


def _clean_paths(rows: pa.Table, allow: Collection[str]) -> pa.Table:
    """Clean `path`; where something is cut, `path_raw` says the same."""
    path = rows.column("path").combine_chunks()
    suspect = pc.fill_null(pc.match_substring_regex(path, _SUSPECT), False)
    if not pc.any(suspect).as_py():
        return rows
    seen = path.filter(suspect)
    kept = _each(seen, partial(kept_path, allow=allow))
    rows = _with(rows, "path", pc.replace_with_mask(path, suspect, kept))
    if "path_raw" in rows.column_names:
        raw = rows.column("path_raw").combine_chunks()
        is_cut = pc.not_equal(seen, kept)
        kept_raw = pc.if_else(is_cut, kept, raw.filter(suspect))
        rows = _with(rows, "path_raw", pc.replace_with_mask(raw, suspect, kept_raw))
    return rows


def clean_names(texts: pa.StringArray) -> pa.StringArray:
    """Return texts as CMCD has them, without those that may not be kept (`kept_text`)."""
    suspect = pc.or_(
        pc.match_substring_regex(texts, _SUSPECT_TEXT), pc.greater(pc.utf8_length(texts), _MAX_TEXT)
    )
    suspect = pc.fill_null(suspect, False)
    if not pc.any(suspect).as_py():
        return texts
    return pc.replace_with_mask(texts, suspect, _each(texts.filter(suspect), kept_text))


def _each(texts: pa.StringArray, keep: Callable[[str], str | None]) -> pa.StringArray:
    """Apply a function to each distinct text."""
    encoded = texts.dictionary_encode()
    kept = [None if t is None else keep(t) for t in encoded.dictionary.to_pylist()]
    return pa.array(kept, pa.string()).take(encoded.indices)


def _with(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, column)
