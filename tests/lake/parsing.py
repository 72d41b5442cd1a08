"""Bytes in, rows and counts out: by the fast read, or by the judge alone.

Belongs here: how a test parses a file, and what holds for every file. Does not: a landing or a
catalog (box.py).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lake.columnar import parser_of
from lake.formats import COUNTER_FAMILIES, FAMILIES
from lake.formats.base import Family
from lake.parse import Constants, Parser
from lake.source import ABSOLUTE_RANGE, Source
from lake.totals import ParseTotals

from .box import NOW, PROTECTION
from .feeds import source_of


def judged(family: Family) -> Family:
    """Return a family that believes no fast read: every line goes to the judge."""
    believes_none = {"overruled": lambda _self, _lines, _layout, numbers: numbers}
    made: Family = type(f"Judged{type(family).__name__}", (type(family),), believes_none)()
    return made


JUDGED: dict[str, Family] = {
    # every line of a counter family is judged anyway
    **{name: judged(family) for name, family in FAMILIES.items()},
    **{family.name: family for family in COUNTER_FAMILIES},
}


@dataclass(frozen=True)
class Parsed:
    """What became of a file: rows in line order, and the counts."""

    rows: list[dict[str, Any]]
    totals: ParseTotals

    @property
    def reasons(self) -> dict[int, str]:
        return {r.line: r.reason for r in self.totals.rejects}

    def check_accounts(self, data: bytes) -> None:
        """Assert what holds for every file: lines add up, rejects are where they say."""
        t = self.totals
        text = data.removeprefix(b"\xef\xbb\xbf")  # a mark and nothing after it is no line
        physical = text.count(b"\n") + bool(text and not text.endswith(b"\n"))
        assert t.lines == physical
        assert t.lines == t.accepted + t.rejected + t.header + t.blank
        assert t.accepted == len(self.rows)
        numbers = [r["source_line"] for r in self.rows] + [r.line for r in t.rejects]
        assert len(numbers) == len(set(numbers))
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for r in t.rejects:
            raw = data[r.byte_offset : r.byte_offset + r.byte_length]
            assert raw == lines[r.line - 1]
            assert hashlib.sha256(raw).hexdigest() == r.raw_sha256


class ParseTool:
    """Parses bytes with parsers that are made once."""

    def __init__(self) -> None:
        self._parsers: dict[tuple[str, bool, str], Parser] = {}

    def __call__(
        self,
        family: str,
        data: bytes,
        *,
        judged: bool = False,
        name: str = "in/file.log",
        source: Source | None = None,
        size: int | None = None,
        **constants: Any,
    ) -> Parsed:
        feed = source or source_of(family)
        known = (family, judged, repr(feed))
        if known not in self._parsers:
            how = JUDGED[family] if judged else FAMILIES[family]
            self._parsers[known] = parser_of(feed, how, PROTECTION)
        given = {"not_before": ABSOLUTE_RANGE[0], "not_after": ABSOLUTE_RANGE[1], **constants}
        tables: list[pa.Table] = []
        totals = self._parsers[known].parse(
            io.BytesIO(data),
            name,
            len(data) if size is None else size,
            Constants(
                "d-1", NOW, given.pop("producer", None), given["not_before"], given["not_after"]
            ),
            tables.append,
        )
        rows = [row for t in tables for row in t.to_pylist()]
        return Parsed(sorted(rows, key=lambda r: r["source_line"]), totals)

    def close(self) -> None:
        for parser in self._parsers.values():
            parser.close()
