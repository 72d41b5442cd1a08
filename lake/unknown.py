"""Names of fields that the record has no column for: seen, bounded, and nothing of their values.

A name is text out of a log. What does not look like a name may be a value (keys that are user
ids, say): of such a one only the shape is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

import numpy as np

from lake.jsonpaths import leaves, parents_of, undeclared
from lake.lines import Lines
from lake.rejects import shape_of

MAX_NAMES = 50
_NAME = re.compile(r"[A-Za-z_@$][A-Za-z0-9_.:()@$-]{0,63}", re.ASCII)
_MAX_DIGITS = 4
_SHAPE_BYTES = 40
_HEAD_LINES, _SPREAD_LINES = 16, 48
_MAX_LINE_BYTES = 64 * 1024


def plain_name(name: str) -> str:
    """Return a name as it may be kept and shown: itself, or its shape."""
    if _NAME.fullmatch(name) and sum(c.isdigit() for c in name) <= _MAX_DIGITS:
        return name
    return f"shape {shape_of(name.encode('utf-8', 'replace')[:_SHAPE_BYTES])}"


def unknown_keys(lines: Lines, known: Collection[str]) -> set[str]:
    """Return keys of NDJSON lines that are not known, of a sample.

    Of objects that known paths lead through, their keys, as paths.
    """
    found: set[str] = set()
    parents = parents_of(known)
    for line in sampled(lines):
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found.update((path for path, _ in leaves(record, parents)) if parents else record)
    return undeclared(found, known)


def sampled(lines: Lines) -> Iterator[bytes]:
    """Give the first lines and some spread evenly, but for very long ones.

    What one line in a hundred has is found in a segment with a chance of about a half.
    """
    count = len(lines)
    numbers = {*range(1, min(count, _HEAD_LINES) + 1)}
    if count:
        numbers.update(np.linspace(1, count, _SPREAD_LINES, dtype=np.int64).tolist())
    for number in sorted(numbers):
        start, end = lines.span(number)
        if end - start <= _MAX_LINE_BYTES:
            yield lines.raw(number)
