"""The fast read of a chunk: typed rows by DuckDB, and the lines that they are.

Belongs here: how a family's reads are run and whether they can be believed. Does not: which rows
are good (lake.parse), what the SQL says (lake.projection, lake.formats).
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.engine import Engine
from lake.formats.base import Family, Layout
from lake.inflate import Buffer
from lake.lines import Lines
from lake.projection import Projection

_Numbers = npt.NDArray[np.int64]
_KEY = "row_key"


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
        key = self._family.line_key_sql(layout)
        try:
            if key is None:
                return self._rows(chunk.path, lines, layout)
            return self._keyed_rows(key, chunk, lines, layout)
        except (duckdb.InvalidInputException, duckdb.DataError):
            return None

    def _rows(self, path: str, lines: Lines, layout: Layout) -> tuple[pa.Table, _Numbers] | None:
        left_out = self._family.line_numbers_sql()
        if left_out is not None and self._has_rejects:
            self._engine.execute("delete from reject_errors")
            self._engine.execute("delete from reject_scans")
        read = self._family.read_sql(path, layout, lines.longest)
        rows = self._engine.read(self._projection.fast(read, layout))
        self._has_rejects = left_out is not None
        numbers = lines.not_blank()
        if left_out is not None:
            rejected = [r[0] for r in self._engine.execute(left_out).fetchall()]
            if rejected:
                numbers = numbers[~np.isin(numbers, rejected)]
            numbers = numbers[layout.header_lines :]
        return (rows, numbers) if len(numbers) == rows.num_rows else None

    def _keyed_rows(
        self, key: str, chunk: Buffer, lines: Lines, layout: Layout
    ) -> tuple[pa.Table, _Numbers] | None:
        """Read the objects, and hash the lines of those that have no key of their own."""
        path = self._path_of_objects(chunk, lines, self._family.heads(lines, layout))
        read = self._rows(path, lines, layout)
        if read is None:
            return None
        rows, numbers = read
        if _KEY not in rows.column_names:
            return rows.append_column(_KEY, self._hashed(key, lines, numbers)), numbers
        own = rows.column(_KEY).combine_chunks()
        if own.null_count:
            is_missing = own.is_null()
            missing = numbers[is_missing.to_numpy(zero_copy_only=False)]
            hashed = self._hashed(key, lines, missing).combine_chunks()
            own = pc.replace_with_mask(own, is_missing, hashed)
            rows = rows.set_column(rows.schema.get_field_index(_KEY), _KEY, own)
        return rows, numbers

    def _hashed(self, key: str, lines: Lines, numbers: _Numbers) -> pa.ChunkedArray:
        """Return the keys of lines."""
        whole = pa.table({"line": lines.texts(numbers)})
        return self._engine.over(whole, f"select {key} as key from incoming").column("key")

    def _path_of_objects(self, chunk: Buffer, lines: Lines, heads: _Numbers) -> str:
        """Return where the text without what stands before the objects can be read."""
        if not heads.any():
            return chunk.path
        text = lines.without_heads(heads)
        with memoryview(self._objects.reserve(text.size)) as memory:
            memory[: text.size] = memoryview(text).cast("B")
        self._objects.set_size(text.size)
        return self._objects.path
