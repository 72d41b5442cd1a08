"""What a head of no family is made of, in words, and how such a log is read all the same.

Belongs here: telling shapes that a map, a format string or a conversion would do for. Does not:
families (their own `looks_like`), or what stands in the lines: no text of a log comes out of here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lake.formats import dialects
from lake.formats.heads import first_lines, objects
from lake.refused import RefusedError

_BY_JQ = "make one object a line of it before it lands, e.g. by "
_BY_FORMAT_STRING = (
    "if a format string writes these lines, give it: format: nginx and log_format: '...' "
    "(docs/own-servers.md)"
)
_ARRAY = re.compile(rb"\s*\[\s*[\[{]")
_PAIRS = re.compile(rb"(?:^|\s)[A-Za-z_][\w.-]*=")
_LEAST_PAIRS = 3


@dataclass(frozen=True)
class Shape:
    """What lines are made of, and what to do where a map does not read them as they are."""

    found: str
    remedy: str | None = None


def require_utf8(head: bytes) -> None:
    """Refuse a head whose lines are mostly no text; raises RefusedError."""
    lines = first_lines(head)
    broken = sum(b"\0" in line or not _is_utf8(line) for line in lines[:-1] or lines)
    if lines and broken * 2 > len(lines):
        raise RefusedError(
            "not_a_log",
            f"expected lines of text in UTF-8, found bytes that are none in {broken} of the first "
            f"{len(lines)}.",
        )


def is_document(head: bytes) -> bool:
    """Tell whether a head begins a JSON array of records: no line of it is one object."""
    if not _ARRAY.match(head) or objects(head):
        return False
    return head.lstrip()[:2] == b"[{" or not any(map(_is_json, first_lines(head)[:2]))


def shape_of(head: bytes) -> Shape:
    """Return what a head of no family is made of."""
    lines = first_lines(head)
    if not lines:
        return Shape("no line with text", "have it delivered again")
    if objects(head):
        return Shape("JSON objects")
    if is_document(head) or lines[0].strip() == b"{":
        return Shape("one JSON document, no object a line", f"{_BY_JQ}`jq -c '.[]'`")
    if len(lines) == 1 and b"\n" not in head:
        return Shape(f"no line end in {len(head)} bytes", "look at a sample of shorter lines")
    if lines[0].startswith(b"[") and _is_json(lines[0]):
        return Shape("JSON arrays", f"{_BY_JQ}`jq -c '{{time: .[0], status: .[1]}}'`")
    table = dialects.guess(head)
    if table is not None:
        return Shape(table.shape)
    if all(len(_PAIRS.findall(line)) >= _LEAST_PAIRS for line in lines):
        return Shape("lines of key=value", _BY_FORMAT_STRING)
    return Shape("other lines of text", _BY_FORMAT_STRING)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
