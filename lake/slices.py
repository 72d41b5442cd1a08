"""Taking rows out of Arrow tables without copying those that stay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: beyond, a filter is cheaper than slices
_MANY_GONE = 1000


def taken(rows: pa.Table, kept: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the kept rows; where few are gone, those between them stay where they are."""
    gone = np.flatnonzero(~kept)
    if not len(gone):
        return rows
    if len(gone) > _MANY_GONE:
        return rows.filter(pa.array(kept))
    edges = [-1, *gone.tolist(), rows.num_rows]
    parts = [rows.slice(a + 1, b - a - 1) for a, b in pairwise(edges) if b - a > 1]
    return pa.concat_tables(parts or [rows.slice(0, 0)])
