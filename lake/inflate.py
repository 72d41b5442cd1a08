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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lake.limits import Limits
from lake.unpacked import LongLine, Unpacked

CHUNK_BYTES = 128 * 1024 * 1024
_DEFAULTS = Limits()


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
