"""Words of a field map that others define: zones, directives of strptime, patterns of RE2.

Belongs here: refusing a word that nobody could follow, with what was expected. Does not: which rule
may hold which (lake/field_map.py).
"""

from __future__ import annotations

import re
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)")
_PERCENT = re.compile(r"%(-?.|$)")
_DIRECTIVES = set("aAwdbBmyYHIpMSfgnzZjUW%") | {"-d", "-m", "-H", "-I", "-M", "-S", "-j", "-y"}


@cache
def re2_pattern(pattern: str) -> str:
    """Return a pattern that the engine can run, as it is; raises ValueError for others."""
    import duckdb  # it is what runs the pattern

    try:
        duckdb.execute("select regexp_matches('', $1)", [pattern])
    except duckdb.Error as err:
        said = str(err).partition("\n")[0]
        raise ValueError(
            f"expected a regular expression of RE2, found {pattern!r}: {said}; "
            "RE2 has no look-around and no back references"
        ) from err
    return pattern


def zone_name(name: str) -> str:
    """Return a zone of the IANA database or an offset, as it is; raises ValueError for others."""
    if _OFFSET.fullmatch(name):
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        raise ValueError(
            f"expected UTC, a zone like Europe/Berlin or an offset like +03:30, found {name!r}; "
            "use a name of the IANA time zone database"
        ) from err
    return name


def offset_minutes(zone: str) -> int | None:
    """Return the minutes east of UTC of a zone given as an offset, None for a named one."""
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def time_format(text: str) -> str:
    """Return a format of strptime, as it is; raises ValueError for an unknown directive."""
    for found in _PERCENT.findall(text):
        if found not in _DIRECTIVES:
            raise ValueError(
                f"expected directives of strptime like %Y-%m-%d %H:%M:%S, found {'%' + found!r}; "
                "correct the directive"
            )
    if "%" not in text:
        raise ValueError(
            f"expected directives of strptime like %Y-%m-%d, found {text!r}; write it with them"
        )
    return text
