"""Equal lines of one delivery that are several requests: the second and later get their number.

For formats without a request id, where the identity of a row is its content: two viewers may ask
for the same in the same instant. The number is the occurrence in the delivery, so that the same
lines in another delivery are the same rows again.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_COLUMN = "row_key"
#: columns that say which row it is, where they are given
_NAMES = ("request_id", "line_no")
_KEY_BYTES = 16


class Repeats:
    """The row keys seen so far in one delivery: 16 bytes of memory a row."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, dtype=np.uint64)
        self._counts = np.empty(0, dtype=np.int64)

    def numbered(self, rows: pa.Table) -> pa.Table:
        """Return rows whose keys differ: that of the n-th equal row is hashed with n, from 2 on.

        Rows with a name of their own keep theirs: equal ones are one request, logged again, or one
        line of an invoice.
        """
        keys = rows.column(_COLUMN).combine_chunks()
        is_nameless = np.ones(len(keys), dtype=np.bool_)
        for name in _NAMES:
            if name in rows.column_names:
                is_nameless &= rows.column(name).is_null().to_numpy()
        nameless = np.flatnonzero(is_nameless)
        if not len(nameless):
            return rows
        before = self._occurrences(_hashes_of(keys)[nameless])
        repeated = np.flatnonzero(before)
        if not len(repeated):
            return rows
        again = nameless[repeated]
        changed = [
            hashlib.md5(b"%s %d" % (keys[i].as_py(), n + 1), usedforsecurity=False).digest()
            for i, n in zip(again.tolist(), before[repeated].tolist(), strict=True)
        ]
        mask = np.zeros(len(keys), dtype=np.bool_)
        mask[again] = True
        whole = keys.to_numpy(zero_copy_only=False)
        whole[mask] = changed
        column = pa.array(whole, keys.type)
        return rows.set_column(rows.schema.get_field_index(_COLUMN), _COLUMN, column)

    def _occurrences(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return of each row how many equal ones came before it, and remember all of them."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        is_first = np.ones(len(ordered), dtype=np.bool_)
        is_first[1:] = ordered[1:] != ordered[:-1]
        starts = np.flatnonzero(is_first)
        counts = np.diff(np.append(starts, len(ordered)))
        known = np.zeros(len(starts), dtype=np.int64)
        if len(self._hashes):
            place = np.searchsorted(self._hashes, ordered[starts]).clip(max=len(self._hashes) - 1)
            known = np.where(self._hashes[place] == ordered[starts], self._counts[place], 0)
        found = np.empty(len(hashes), dtype=np.int64)
        found[order] = np.arange(len(ordered)) - np.repeat(starts - known, counts)
        self._remember(ordered[starts], known + counts)
        return found

    def _remember(self, hashes: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        kept = ~np.isin(self._hashes, hashes, assume_unique=True)
        both = np.concatenate((self._hashes[kept], hashes))
        order = np.argsort(both, kind="stable")
        self._hashes = both[order]
        self._counts = np.concatenate((self._counts[kept], counts))[order]


def _hashes_of(keys: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the first half of each key, which is a digest, as a number."""
    fixed = keys.cast(pa.binary(_KEY_BYTES))
    whole = np.frombuffer(fixed.buffers()[1], dtype=np.uint64)
    return whole[2 * fixed.offset : 2 * (fixed.offset + len(fixed)) : 2].copy()
