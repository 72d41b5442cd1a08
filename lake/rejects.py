"""A line that was not accepted: where it is and what shape it has, nothing of what it says."""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass

from lake.lines import Lines
from lake.unpacked import LongLine

_EXCERPT_CHARS = 120
#: byte -> what stands for it in an excerpt, Latin-1
_SHAPE = bytes(
    ord("x") if chr(b) in string.ascii_letters
    else ord("9") if chr(b) in string.digits
    else b if b < 128 and chr(b).isprintable()
    else ord("·")
    for b in range(256)
)  # fmt: skip


@dataclass(frozen=True)
class RejectedLine:
    """A line that was not accepted: where it is and why; its bytes stay in landing."""

    line: int
    byte_offset: int
    byte_length: int
    raw_sha256: str
    reason: str
    excerpt: str


def rejected_line(lines: Lines, number: int, first: int, offset: int, reason: str) -> RejectedLine:
    """Describe a line of a segment that begins after `first` lines and `offset` bytes."""
    raw = lines.raw(number)
    start, end = lines.span(number)
    return RejectedLine(
        line=first + number,
        byte_offset=offset + start,
        byte_length=end - start,
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        reason=reason,
        excerpt=shape_of(raw),
    )


def rejected_row(raw: bytes, number: int, reason: str) -> RejectedLine:
    """Describe a row of a columnar object; raw: its canonical JSON, which has no offset."""
    return RejectedLine(
        line=number,
        byte_offset=0,
        byte_length=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        reason=reason,
        excerpt=shape_of(raw),
    )


def long_line(found: LongLine, number: int) -> RejectedLine:
    """Describe a line that was too long to be looked at."""
    return RejectedLine(
        line=number,
        byte_offset=found.byte_offset,
        byte_length=found.byte_length,
        raw_sha256=found.sha256,
        reason="line_too_long",
        excerpt=shape_of(found.head),
    )


def shape_of(raw: bytes) -> str:
    """Return the shape of a line's beginning: letters x, digits 9, other text as a dot.

    Enough to see what is wrong with a line, nothing of what it says.
    """
    return raw[:_EXCERPT_CHARS].translate(_SHAPE).decode("latin-1")
