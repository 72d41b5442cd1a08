"""Quoted fields of delimited lines, by RFC 4180: one line at a time, and whole chunks at once.

Belongs here: telling separators from text. Does not: what the fields mean (the families).
Within a line, a separator behind an odd number of quotes stands inside a quoted field. That holds
where every quote that opens one is the first of its field; lines where one is not are given to
the caller to be looked at by themselves.
"""

from __future__ import annotations

import csv

import numpy as np
import numpy.typing as npt

from lake.lines import Lines

QUOTE = 0x22
_LINE_FEED, _RETURN = 0x0A, 0x0D
csv.field_size_limit(64 * 1024 * 1024)  # as long as a line may be; the module's own is 128 kB

_Numbers = npt.NDArray[np.int64]


def split(text: str, delimiter: str, *, is_quoted: bool = True) -> list[str] | None:
    """Return the fields of a line; None where its quotes are not RFC 4180's."""
    if not is_quoted or '"' not in text:
        return text.split(delimiter)
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def unreadable(lines: Lines, *, is_quoted: bool) -> _Numbers:
    """Return the lines that a reader must not see, as they would take others along.

    A quote left open goes on into the next line; behind a carriage return that not all lines end
    in, DuckDB counts lines wrongly.
    """
    found = _stray_returns(lines)
    if is_quoted and lines.count(QUOTE):
        found = np.union1d(found, np.flatnonzero(lines.count_each(QUOTE) % 2) + 1)
    return found


def _stray_returns(lines: Lines) -> _Numbers:
    if not len(lines.with_byte(_RETURN)):
        return np.empty(0, dtype=np.int64)
    counts = lines.count_each(_RETURN)
    at_ends = bool(len(counts) > 1 and counts[:-1].min() > 0)  # the last line may have no end
    numbers: _Numbers = np.flatnonzero(counts > int(at_ends)) + 1
    return numbers


def doubtful(lines: Lines, numbers: _Numbers, delimiter: str, width: int, *, is_quoted: bool
             ) -> _Numbers:  # fmt: skip
    """Return those of the accepted lines that may not have just so many fields.

    DuckDB rejects a line with too many columns only while one beyond the last holds a value. So
    separators are counted: as they are, and only where quotes hold some, without those.
    """
    separators = lines.count_each(ord(delimiter))[numbers - 1]
    odd: _Numbers = numbers[separators != width - 1]
    if not len(odd) or not is_quoted or lines.count(QUOTE) == 0:
        return odd
    outside, is_plain = _outside(lines, ord(delimiter))
    sure = (outside[odd - 1] == width - 1) & is_plain[odd - 1]
    left: _Numbers = odd[~sure]
    return left


def _outside(lines: Lines, delimiter: int) -> tuple[_Numbers, npt.NDArray[np.bool_]]:
    """Return of each line how many separators are outside quotes, and whether that is certain."""
    outside = np.zeros(len(lines), dtype=np.int64)
    is_plain = np.ones(len(lines), dtype=np.bool_)
    for first, starts, block in lines.blocks():
        quotes = np.flatnonzero(block == QUOTE)
        separators = np.flatnonzero(block == delimiter)
        before_line = np.searchsorted(quotes, starts)
        of_quote = np.searchsorted(starts, quotes, side="right") - 1
        of_separator = np.searchsorted(starts, separators, side="right") - 1
        is_inside = (np.searchsorted(quotes, separators) - before_line[of_separator]) % 2 == 1
        counts = np.bincount(of_separator[~is_inside], minlength=len(starts))
        outside[first : first + len(starts)] = counts
        is_opening = (np.arange(len(quotes)) - before_line[of_quote]) % 2 == 0
        opening, of_opening = quotes[is_opening], of_quote[is_opening]
        previous = block[np.maximum(opening - 1, 0)]
        is_first = (opening == 0) | np.isin(previous, (delimiter, QUOTE, _LINE_FEED))
        is_plain[first + of_opening[~is_first]] = False
    return outside, is_plain
