"""What the first lines of a file are made of, for families that tell whether they are theirs.

Pure functions of bytes; damage in a line only makes it count for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache

from lake.formats.base import Look

_LINES = 50


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
