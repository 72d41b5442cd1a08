"""From an object's bytes to chunks of whole lines in a reusable memory file.

DuckDB reads by path. A memory file (a temporary file where the system has none) that is inflated
into again and again costs no fresh pages; see facts on page faults in DECISIONS.md. Memory stays
flat in the size of the object: one chunk at a time, cut at a line end.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib

from lake.refused import RefusedError

CHUNK_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_INFLATED_BYTES = 64 * 1024**3
#: DEFLATE reaches 1032:1; logs stay under 40:1
MAX_RATIO = 400
_RATIO_FROM_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class Buffer:
    """A file in memory that can be filled again; `path` is valid while the buffer lives."""

    def __init__(self) -> None:
        self._temp: str | None = None
        if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
            self._fd = os.memfd_create("weir-chunk", os.MFD_CLOEXEC)
            self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
        else:
            self._fd, self._temp = tempfile.mkstemp(prefix="weir-chunk-")
            self.path = self._temp
        self._capacity = 0
        self._map: mmap.mmap | None = None
        self.size = 0

    def reserve(self, size: int) -> mmap.mmap:
        """Return the memory, at least `size` bytes of it."""
        if self._map is None or self._capacity < size:
            if self._map is not None:
                self._map.close()
            os.ftruncate(self._fd, size)
            self._map = mmap.mmap(self._fd, size)
            self._capacity = size
        elif os.fstat(self._fd).st_size != self._capacity:
            os.ftruncate(self._fd, self._capacity)
        return self._map

    @property
    def memory(self) -> mmap.mmap:
        """Return the mapping; `size` bytes of it count."""
        if self._map is None:
            raise ValueError("the buffer was never filled")
        return self._map

    def set_size(self, size: int) -> None:
        """Cut the file to what was written; the mapping stays for the next fill."""
        self.size = size
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        """Free the memory and remove the temporary file, if it is one."""
        if self._map is not None:
            self._map.close()
            self._map = None
        os.close(self._fd)
        if self._temp is not None:
            Path(self._temp).unlink(missing_ok=True)

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _positions(data: mmap.mmap, size: int, byte: int) -> npt.NDArray[np.int64]:
    """Return where a byte stands, block by block: a mask of the whole chunk would cost pages."""
    flags = np.empty(_BLOCK_BYTES, dtype=np.bool_)
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, size, _BLOCK_BYTES):
        count = min(_BLOCK_BYTES, size - start)
        block = np.frombuffer(data, dtype=np.uint8, count=count, offset=start)
        found.append(np.flatnonzero(np.equal(block, byte, out=flags[:count])) + start)
        del block  # an exported buffer would keep the mapping from growing
    return np.concatenate(found)


class Lines:
    """Where the physical lines of a chunk are; lines count from 1."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data = data
        ends = _positions(data, size, 0x0A)
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

    def count(self, byte: int) -> int:
        """Return how often a byte stands in the chunk."""
        end = int(self._ends[-1]) if len(self) else 0
        return int(np.count_nonzero(np.frombuffer(self._data, dtype=np.uint8, count=end) == byte))

    def count_each(self, byte: int) -> npt.NDArray[np.int64]:
        """Return how often a byte stands in each line."""
        end = int(self._ends[-1]) if len(self) else 0
        at = np.flatnonzero(np.frombuffer(self._data, dtype=np.uint8, count=end) == byte)
        counts: npt.NDArray[np.int64] = np.searchsorted(at, self._ends) - np.searchsorted(
            at, self._starts
        )
        return counts

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


def _reader(stream: BinaryIO, name: str) -> BinaryIO:
    magic = stream.read(2)
    stream.seek(0)
    if not magic:
        raise RefusedError("zero_bytes", "the object is empty; expected at least one line")
    if magic == _GZIP_MAGIC:
        return igzip.IGzipFile(fileobj=stream, mode="rb")  # type: ignore[no-any-return]
    if name.endswith(".gz"):
        raise RefusedError(
            "not_gzip", "the name ends in .gz, but the object does not begin like gzip"
        )
    return stream


def chunks(stream: BinaryIO, name: str, size: int, buffer: Buffer) -> Iterator[int]:
    """Fill the buffer with whole lines, again and again, until the object ends.

    Yields the number of bytes in the buffer. Raises RefusedError for an
    object that is damaged or blows up.
    """
    reader = _reader(stream, name)
    carried = b""
    total = 0
    capacity = CHUNK_BYTES
    at_end = False
    while not at_end:
        memory = buffer.reserve(capacity)
        memory[: len(carried)] = carried
        filled = len(carried)
        while filled < capacity:
            got = _read_some(reader, memory, filled, capacity)
            if got == 0:
                at_end = True
                break
            filled += got
            total += got
            _check_ratio(total, size)
        cut = filled if at_end else memory.rfind(b"\n", 0, filled) + 1
        if cut == 0 and not at_end:
            if capacity >= CHUNK_BYTES + MAX_LINE_BYTES:
                raise RefusedError("line_too_long", f"a line is longer than {MAX_LINE_BYTES} bytes")
            carried, capacity = memory[:filled], capacity + MAX_LINE_BYTES
            continue
        carried = memory[cut:filled]
        if cut:
            buffer.set_size(cut)
            yield cut


def _read_some(reader: BinaryIO, memory: mmap.mmap, start: int, end: int) -> int:
    try:
        with memoryview(memory) as view:
            return int(reader.readinto(view[start:end]) or 0)  # type: ignore[attr-defined]
    except EOFError as err:
        raise RefusedError("truncated", "the gzip stream ends before its end marker") from err
    except isal_zlib.error as err:  # type: ignore[misc]
        raise RefusedError("corrupt", f"the gzip stream cannot be inflated: {err}") from err
    except OSError as err:
        if err.errno is not None:
            raise
        word = "crc" if "CRC" in str(err) or "length" in str(err).lower() else "trailing_garbage"
        raise RefusedError(word, f"the gzip stream is damaged: {err}") from err


def _check_ratio(total: int, size: int) -> None:
    if total > MAX_INFLATED_BYTES or (total > _RATIO_FROM_BYTES and total > size * MAX_RATIO):
        raise RefusedError(
            "bomb",
            f"{size} bytes inflate to more than {total}; expected at most {MAX_RATIO}:1 and "
            f"{MAX_INFLATED_BYTES} bytes",
        )


def first_bytes(stream: BinaryIO, name: str, size: int) -> bytes:
    """Return the beginning of an object, inflated; damage further on does not matter."""
    reader = _reader(stream, name)
    try:
        return reader.read(size)
    except (EOFError, OSError, isal_zlib.error):  # type: ignore[misc]
        return b""
    finally:
        stream.seek(0)
