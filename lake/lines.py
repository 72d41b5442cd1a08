"""Where the lines of a chunk are, and which of them hold a byte: whole chunks at once, with NumPy.

Belongs here: physical lines. Does not: where a chunk comes from (lake.inflate) or what its lines
mean (lake.formats).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

#: more short lines than this are read in parts: memory goes by lines as well as by bytes
MAX_CHUNK_LINES = 262_144
_BLOCK_BYTES = 256 * 1024


def _line_ends(
    data: mmap.mmap, begin: int, size: int, most: int
) -> tuple[npt.NDArray[np.int64], bool]:
    """Return where line feeds stand, stopping after `most` or more, and whether a NUL was seen.

    Block by block: a mask of the whole chunk would cost pages.
    """
    flags = np.empty(_BLOCK_BYTES, dtype=np.bool_)
    found = [np.empty(0, dtype=np.int64)]
    seen = 0
    has_nul = False
    for start in range(begin, size, _BLOCK_BYTES):
        count = min(_BLOCK_BYTES, size - start)
        block = np.frombuffer(data, dtype=np.uint8, count=count, offset=start)
        found.append(np.flatnonzero(np.equal(block, 0x0A, out=flags[:count])) + start)
        has_nul = has_nul or block.min() == 0
        del block  # an exported buffer would keep the mapping from growing
        seen += len(found[-1])
        if seen >= most:
            break
    return np.concatenate(found), has_nul


def ends_of_parts(data: mmap.mmap, size: int) -> list[int]:
    """Return the offsets, but the last, at which parts of MAX_CHUNK_LINES lines end."""
    found: list[int] = []
    begin = 0
    while True:
        ends, _ = _line_ends(data, begin, size, MAX_CHUNK_LINES)
        if len(ends) < MAX_CHUNK_LINES:
            return found
        begin = int(ends[MAX_CHUNK_LINES - 1]) + 1
        if begin >= size:
            return found
        found.append(begin)


class Lines:
    """Where the physical lines of a chunk are; lines count from 1."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data = data
        ends, self._has_nul = _line_ends(data, 0, size, MAX_CHUNK_LINES + 1)
        #: with too many lines the rest of them is not looked at
        self.is_complete = len(ends) <= MAX_CHUNK_LINES
        if size and (not len(ends) or ends[-1] != size - 1):
            ends = np.append(ends, size)
        self._ends = ends
        self._starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def longest(self) -> int:
        """Return the length of the longest line, bytes."""
        return int((self._ends - self._starts).max(initial=0))

    def span(self, number: int) -> tuple[int, int]:
        """Return the half-open byte range of a line, without its line end."""
        return int(self._starts[number - 1]), int(self._ends[number - 1])

    def raw(self, number: int) -> bytes:
        """Return a line's bytes, without its line end."""
        start, end = self.span(number)
        return self._data[start:end]

    @contextmanager
    def hidden(self, numbers: Iterable[int]) -> Iterator[None]:
        """Have `#` stand in place of some lines for as long as a reader looks at the chunk.

        Where the first line ends in CR LF, so do they: a reader gives up where line ends differ.
        """
        first = int(self._ends[0]) if len(self) else 0
        has_return = first > 0 and self._data[first - 1] == 0x0D
        spans = [self.span(n) for n in numbers]
        kept = [self._data[start:end] for start, end in spans]
        try:
            for start, end in spans:
                is_marked = has_return and end > start
                self._data[start:end] = b"#" * (end - start - is_marked) + b"\r" * is_marked
            yield
        finally:
            for (start, end), raw in zip(spans, kept, strict=True):
                self._data[start:end] = raw

    def count(self, byte: int) -> int:
        """Return how often a byte stands in the chunk."""
        end = int(self._ends[-1]) if len(self) else 0
        flags = np.empty(_BLOCK_BYTES, dtype=np.bool_)
        found = 0
        for start in range(0, end, _BLOCK_BYTES):
            count = min(_BLOCK_BYTES, end - start)
            block = np.frombuffer(self._data, dtype=np.uint8, count=count, offset=start)
            found += int(np.count_nonzero(np.equal(block, byte, out=flags[:count])))
            del block
        return found

    def count_each(self, byte: int) -> npt.NDArray[np.int64]:
        """Return how often a byte stands in each line."""
        end = int(self._ends[-1]) if len(self) else 0
        flags = np.empty(_BLOCK_BYTES, dtype=np.bool_)
        seen, first = 0, 0
        before = np.empty(len(self), dtype=np.int64)  # up to the end of each line
        for start in range(0, end, _BLOCK_BYTES):
            count = min(_BLOCK_BYTES, end - start)
            block = np.frombuffer(self._data, dtype=np.uint8, count=count, offset=start)
            at = np.flatnonzero(np.equal(block, byte, out=flags[:count]))
            del block
            beyond = int(np.searchsorted(self._ends, start + count))
            ends = self._ends[first:beyond] - start
            before[first:beyond] = seen + np.searchsorted(at, ends)
            seen, first = seen + len(at), beyond
        before[first:] = seen
        counts: npt.NDArray[np.int64] = np.diff(before, prepend=0)
        return counts

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
        """Give the chunk as parts of whole lines: lines before, where lines begin, and the bytes.

        The bytes are a copy, so that nothing keeps the mapping from growing.
        """
        first = 0
        while first < len(self):
            start = int(self._starts[first])
            last = max(first + 1, int(np.searchsorted(self._starts, start + _BLOCK_BYTES)))
            part = self._data[start : int(self._ends[last - 1])]
            yield first, self._starts[first:last] - start, np.frombuffer(part, dtype=np.uint8)
            first = last

    def starting_with(self, byte: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the lines that begin with a byte."""
        data = np.frombuffer(self._data, dtype=np.uint8)
        # an empty line begins with its line end; after the last one there may be nothing
        first = data[np.minimum(self._starts, len(data) - 1)]
        del data
        numbers: npt.NDArray[np.int64] = (
            np.flatnonzero((first == byte) & (self._ends > self._starts)) + 1
        )
        return numbers

    def miscounted(self, byte: int, expected: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of the lines that hold a byte more often than expected of each.

        Looked at in blocks of lines: only one with a surplus is counted line by line.
        """
        found = [np.empty(0, dtype=np.int64)]
        first = 0
        while first < len(self):
            begin = int(self._starts[first])
            beyond = int(np.searchsorted(self._ends, begin + _BLOCK_BYTES, side="right"))
            beyond = max(beyond, first + 1)
            ends = self._ends[first:beyond] - begin
            block = np.frombuffer(self._data, dtype=np.uint8, count=int(ends[-1]), offset=begin)
            is_byte = block == byte
            del block
            if np.count_nonzero(is_byte) > expected[first:beyond].sum():
                up_to = np.searchsorted(np.flatnonzero(is_byte), ends)
                surplus = np.diff(up_to, prepend=0) > expected[first:beyond]
                found.append(np.flatnonzero(surplus) + first + 1)
            first = beyond
        return np.concatenate(found)

    def with_nul(self) -> npt.NDArray[np.int64]:
        """Return the numbers of the lines that hold a NUL, which DuckDB lets through."""
        if not self._has_nul:
            return np.empty(0, dtype=np.int64)
        numbers: npt.NDArray[np.int64] = np.flatnonzero(self.count_each(0x00)) + 1
        return numbers

    def with_byte(self, byte: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the lines that hold a byte; cheap where none does."""
        end = int(self._ends[-1]) if len(self) else 0
        if self._data.find(bytes([byte]), 0, end) < 0:
            return np.empty(0, dtype=np.int64)
        numbers: npt.NDArray[np.int64] = np.flatnonzero(self.count_each(byte)) + 1
        return numbers

    def not_blank(self) -> npt.NDArray[np.int64]:
        """Return the numbers of the lines that hold more than white space."""
        numbers = np.arange(1, len(self) + 1)
        if not len(self):
            return numbers
        lengths = self._ends - self._starts
        first = np.frombuffer(self._data, dtype=np.uint8, count=int(self._ends[-1]))
        maybe = lengths == 0
        some = np.flatnonzero(~maybe)
        space = np.isin(first[self._starts[some]], (0x20, 0x09, 0x0D, 0x0B, 0x0C))
        candidates = some[space]
        del first
        blank = maybe
        for i in candidates:
            if not self.raw(int(i) + 1).strip():
                blank[i] = True
        kept: npt.NDArray[np.int64] = numbers[~blank]
        return kept
