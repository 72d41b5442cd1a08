"""Units of a log that nobody knows: by the names of its fields, else by how large its values are.

Belongs here: guesses at units, names of fields without their unit, where values lie. Does not: the
text of the draft (lake/draft.py), what fields are called (lake/draft_names.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import median

from lake.formats.mapped_values import IN_BYTES, IN_MS

#: last word of a name -> unit of a duration
_DURATIONS = {"ms": "ms", "msec": "ms", "msecs": "ms", "millis": "ms", "us": "us", "usec": "us",
              "micros": "us", "ns": "ns", "nanos": "ns", "s": "s", "sec": "s", "secs": "s",
              "seconds": "s", "min": "min", "minutes": "min", "h": "h", "hours": "h"}  # fmt: skip
#: last word of a name -> unit of a count of bytes, and whether that leaves no doubt
_SIZES = {"kib": ("KiB", True), "mib": ("MiB", True), "gib": ("GiB", True), "kbit": ("kbit", True),
          "kbits": ("kbit", True), "bit": ("bit", True), "bits": ("bit", True),
          "kb": ("kB", False), "kilobytes": ("kB", False), "kbytes": ("kB", False),
          "mb": ("MB", False), "gb": ("GB", False)}  # fmt: skip

#: columns of times -> names that mean them where a unit follows
_TIMED = {"event_time": ("epoch",), "duration_ms": ("total",), "ttfb_ms": ()}
#: how many times smaller and larger than the sample's a median may be: units differ by more
_OFF = 30.0

Path = tuple[str, ...]


def words_of(path: Path) -> tuple[str, str]:
    """Return a field's own name and its whole path, without case and punctuation."""
    last = re.sub(r"[^a-z0-9]", "", path[-1].lower())
    return last, re.sub(r"[^a-z0-9]", "", "".join(path).lower())


def _last_word(name: str) -> str:
    """Return the last word of a name: of `time_ms`, `timeMs` and `Time (ms)` it is ms."""
    for pattern in (r"(?i:[^a-z0-9]|^)([A-Za-z]+)[^A-Za-z0-9]*$", r"[a-z0-9]([A-Z]+[a-z]*[bB]?)$"):
        found = re.search(pattern, name)
        if found and found[1].lower() in (_DURATIONS | _SIZES):
            return found[1].lower()
    return ""


def _without_unit(path: Path, units: Sequence[str]) -> tuple[str, ...]:
    """Return words_of without a unit at the end, none where there is no unit."""
    word = _last_word(path[-1])
    if word not in units:
        return ()
    return tuple(said.removesuffix(word) for said in words_of(path))


def fields_named(
    names: Sequence[str], column: str, fields: Mapping[Path, Sequence[object]]
) -> list[Path]:
    """Return the fields that are called like a column, the likeliest first; of a unit besides."""
    paths = [p for p, v in fields.items() if column != "event_time" or not _is_before_1973(v)]
    units = [*_SIZES] if "bytes" in column else [*_DURATIONS] if column in _TIMED else []
    exact = [p for n in names for p in paths if n in words_of(p)]
    more = (*names, *_TIMED.get(column, ()))
    besides = [p for n in more for p in paths if n in _without_unit(p, units)]
    return list(dict.fromkeys(exact + besides))


def _is_before_1973(values: Sequence[object]) -> bool:
    """Tell whether values are numbers too small for instants, as those of `request_time`."""
    given = [n for n in numbers_of(values) if n > 0]
    return bool(given) and median(given) < 1e8


def numbers_of(values: Sequence[object]) -> list[float]:
    """Return the values that are numbers of at least zero."""
    found = []
    for value in values:
        try:
            number = float(str(value))
        except ValueError:
            continue
        if 0 <= number < float("inf"):
            found.append(number)
    return found


def duration_unit(path: Path, values: Sequence[object]) -> tuple[str, bool, str]:
    """Return unit, whether the name tells it, and why."""
    word = _last_word(path[-1])
    if word in _DURATIONS:
        return _DURATIONS[word], True, "unit by its name"
    given = [n for n in numbers_of(values) if n > 0]
    middle = median(given) if given else 0.0
    unit = "us" if middle >= 20_000 else "ms" if middle >= 5 else "s"
    why = f"unit guessed by the median of the sample, {middle:g}; ns, us, ms, s, min or h"
    return unit, False, why


def byte_unit(path: Path, values: Sequence[object]) -> tuple[str, bool, str]:
    """Return unit, whether the name leaves no doubt of it, and why or what is open."""
    unit, is_told = _SIZES.get(_last_word(path[-1]), ("B", False))
    if is_told:
        return unit, True, "unit by its name"
    if unit != "B" or "kilobyte" in words_of(path)[1]:
        unit = "kB" if unit == "B" else unit
        binary = f"{unit[0].upper()}iB"
        power = "kMG".index(unit[0]) + 1
        return unit, False, f"{unit} is {1000**power} bytes; {binary}, if they count {1024**power}"
    if any(n % 1 for n in numbers_of(values)):
        return "kB", False, "fractions are no bytes; kB, KiB, MB or MiB?"
    return "B", False, "with headers, or the body alone?"


def expected_range(unit: str, values: Sequence[object]) -> tuple[str, str] | None:
    """Return where the median may lie, in ms or bytes, before its unit must have changed."""
    factor = IN_MS.get(unit) or IN_BYTES.get(unit) or 1.0
    given = numbers_of(values)
    middle = median(given) * factor if given else 0.0
    if middle <= 0:
        return None
    return _rounded(middle / _OFF), _rounded(middle * _OFF)


def _rounded(number: float) -> str:
    """Return a number with one digit that counts, as YAML reads it: without an exponent."""
    digits = -math.floor(math.log10(number))
    return f"{round(number, digits):.{max(digits, 0)}f}"
