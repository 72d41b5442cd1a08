"""The parser of whole JSON documents: small tables as the usage APIs of vendors answer them.

Belongs here: from an object's bytes to its records, within limits. Does not: where records stand
(lake/document.py), what they mean (the families).

A record counts as a line, numbered from 1 in the order of the document; what stands for it among
rejects is its JSON, with what `keep` gave it. A document is held whole, so that it is bounded by
`limits.max_line_bytes`; one that is no JSON, or has no list where its source says, is refused.
"""

from __future__ import annotations

import json
import mmap
import time
from collections.abc import Callable
from typing import BinaryIO

import pyarrow as pa

from lake.columnar_tables import TableParser, Values
from lake.document import Document, MisplacedError
from lake.formats.tabular import encodes, flattened
from lake.parse import Constants
from lake.refused import RefusedError
from lake.repeats import Repeats
from lake.totals import ParseTotals
from lake.unpacked import Unpacked

_AT_A_TIME = 50_000


class DocumentParser(TableParser):
    """Parses JSON documents of one source. Not thread-safe: one parser a thread."""

    def parse(
        self,
        stream: BinaryIO,
        name: str,
        size: int,
        constants: Constants,
        emit: Callable[[pa.Table], None],
    ) -> ParseTotals:
        """Parse one object; as lake.parse says."""
        totals = ParseTotals()
        self.raws.clear()
        self._repeats = Repeats()
        records = self._records(self._text(stream, name, size))
        for first in range(0, len(records), _AT_A_TIME):
            part = [self._values(one, totals) for one in records[first : first + _AT_A_TIME]]
            self._account(part, first, constants, totals, emit)
            totals.require_mostly_good(self.source.limits)
        return totals

    def _text(self, stream: BinaryIO, name: str, size: int) -> str:
        limit = self.source.limits.max_line_bytes
        unpacked = Unpacked(stream, name, size, self.source.limits, time.thread_time)
        with mmap.mmap(-1, limit + 1) as memory:
            filled = unpacked.fill(memory, 0, limit + 1)
            if filled <= limit and not unpacked.at_end:
                filled = unpacked.fill(memory, filled, limit + 1)  # a byte order mark was left out
            if filled > limit:
                raise RefusedError(
                    "bomb",
                    f"expected a document of at most {limit} bytes (limits.max_line_bytes), found "
                    "a larger one.",
                )
            data = memory[:filled]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as err:
            raise RefusedError(
                "bad_document",
                f"expected JSON in UTF-8, found the byte 0x{data[err.start]:02x} at {err.start}.",
            ) from err

    def _records(self, text: str) -> list[object]:
        where = self.source.document or Document(records="data")
        try:
            # numbers stay as they are written: a float would lose digits
            whole = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
            return list(where.found_in(whole))
        except MisplacedError as err:
            said = str(err)
        except (ValueError, RecursionError) as err:
            at = getattr(err, "pos", None)
            said = "expected one JSON document, found text that is none" + (
                f" from character {at} of {len(text)} on" if at is not None else ""
            )
        raise RefusedError("bad_document", f"{said}.")

    def _values(self, record: object, totals: ParseTotals) -> tuple[Values, str | None]:
        """Return a record's values by lower-case names, and why it is none."""
        if not isinstance(record, dict):
            return {"value": json.dumps(record, ensure_ascii=True)}, "not_an_object"
        try:
            values = flattened(record)
        except RecursionError:
            return {}, "invalid_json"
        if self._table.notes_unknown_keys:
            known = {n.split(".")[0] for n in self._names}
            totals.note_unknown(k for k in record if k.lower() not in known)
        if not all(encodes(text) for pair in values.items() for text in pair):
            return {"value": json.dumps(record, ensure_ascii=True)}, "bad_utf8"
        return values, None
