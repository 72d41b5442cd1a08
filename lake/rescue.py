"""Lines that the judge passed, through the same SQL as the typed read's rows: a few at a time.

Belongs here: their rows, and those rejected after all. Does not: who is judged (lake.parse), what
the SQL says (lake.projection).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import pyarrow as pa

from lake.engine import Engine
from lake.formats.base import Layout, Row
from lake.projection import Projection, instant

#: why a line is rejected whose values are of the right type and cannot be computed with
OUT_OF_RANGE = "value_out_of_range"

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

        not_before, not_after: the half-open bounds of the event time. A value that the SQL cannot
        compute with stops all lines that go through it together: they are halved until it stands
        alone.
        """
        try:
            return self._together(good, layout, instant(not_before), instant(not_after))
        except duckdb.DataError:
            if len(good) == 1:
                return [], [(good[0][0], OUT_OF_RANGE)]
        middle = len(good) // 2
        rows, late = self.rows(good[:middle], layout, not_before, not_after)
        more, later = self.rows(good[middle:], layout, not_before, not_after)
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
