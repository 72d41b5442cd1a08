"""The header of syslog before an object (RFC 3164 and 5424), as vendors write it.

An octet count (RFC 6587), the priority, and words without a brace.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from lake.lines import Lines

_MOST = 1000
HEADER = re.compile(rf"^([0-9]{{1,7}} )?<[0-9]{{1,3}}>[^{{]{{0,{_MOST}}}\{{")


def heads(lines: Lines) -> npt.NDArray[np.int64]:
    """Return of each line how many bytes of header stand before its object; 0 where none does.

    What it does not see as a header (longer in bytes than in characters, say) is left to who
    looks at single lines with the expression.
    """
    none = np.zeros(len(lines), dtype=np.int64)
    if not np.any(lines.bytes_at(0) != ord("{")):
        return none
    count = _digits(lines, none, 7)
    begin = np.where((count > 0) & (lines.bytes_at(count) == ord(" ")), count + 1, 0)
    priority = _digits(lines, begin + 1, 3)
    words = begin + priority + 2
    brace = lines.first(ord("{"))
    is_header = (
        (lines.bytes_at(begin) == ord("<"))
        & (priority > 0)
        & (lines.bytes_at(words - 1) == ord(">"))
        & (brace >= words)
        & (brace - words <= _MOST)
    )
    return np.where(is_header, brace, none)


def _digits(lines: Lines, begin: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return how many digits follow, up to so many."""
    count = np.zeros(len(lines), dtype=np.int64)
    goes_on = np.ones(len(lines), dtype=np.bool_)
    for _ in range(most):
        byte = lines.bytes_at(begin + count)
        goes_on &= (byte >= ord("0")) & (byte <= ord("9"))
        count += goes_on
    return count
