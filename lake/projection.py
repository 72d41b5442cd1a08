"""The SQL of the parser: raw columns to derived ones to canonical ones, as one SELECT.

Belongs here: how a family's expressions become a query. Does not: what they say (lake/formats).
$1 and $2 are the bounds of the event time, half open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.types import NestedField

from lake import cmcd
from lake.canonical import in_levels, needed_by
from lake.formats.base import Family, Layout
from lake.reads import duckdb_type, quote_identifier
from lake.source import Source

TIME_TYPES = ("DATE", "TIME")
#: why a line is rejected whose time is none
NO_TIME = "bad_time"
_Flags = npt.NDArray[np.bool_]


def instant(value: datetime) -> str:
    """Return the SQL of an instant."""
    return f"timestamptz '{value.isoformat()}'"


@dataclass(frozen=True)
class Projection:
    """The queries of one family and source."""

    source: Source
    family: Family

    def fast(self, read: str, layout: Layout) -> str:
        """Return the query of all rows of a read: is_ok (but for the bounds) and the columns.

        Without parameters, so that it is the same for every delivery. A filter in the query would
        copy all rows to take out one in a thousand: who reads takes them out (`good_rows`). Rows
        come in the order of the file, on one thread: to number them would only cost.
        """
        derived, canonical, valid = self.family.fast_sql(layout, self.source)
        rows = self._select(f"({read})", derived, canonical)
        return f"select coalesce(({valid}), false) as is_ok, {rows}"

    def columns(self, relation: str, layout: Layout) -> str:
        """Return the query of the good rows of typed columns: rn and the columns.

        relation: a SELECT of rn, is_misfit (a value that its type could not take) and all columns.
        """
        rows = self._rows(f"({relation})", layout, f"not is_misfit and {layout.valid_sql()}")
        return f"select * exclude (is_ok) from ({rows}) where is_ok"

    def judged(self, table: str, layout: Layout) -> str:
        """Return the query of lines that the judge passed, held as text in a table."""
        return self._rows(self._cast(table, layout), layout, "true")

    def too_late(self, table: str, layout: Layout) -> str:
        """Return the query of judged lines that are rejected after all: rn and reason.

        By the event time alone: mostly none is left, and the long projection need not be planned.
        """
        steps = needed_by("event_time", self.family.derived_sql(layout, self.source))
        timed = _derived(self._cast(table, layout), steps)
        readable = layout.readable_sql()
        return (
            f"select rn, coalesce(misfit, case when not ({readable}) then 'wrong_type' "
            f"when event_time is null then '{NO_TIME}' else 'time_out_of_range' end) as reason "
            f"from {timed} "
            f"where not coalesce(misfit is null and ({readable}) and event_time >= $1 "
            "and event_time < $2, false) order by rn"
        )

    def _cast(self, table: str, layout: Layout) -> str:
        """Return texts as the typed reader would have read them, and what does not fit."""
        columns = [(quote_identifier(c), t) for c, t in layout.columns.items()]
        # text stays as it is: a cast of forty columns is planned anew for each handful of lines
        casts = ", ".join(
            c if t == "VARCHAR" else f"try_cast({c} as {t}) as {c}" for c, t in columns
        )
        misfits = " ".join(
            f"when {c} is not null and try_cast({c} as {t}) is null then '{misfit_reason(t)}'"
            for c, t in columns
            if t != "VARCHAR"
        )
        misfit = f"case {misfits} end" if misfits else "null::varchar"
        return f"(select rn, {misfit} as misfit, {casts} from {table})"

    def _rows(self, relation: str, layout: Layout, valid: str) -> str:
        """Return raw -> derived -> canonical as one SELECT of rn, is_ok and the columns."""
        derived = self.family.derived_sql(layout, self.source)
        canonical = self.family.canonical_sql(layout, self.source)
        is_ok = f"({valid}) and event_time >= $1 and event_time < $2"
        return (
            f"select rn, coalesce({is_ok}, false) as is_ok, "
            f"{self._select(relation, derived, canonical)}"
        )

    def _select(
        self, relation: str, derived: Mapping[str, str], canonical: Mapping[str, str]
    ) -> str:
        """Return the canonical columns and what they are selected from."""
        expressions = {**canonical, "event_time": "event_time"}
        columns = ", ".join(
            f"cast({expressions[f.name]} as {_type(f)}) as {quote_identifier(f.name)}"
            for f in self.family.record.schema.fields
            if f.name in expressions
        )
        if cmcd.TWICE in canonical:
            columns += f", cast({canonical[cmcd.TWICE]} as VARCHAR) as {cmcd.TWICE}"
        return f"{columns} from {_derived(f'{relation} raw', derived)}"


def misfit_reason(kind: str) -> str:
    """Return why a line is rejected that has something else where a column's type stands."""
    return NO_TIME if kind in TIME_TYPES else "wrong_type"


def good_rows(
    rows: pa.Table, not_before: datetime, not_after: datetime
) -> tuple[_Flags, _Flags, _Flags]:
    """Tell which rows of `fast` are good, which would be but for their time, and which have none.

    Good: valid, and of a time within the half-open bounds.
    """
    times = rows.column("event_time")
    low, high = (pa.scalar(t, times.type) for t in (not_before, not_after))
    is_within = pc.and_(pc.greater_equal(times, low), pc.less(times, high))
    valid = rows.column("is_ok")
    good = pc.fill_null(pc.and_kleene(valid, is_within), False)
    misplaced = pc.fill_null(pc.and_kleene(valid, pc.invert(is_within)), False)
    untimed = pc.and_(valid, pc.is_null(times)) if times.null_count else pa.repeat(False, len(rows))
    return tuple(flags.to_numpy(zero_copy_only=False) for flags in (good, misplaced, untimed))


def _derived(relation: str, steps: Mapping[str, str]) -> str:
    """Return a relation with derived columns, level on level."""
    for level in in_levels(steps):
        columns = ", ".join(f"{e} as {n}" for n, e in level.items())
        relation = f"(select *, {columns} from {relation})"
    return relation


def _type(field: NestedField) -> str:
    return "VARCHAR" if field.name == cmcd.TEXT else duckdb_type(field.field_type)
