"""What the first lines of a file are made of, for families that tell whether they are theirs.

Pure functions of bytes; damage in a line only makes it count for nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import lru_cache

from lake.formats.base import Look

_LINES = 50
_COMBINED = re.compile(
    rb"\S+ (?:\S+ ){1,2}.{1,64}? ?\[\d\d/[A-Z][a-z][a-z]/\d{4}(?::\d\d){3} [+-]\d{4}\] \""
    rb"(?P<absolute>[A-Z]+ https?://)?"
)
_SQUID = re.compile(rb"\d{9,10}\.\d{3} +\d+ \S+ [A-Z_]+/\d{3} \d+ ")
#: a hyphen for no bytes, and lines that end with the bytes, as no nginx writes them
_APACHE_BYTES = re.compile(rb'" \d{3} (?:-[ \r\n]|\d+\r?\n)')
_NAMED_SERVER = re.compile(rb"[A-Za-z0-9.-]+:\d{1,5} \S+ \S+ ")


@lru_cache(maxsize=4)
def first_lines(head: bytes) -> tuple[bytes, ...]:
    """Return the first lines that are not blank, whole ones alone where there are some."""
    lines = head.split(b"\n")
    whole = lines[:-1] if len(lines) > 1 and lines[-1] else lines
    return tuple(line.rstrip(b"\r") for line in whole if line.strip())[:_LINES]


@lru_cache(maxsize=4)
def objects(head: bytes) -> tuple[dict[str, object], ...]:
    """Return the JSON objects of the first lines, whatever stands before their brace."""
    found = []
    for line in first_lines(head):
        at = line.find(b"{")
        if at < 0:
            continue
        try:
            value = json.loads(line[at:])
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def keys_look(head: bytes, telling: Collection[str], least: int, score: float = 0.9) -> Look | None:
    """Return a look where most objects have at least `least` of the telling keys."""
    seen = objects(head)
    having = [record for record in seen if len(record.keys() & set(telling)) >= least]
    if not seen or len(having) * 2 <= len(seen):
        return None
    names = sorted(set(telling) & {k for record in having for k in record})
    return Look(score, f"JSON with {', '.join(names[:5])}")


@lru_cache(maxsize=4)
def server_of(head: bytes) -> str | None:
    """Return the server whose access log the first line that looks like one is.

    Combined is the same in nginx and Apache. What only Apache writes tells it, wherever in the head
    it stands: a quote behind a backslash, a hyphen for no bytes, lines that end with the bytes, the
    server's name in front. The rest is taken for nginx. With whole seconds and no duration the
    instant is the same: the one calls it the end, the other the start.
    """
    for line in first_lines(head):
        if _SQUID.match(line):
            return "squid"
        found = _COMBINED.match(line)
        if found is None:
            continue
        if found["absolute"]:
            return "varnishncsa"
        is_apache = b'\\"' in head or _APACHE_BYTES.search(head)
        return "apache" if is_apache or _NAMED_SERVER.match(line) else "nginx"
    return None
