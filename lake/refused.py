"""The refusal of a whole object: the reasons there are, and what to do about each.

A reason is a property of the object. What goes wrong outside of it (a full disk, a failed read,
no memory) is no refusal: it is raised as it is, nothing is recorded, and the next ingest tries
again.
"""

from __future__ import annotations

_AGAIN = "Have it delivered again; a new version is read by itself."
_LIMITS = "If it is a log after all, split it or raise `limits` in the source file."

#: reason -> what to do; empty where the finding says so itself
REASONS = {
    "zero_bytes": _AGAIN,
    "truncated": _AGAIN,
    "crc": _AGAIN,
    "corrupt": _AGAIN,
    "trailing_garbage": _AGAIN,
    "checksum": _AGAIN,
    "not_what_its_name_says": "Rename it, or have it delivered again as its name says.",
    "not_a_log": "Deliver the log itself, as text or packed once.",
    "wrong_container": "Deliver what the source's `container` says, or correct the source file.",
    "encrypted": "Deliver it unencrypted, or encrypted by the storage.",
    "bad_lines": "",
    "bad_document": "Correct the source's `document`, or have the whole answer delivered again.",
    "bad_schema": "Check what the producer writes, or the source's `format`.",
    "cr_line_ends": "Have lines end in LF or CRLF.",
    "no_header": "",
    "bad_header": "",
    "unknown_format": "",
    "incomplete_map": "",
    "bomb": _LIMITS,
    "too_many_rejects": "Look at it with `weir inspect`: most likely its format changed. "
    "If it is to be loaded all the same, raise `limits.max_rejected_lines` in the source file.",
    "too_many_hours": "If it is a backfill, split it or raise `limits.max_hours` in the source "
    "file; else its clock is wrong.",
    "too_slow": _LIMITS,
}


class RefusedError(Exception):
    """An object that is refused whole.

    reason: a word of REASONS, stable. detail: what was expected, what was found, what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = f"{detail} {REASONS.get(reason, '')}".rstrip()
        super().__init__(f"{reason}: {self.detail}")
