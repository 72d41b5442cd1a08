"""Lines that the judge passed, through the same SQL as the typed read's rows: a few at a time.

Belongs here: their rows, and those rejected after all. Does not: who is judged (lake.parse), what
the SQL says (lake.projection).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime

import duckdb
import pyarrow as pa

from lake.engine import Engine
from lake.formats.base import Layout, Row
from lake.projection import TIME_TYPES, Projection, instant, misfit_reason

#: why a line is rejected whose values are of the right type and cannot be computed with
OUT_OF_RANGE = "value_out_of_range"
#: types of which no value is written without a digit; of dates and floats some are, as infinity
_NUMBERS = ("BIGINT", "INTEGER", "DECIMAL")
_DIGITS = frozenset("0123456789")
_WORDS = ("inf", "epoch")
_ISO_DATE = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}")

Numbered = Sequence[tuple[int, Row]]


class Rescue:
    """Computes the rows of judged lines. Not thread-safe: one a parser."""

    def __init__(self, engine: Engine, projection: Projection) -> None:
        self._engine = engine
        self._projection = projection

    def rows(
        self, good: Numbered, layout: Layout, not_before: datetime, not_after: datetime
    ) -> tuple[list[pa.Table], list[tuple[int, str]]]:
        """Return the rows of lines, and the numbers of late rejects with their reasons.

        not_before, not_after: the half-open bounds of the event time.
        """
        faults = [(number, misfit(row, layout)) for number, row in good]
        wrong = [(number, why) for number, why in faults if why is not None]
        if wrong:
            good = [pair for pair, (_, why) in zip(good, faults, strict=True) if why is None]
        rows, late = self._computed(good, layout, not_before, not_after) if good else ([], [])
        return rows, wrong + late

    def _computed(
        self, good: Numbered, layout: Layout, not_before: datetime, not_after: datetime
    ) -> tuple[list[pa.Table], list[tuple[int, str]]]:
        """Send lines through the SQL.

        A value that it cannot compute with stops all lines that go through it together: they are
        halved until it stands alone.
        """
        try:
            return self._together(good, layout, instant(not_before), instant(not_after))
        except duckdb.DataError:
            if len(good) == 1:
                return [], [(good[0][0], OUT_OF_RANGE)]
        middle = len(good) // 2
        rows, late = self._computed(good[:middle], layout, not_before, not_after)
        more, later = self._computed(good[middle:], layout, not_before, not_after)
        return rows + more, late + later

    def _together(
        self, good: Numbered, layout: Layout, *bounds: str
    ) -> tuple[list[pa.Table], list[tuple[int, str]]]:
        texts = {c: pa.array([r.values[c] for _, r in good], pa.string()) for c in layout.columns}
        judged = self._engine.holding(
            pa.table({"rn": pa.array([n for n, _ in good], pa.int64()), **texts})
        )
        found = self._engine.prepared(self._projection.too_late(judged, layout), *bounds)
        late = [(int(row["rn"]), str(row["reason"])) for row in found.to_pylist()]
        if len(late) == len(good):
            return [], late
        if late:
            numbers = ", ".join(str(number) for number, _ in late)
            self._engine.execute(f"delete from {judged} where rn in ({numbers})")
        return [self._engine.prepared(self._projection.judged(judged, layout), *bounds)], late


def misfit(row: Row, layout: Layout) -> str | None:
    """Return why a row is rejected that has a word for a number, or no day; None: the SQL knows.

    A statement for a handful of lines costs ten milliseconds, and most lines that need one are
    such. What else is written with a digit is left to DuckDB, whose casts have their own ways.
    """
    for column, typed in layout.columns.items():
        value = row.values[column]
        if not value:
            continue
        kind = typed
        if kind == "VARCHAR" and value not in layout.nulls:
            kind = layout.as_text.get(column, kind)
        if not _fits(value, kind):
            return misfit_reason(typed)
    return None


def _fits(value: str, kind: str) -> bool:
    """Tell whether a text may be a value of a DuckDB type."""
    if _DIGITS.isdisjoint(value):
        if kind in TIME_TYPES:
            return any(word in value.lower() for word in _WORDS)
        return not kind.startswith(_NUMBERS)
    return kind != "DATE" or not _ISO_DATE.fullmatch(value) or _is_day(value)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
