"""Telling a file's format by its first lines and its name, where no source declares it.

Belongs here: asking every family and choosing. Does not: what a family looks like, which is its
own `looks_like`. Pure but for the registry: the same head and name give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from lake.formats import AUTO, FAMILIES, family_of, invoices
from lake.formats.base import Family, Look
from lake.formats.shapes import Shape, require_utf8, shape_of
from lake.parquet_rows import column_names
from lake.refused import RefusedError
from lake.source import Source
from lake.unpacked import first_bytes, require_text

HEAD_BYTES = 1 << 18
#: what a fitting name adds; by itself it is too little to go by
_NAME_SCORE = 0.2
_LEAST = 0.4
#: two families this close look the same
_MARGIN = 0.05
#: family -> columns of Parquet that are nobody else's
_TELLING_COLUMNS = {
    "cloudfront_v2": ("x_edge_location", "sc_status"),
    "focus_invoice": invoices.TELLING,
    "rec_events": ("event_id", "event_type", "event_ts_ms"),
}


@dataclass(frozen=True)
class Detection:
    """What a file looks like: the one family, or none, and each family's reason by its name."""

    family: str | None
    looks: Mapping[str, Look]
    #: what it is made of and what to do, where it is of no family
    shape: Shape | None = None

    @property
    def detail(self) -> str:
        """Return what was expected, what was found, and the remedy."""
        if self.family is not None:
            return f"{self.family}: {self.looks[self.family].reason}"
        found = "; ".join(f"{name}: {look.reason}" for name, look in self.looks.items())
        nobodys = f"none of them ({self.shape.found})" if self.shape else "none of them"
        remedy = self.shape.remedy if self.shape else None
        return (
            f"expected one of {', '.join(sorted(FAMILIES))}, found "
            f"{f'more than one may be ({found})' if found else nobodys} in its first "
            "lines and its name. Say which with --source or --format, declare format: in the "
            "source file, or describe the log by a map: `weir source new FILE`."
            f"{f' Or {remedy}.' if remedy else ''}"
        )


def detect_head(head: bytes, name: str) -> Detection:
    """Return what the beginning of a file (unpacked) and its name look like."""
    looks: dict[str, Look] = {}
    for family in FAMILIES.values():
        look = family.looks_like(head)
        if family.file_names is not None and re.search(family.file_names, name):
            reason = f"{look.reason}; " if look else ""
            score = _NAME_SCORE + (look.score if look else 0)
            look = Look(score, f"{reason}a name as this vendor gives it")
        if look is not None:
            looks[family.name] = look
    ordered = dict(sorted(looks.items(), key=lambda item: -item[1].score))
    scores = [look.score for look in ordered.values()]
    is_clear = bool(scores) and scores[0] >= _LEAST
    if len(scores) > 1 and scores[0] - scores[1] < _MARGIN:
        is_clear = False
    if is_clear:
        return Detection(next(iter(ordered)), ordered)
    return Detection(None, ordered, shape_of(head))


def detect(stream: BinaryIO, name: str) -> Detection:
    """Return what a file looks like; raises RefusedError for one that cannot be read at all."""
    return detect_head(head_of(stream, name), name)


def head_of(stream: BinaryIO, name: str) -> bytes:
    """Return the head of a text file, unpacked; raises RefusedError for what is no text."""
    head = first_bytes(stream, name, HEAD_BYTES)
    require_text(head)
    require_utf8(head)
    return head


def detect_parquet(stream: BinaryIO) -> Detection:
    """Return what the columns of a Parquet object look like; raises RefusedError as detect."""
    columns = set(column_names(stream))
    for family, keys in _TELLING_COLUMNS.items():
        if columns.issuperset(keys):
            return Detection(family, {family: Look(0.9, f"columns {', '.join(keys)}")})
    return Detection(None, {})


def family_for(source: Source, stream: BinaryIO, name: str) -> Family:
    """Return the family that reads a file of a source; raises RefusedError where none is clear."""
    if source.format != AUTO:
        return family_of(source.format)
    found = detect(stream, name)
    if found.family is None:
        raise RefusedError("unknown_format", found.detail)
    family = family_of(found.family)
    expected = family_of(AUTO).record
    if family.record.identifier != expected.identifier:
        raise RefusedError(
            "unknown_format",
            f"expected a log for {expected.identifier}, found {family.name}. "
            f"Declare format: {family.name} in a source of its own.",
        )
    return family
