"""Akamai DataStream 2 as STRUCTURED: columns by spaces or tabs, the first is the format's version.

The order is that of the stream's data set, which the file does not say: the source declares it as
`fields`, with or without the version in front. Times are whole seconds. What the fields mean is
said in lake/formats/akamai.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lake.formats import tsv
from lake.formats.akamai import FIELDS, LEFT_OUT, NUMBERS, REQUIRED, AkamaiDataStream2
from lake.formats.base import Judgement, Layout, Look, Row
from lake.lines import Lines
from lake.refused import RefusedError
from lake.source import Source

_MAX_COLUMNS = 200


@dataclass(frozen=True)
class _Columns(Layout):
    """All fields, and which of them the file has in which order."""

    file: Layout | None = None

    @property
    def of_file(self) -> Layout:
        """Return the columns as the file has them."""
        return self.file or self


class AkamaiStructured(AkamaiDataStream2):
    """DataStream 2 as columns in a declared order."""

    name = "akamai_ds2_structured"

    def looks_like(self, head: bytes) -> Look | None:  # noqa: ARG002
        """Return None: nothing in such a line says what its columns are."""
        return None

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Return the declared order; raises RefusedError where there is none."""
        if previous is not None:
            return previous
        names = list(source.fields)
        if names and names[0] != "version":
            names.insert(0, "version")
        missing = [c for c in REQUIRED if c not in names]
        if missing or len(set(names)) != len(names) or len(names) > _MAX_COLUMNS:
            raise RefusedError(
                "no_header",
                "expected the order of the stream's data set with reqTimeSec and statusCode, each "
                f"once and at most {_MAX_COLUMNS}, found {len(names)} names without {missing}. Add "
                "`fields: [reqId, reqTimeSec, ...]` to the source file.",
            )
        known = (*FIELDS, *LEFT_OUT)
        # a name that is not known stays out of SQL
        given = {n if n in known else f"unknown_{i}": "VARCHAR" for i, n in enumerate(names)}
        first = next((line for line in head.split(b"\n") if line.strip()), b"")
        return _Columns(
            FIELDS,
            REQUIRED,
            {**NUMBERS, "version": "INTEGER"},
            unknown=tuple(n for n in names if n not in known),
            nulls=tsv.NULLS,
            file=Layout(given, REQUIRED, delimiter="\t" if b"\t" in first else " "),
        )

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the read of the file's columns; those that it lacks are null."""
        file = _of_file(layout)
        columns = ", ".join(
            f'"{c}"' if c in file.columns else f'null::varchar as "{c}"' for c in FIELDS
        )
        return f"select rn, {columns} from ({tsv.read_sql(path, file, longest_line)})"

    def line_numbers_sql(self) -> str | None:
        """Return the lines that the reader rejected, by physical number."""
        return tsv.REJECTED_LINES

    def unknown_fields(self, lines: Lines) -> Iterable[str]:  # noqa: ARG002
        """Return nothing: names stand in the source, and so in the layout."""
        return ()

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that have too many columns."""
        return tsv.overflowing(lines, _of_file(layout), numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line."""
        found = tsv.judge(line, _of_file(layout), has_header=False)
        if isinstance(found, Row):
            return Row({c: found.values.get(c) for c in FIELDS})
        return found


def _of_file(layout: Layout) -> Layout:
    if not isinstance(layout, _Columns):
        raise TypeError(f"expected a layout of this family, found {type(layout).__name__}")
    return layout.of_file
