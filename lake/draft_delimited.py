"""The part of a draft that a delimited log has besides: its dialect, and names for its columns.

Belongs here: what lake/draft.py takes over where samples are delimited text. Does not: rules of a
map by the names of fields, which are the same for every log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lake.dialect import WORDS
from lake.formats.dialects import Guess, guess

_SHAPES: Mapping[str, re.Pattern[str]] = {
    "time": re.compile(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*|\d\d\.\d\d\.\d{4} .*|1\d{9}(\d{3}){0,3}(\.\d+)?"
    ),
    "client_ip": re.compile(r"\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F.]*"),
    "method": re.compile(r"GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH"),
    "request": re.compile(r"[A-Z]+ \S+ HTTP/[\d.]+"),
    "url": re.compile(r"https?://\S+|/\S*"),
    "status": re.compile(r"20[0-6]|30[1-8]|4\d\d|50\d|0|000"),
    "protocol": re.compile(r"HTTP/[\d.]+"),
    "user_agent": re.compile(r"Mozilla/.*"),
}  # fmt: skip
_DATE, _CLOCK = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d\d:\d\d:\d\d(\.\d+)?")


def agreed_guess(heads: Sequence[bytes]) -> Guess | None:
    """Return the dialect that all samples have, with the rows of all; None where there is none.

    Columns that no line names get names by what their values look like.
    """
    found = [guess(head) for head in heads]
    first = found[0] if found else None
    if first is None:
        return None
    rows: list[tuple[str, ...]] = []
    for one in found:
        if one is None or (one.delimiter, one.names) != (first.delimiter, first.names):
            return None
        rows += one.rows
    if len({len(row) for row in rows}) > 1:
        return None
    # quotes are declared where one sample has some, for those without are read alike
    quote = "none" if any(one and one.quote == "none" for one in found) else '"'
    return replace(first, quote=quote, rows=tuple(rows))


def named(found: Guess) -> tuple[str, ...]:
    """Return a name for every column of a log that names none."""
    names: list[str] = []
    for number, values in enumerate(zip(*found.rows, strict=True), 1):
        given = [v for v in values if v not in ("", "-")]
        fitting = (
            name
            for name, shape in _SHAPES.items()
            if name not in names and given and all(shape.fullmatch(v) for v in given)
        )
        names.append(next(fitting, f"column_{number}"))
    return tuple(names)


def dialect_line(found: Guess) -> str:
    """Return the dialect as a source file says it."""
    word = next((w for w, d in WORDS.items() if d == found.delimiter), "comma")
    quote = "none" if found.quote == "none" else "'\"'"
    return f"dialect: {{delimiter: {word}, quote: {quote}}}"


def split_time(records: Sequence[Mapping[str, object]]) -> tuple[str, str] | None:
    """Return the columns of a date and of a time of day, where the log has them apart."""
    if not records:
        return None
    parts = {
        kind: [n for n in records[0] if all(shape.fullmatch(str(r.get(n, ""))) for r in records)]
        for kind, shape in (("date", _DATE), ("time", _CLOCK))
    }
    if len(parts["date"]) == 1 and len(parts["time"]) == 1:
        return parts["date"][0], parts["time"][0]
    return None
