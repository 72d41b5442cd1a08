"""The fast read of a chunk: typed rows by DuckDB, and the lines that they are.

Belongs here: how a family's reads are run and whether they can be believed. Does not: which rows
are good (lake.parse), what the SQL says (lake.projection, lake.formats).
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake.engine import Engine
from lake.formats.base import Family, Layout
from lake.inflate import Buffer
from lake.lines import Lines
from lake.projection import Projection
from lake.slices import taken

_BRACE = ord("{")

_Numbers = npt.NDArray[np.int64]


class FastReader:
    """Reads the chunks of one source. Not thread-safe: one a parser."""

    def __init__(self, engine: Engine, projection: Projection, family: Family) -> None:
        self._engine = engine
        self._projection = projection
        self._family = family
        self._objects = Buffer()
        self._has_rejects = False

    def close(self) -> None:
        """Free the memory; the engine is the caller's."""
        self._objects.close()

    def read(self, chunk: Buffer, lines: Lines, layout: Layout) -> tuple[pa.Table, _Numbers] | None:
        """Return all rows with the numbers of their lines; None where the reader vouches for none.

        A reader that gives up (CSV does on mixed line ends, arithmetic on a year 290000) and one
        that counts other lines than the index are not believed.
        """
        keys = self._family.keys_sql(chunk.path, layout, lines.longest)
        try:
            if keys is None:
                read = self._family.read_sql(chunk.path, layout, lines.longest)
                return self._rows(self._projection.fast(read, layout), lines, layout)
            return self._rows_by_key(keys, chunk, lines, layout)
        except (duckdb.InvalidInputException, duckdb.DataError):
            return None

    def _rows(self, sql: str, lines: Lines, layout: Layout) -> tuple[pa.Table, _Numbers] | None:
        left_out = self._family.line_numbers_sql()
        if left_out is not None and self._has_rejects:
            self._engine.execute("delete from reject_errors")
            self._engine.execute("delete from reject_scans")
        rows = self._engine.read(sql)
        self._has_rejects = left_out is not None
        numbers = lines.not_blank()
        if left_out is not None:
            rejected = [r[0] for r in self._engine.execute(left_out).fetchall()]
            if rejected:
                numbers = numbers[~np.isin(numbers, rejected)]
            numbers = numbers[layout.header_lines :]
        return (rows, numbers) if len(numbers) == rows.num_rows else None

    def _rows_by_key(
        self, keys: str, chunk: Buffer, lines: Lines, layout: Layout
    ) -> tuple[pa.Table, _Numbers] | None:
        """Read the lines for their keys, then the objects that stand in them."""
        keyed = self._rows(keys, lines, layout)
        if keyed is None:
            return None
        found, numbers = keyed
        path = self._path_of_objects(chunk, lines, numbers, found.column("head").to_numpy())
        read = self._family.read_sql(path, layout, lines.longest)
        rows = self._engine.read(self._projection.fast(read, layout))
        every = lines.not_blank()
        if len(every) != rows.num_rows:
            return None
        if len(every) != len(numbers):
            rows = taken(rows, np.isin(every, numbers))
        return rows.append_column("row_key", found.column("row_key")), numbers

    def _path_of_objects(
        self, chunk: Buffer, lines: Lines, numbers: _Numbers, heads: _Numbers
    ) -> str:
        """Return where the text without what stands before the objects can be read."""
        if not heads.any():
            return chunk.path
        cut = np.zeros(len(lines), dtype=np.int64)
        cut[numbers - 1] = heads
        # heads count characters: where they are no bytes, the line is left to the judge
        cut[~lines.have_at(_BRACE, cut)] = 0
        text = lines.without_heads(cut)
        with memoryview(self._objects.reserve(text.size)) as memory:
            memory[: text.size] = memoryview(text).cast("B")
        self._objects.set_size(text.size)
        return self._objects.path
