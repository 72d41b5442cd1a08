"""From an object's bytes to chunks of whole lines in a reusable memory file.

DuckDB reads by path. A memory file (a temporary file where the system has none) that is inflated
into again and again costs no fresh pages; see facts on page faults in DECISIONS.md. Memory stays
flat in the size of the object: one chunk at a time, cut at a line end.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from lake.limits import Limits
from lake.unpacked import LongLine, Unpacked

CHUNK_BYTES = 128 * 1024 * 1024
#: more short lines than this are read in parts: memory goes by lines as well as by bytes
MAX_CHUNK_LINES = 262_144
_DEFAULTS = Limits()
_BLOCK_BYTES = 256 * 1024


class _MemoryFile:
    """A file in memory, or a temporary file where the system has none, and its mapping."""

    def __init__(self) -> None:
        self._temp: str | None = None
        if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
            self._fd = os.memfd_create("weir-chunk", os.MFD_CLOEXEC)
            self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
        else:
            self._fd, self._temp = tempfile.mkstemp(prefix="weir-chunk-")
            self.path = self._temp
        self._capacity = 0
        self.map: mmap.mmap | None = None

    def reserve(self, size: int) -> mmap.mmap:
        """Return the memory, at least `size` bytes of it."""
        if self.map is None or self._capacity < size:
            if self.map is not None:
                self.map.close()
            os.ftruncate(self._fd, size)
            self.map = mmap.mmap(self._fd, size)
            self._capacity = size
        elif os.fstat(self._fd).st_size != self._capacity:
            os.ftruncate(self._fd, self._capacity)
        return self.map

    def cut(self, size: int) -> None:
        """Give the file a size; the mapping stays for the next fill."""
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        """Free the memory and remove the temporary file, if it is one."""
        if self.map is not None:
            self.map.close()
            self.map = None
        os.close(self._fd)
        if self._temp is not None:
            Path(self._temp).unlink(missing_ok=True)


class Buffer:
    """A file in memory that can be filled again; `path` is valid until it is.

    The pages that a file loses when it is cut are cleared and mapped again by the next fill, which
    costs more than to unpack into them. So what fills little of it (the end of an object) is moved
    to a second file, and the first keeps its pages.
    """

    def __init__(self) -> None:
        self._whole = _MemoryFile()
        self._end = _MemoryFile()
        self._current = self._whole
        self._resident = 0
        self.size = 0

    @property
    def path(self) -> str:
        """Return where the file can be opened."""
        return self._current.path

    @property
    def memory(self) -> mmap.mmap:
        """Return the mapping; `size` bytes of it count."""
        if self._current.map is None:
            raise ValueError("the buffer was never filled")
        return self._current.map

    def reserve(self, size: int) -> mmap.mmap:
        """Return the memory to fill, at least `size` bytes of it."""
        self._current = self._whole
        return self._whole.reserve(size)

    def set_size(self, size: int) -> None:
        """Cut the file to what was written."""
        self.size = size
        whole = self.memory
        if size * 2 < self._resident:
            self._current = self._end
            with memoryview(self._end.reserve(size)) as to, memoryview(whole) as of:
                to[:size] = of[:size]
        else:
            self._resident = size
        self._current.cut(size)

    def close(self) -> None:
        """Free the memory."""
        self._whole.close()
        self._end.close()

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        """Have `#` stand in place of some lines for as long as a reader looks at the chunk."""
        spans = [self.span(n) for n in numbers]
        kept = [self._data[start:end] for start, end in spans]
        try:
            for start, end in spans:
                self._data[start:end] = b"#" * (end - start)
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


@dataclass(frozen=True)
class Chunk:
    """Whole lines in the buffer, and where they begin in the unpacked object."""

    byte_offset: int
    size: int


def chunks(
    stream: BinaryIO,
    name: str,
    size: int,
    buffer: Buffer,
    limits: Limits = _DEFAULTS,
    spent: Callable[[], float] = time.thread_time,
) -> Iterator[Chunk | LongLine]:
    """Fill the buffer with whole lines, again and again, until the object ends.

    Yields in the order of the object what is in the buffer, or a line that is too long for it.
    spent: CPU seconds of this thread. Raises RefusedError for an object that is damaged, no log,
    or costs more than the limits.
    """
    source = Unpacked(stream, name, size, limits, spent)
    carried = b""
    capacity = CHUNK_BYTES
    offset: int | None = None
    while True:
        memory = buffer.reserve(capacity)
        memory[: len(carried)] = carried
        filled = source.fill(memory, len(carried), capacity)
        offset = source.skipped if offset is None else offset
        long = _too_long(memory, filled, limits.max_line_bytes)
        if long == 0:
            line, offset, carried = source.pass_over(memory, filled, offset)
            yield line
            continue
        cut = memory.rfind(b"\n", 0, filled) + 1 if long is None else long
        if source.at_end and long is None:
            cut = filled
        carried = memory[cut:filled]
        if cut:
            buffer.set_size(cut)
            yield Chunk(offset, cut)
            offset += cut
        elif not source.at_end:  # one line so far, within the limit: room for the rest of it
            capacity += CHUNK_BYTES
        if source.at_end and not carried:
            return


def _too_long(memory: mmap.mmap, filled: int, limit: int) -> int | None:
    """Return where the first line begins that is longer than the limit."""
    at = 0
    while filled - at > limit:
        end = memory.rfind(b"\n", at, at + limit + 1)
        if end < 0:
            return at
        at = end + 1
    return None
