"""The unpacked bytes of one object, counted against its limits.

Belongs here: what an object may cost, and what its beginning must look like. Does not: codecs
(lake.codecs) and the cut into whole lines (lake.inflate).
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from lake.codecs import open_reader, other_type
from lake.limits import Limits
from lake.refused import RefusedError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_RATIO_FROM_BYTES = 64 * 1024 * 1024
#: unpacked at a time: the checksum of larger pieces is made when they have left the caches
_STEP_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024
_LONG_HEAD_BYTES = 128
_LONG_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class LongLine:
    """A line over the limit, read past and not kept.

    byte_offset: in the unpacked object. byte_length: without the line end. head: its beginning.
    """

    byte_offset: int
    byte_length: int
    sha256: str
    head: bytes


class Meter:
    """What an object has cost so far, against its limits; raises RefusedError beyond them.

    size: packed bytes. spent: CPU seconds of this thread.
    """

    def __init__(self, size: int, limits: Limits, spent: Callable[[], float]) -> None:
        self._size = size
        self._limits = limits
        self._spent = spent
        self._began = spent()
        self.total = 0

    def add(self, count: int) -> None:
        """Count unpacked bytes."""
        self.total += count
        self.require(self.total)
        if self._spent() - self._began > self._limits.max_cpu_s:
            raise RefusedError(
                "too_slow",
                f"expected to read it in {self._limits.max_cpu_s} s of CPU time "
                f"(limits.max_cpu_s), found that this takes longer; {self.total} bytes were "
                "unpacked.",
            )

    def require(self, total: int) -> None:
        """Require that so many unpacked bytes are within the limits."""
        limits = self._limits
        if total > limits.max_inflated_bytes:
            raise RefusedError(
                "bomb",
                f"expected at most {limits.max_inflated_bytes} bytes after unpacking "
                f"(limits.max_inflated_bytes), found more in an object of {self._size}.",
            )
        if total > _RATIO_FROM_BYTES and total > self._size * limits.max_ratio:
            raise RefusedError(
                "bomb",
                f"expected at most {limits.max_ratio} bytes for one packed (limits.max_ratio), "
                f"found {self._size} bytes that become more than {total}.",
            )


class Unpacked:
    """The unpacked bytes of an object, counted against its limits."""

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        size: int,
        limits: Limits,
        spent: Callable[[], float],
    ) -> None:
        self._reader = open_reader(stream, name)
        self._meter = Meter(size, limits, spent)
        self.at_end = False
        #: bytes of a byte order mark at the beginning, which is left out
        self.skipped = 0

    def fill(self, memory: mmap.mmap, start: int, end: int) -> int:
        """Fill the memory up to `end`, or to the end of the object; return how far."""
        is_first = self._meter.total == 0
        while start < end and not self.at_end:
            # both views are let go of: an error keeps its frames, and they the mapping
            with memoryview(memory) as view, view[start : min(end, start + _STEP_BYTES)] as part:
                got = self._reader.readinto(part)
            self.at_end = got == 0
            start += got
            self._meter.add(got)
        if is_first:
            if memory[:3] == BYTE_ORDER_MARK and start >= 3:
                start, self.skipped = start - 3, 3
                memory.move(0, 3, start)
            require_text(memory[: min(start, _HEAD_BYTES)])
        return start

    def pass_over(self, memory: mmap.mmap, filled: int, offset: int) -> tuple[LongLine, int, bytes]:
        """Read past the line that the memory begins with.

        Returns the line, the offset after its line end, and the bytes read beyond.
        """
        digest, length, head = hashlib.sha256(), 0, memory[: min(filled, _LONG_HEAD_BYTES)]
        while True:
            end = memory.find(b"\n", 0, filled)
            part = memory[: filled if end < 0 else end]
            digest.update(part)
            length += len(part)
            if end >= 0 or self.at_end:
                line = LongLine(offset, length, digest.hexdigest(), head)
                if end < 0:
                    return line, offset + length, b""
                return line, offset + length + 1, memory[end + 1 : filled]
            filled = self.fill(memory, 0, min(len(memory), _LONG_BLOCK_BYTES))


def require_text(head: bytes) -> None:
    """Raise RefusedError for what is no text with line ends, by its beginning."""
    other = other_type(head)
    if other is not None:
        raise RefusedError("not_a_log", f"expected lines of text, found {other}.")
    if b"\n" not in head and b"\r" in head[:-1]:
        raise RefusedError(
            "cr_line_ends",
            f"expected lines that end in LF, found {head.count(13)} CR and no LF in the first "
            f"{len(head)} bytes: it would count as one line.",
        )


def first_bytes(stream: BinaryIO, name: str, size: int) -> bytes:
    """Return the beginning of an object, unpacked; damage further on does not matter.

    Raises RefusedError where damage leaves nothing of it.
    """
    reader = open_reader(stream, name)
    found = bytearray(size)
    filled = 0
    try:
        with memoryview(found) as view:
            while filled < size and (got := reader.readinto(view[filled:])):
                filled += got
    except RefusedError:
        if not filled:
            raise
    finally:
        stream.seek(0)
    return bytes(found[:filled]).removeprefix(BYTE_ORDER_MARK)
