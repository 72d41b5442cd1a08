"""Pairs `key=value` of CMCD, each distinct one decoded and cast once.

Belongs here: what is remembered of pairs from chunk to chunk; a day's players send the same ones
again and again. Does not: what a pair says (lake.cmcd_keys), how a text is cut into pairs
(lake.cmcd).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.cmcd_keys import BIT, pairs_sql
from lake.engine import Engine

#: beyond either, what was known is forgotten: made-up pairs must not fill the memory
_MOST_PAIRS = 150_000
_MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class Writing:
    """How dictionaries are written down.

    comma: between the pairs. once, pair, doubtful: SQL as `pairs_sql` has it.
    """

    comma: str
    once: str
    pair: str
    doubtful: str


PLAIN = Writing(",", "pair", "once", "false")
#: as a query string holds it; commas that are encoded in another way are not cut at
ENCODED = Writing("%2C", "pair", "decode_once(once)", "contains(pair, '%2c')")
#: as a log that encodes query strings once more has it
ENCODED_TWICE = Writing(
    "%252C",
    "decode_once(pair)",
    "decode_once(once)",
    # a sign that is encoded once or not at all: it was not encoded when the log was written
    "contains(pair, ',') or contains(pair, '=') or regexp_matches(pair, '%2[Cc]|%3[Dd]|%252c') "
    "or contains(pair, '%') and try(url_decode(pair)) is null",
)


class KnownPairs:
    """The distinct pairs seen so far, and what they say. Not thread-safe: one a parser."""

    def __init__(
        self,
        engine: Engine,
        writing: Writing,
        clean: Callable[[pa.StringArray], pa.StringArray] | None = None,
    ) -> None:
        """Begin with none; clean: what may be kept of texts."""
        self._engine = engine
        self.writing = writing
        self._clean = clean
        self._forget()

    def _forget(self) -> None:
        self._places: dict[str, int] = {}
        self._bytes = 0
        self._table: pa.Table | None = None

    def find(self, pairs: pa.StringArray) -> tuple[pa.Table, npt.NDArray[np.int32]]:
        """Return what is known of pairs, and in which row each of these distinct ones stands."""
        if len(self._places) > _MOST_PAIRS or self._bytes > _MOST_BYTES:
            self._forget()
        texts = pairs.to_pylist()
        known = self._places.get
        places = np.fromiter((known(t, -1) for t in texts), np.int32, len(texts))
        new = np.flatnonzero(places < 0)
        table = self._table
        if len(new) or table is None:
            read = self._read(pairs.take(pa.array(new)))
            table = read if table is None else pa.concat_tables([table, read]).combine_chunks()
            places[new] = np.arange(len(new)) + len(self._places)
            self._places |= zip((texts[n] for n in new), places[new].tolist(), strict=True)
            self._table = table
        return table, places

    def _read(self, pairs: pa.StringArray) -> pa.Table:
        self._bytes += pairs.nbytes
        held, w = self._engine.holding(numbered(pairs)), self.writing
        read = self._engine.prepared(pairs_sql(held, w.once, w.pair, w.doubtful))
        if self._clean is None:
            return read
        texts = self._clean(read.column("text").combine_chunks())
        # what is longer than its key may be is no identifier
        too_long = pa.scalar(BIT["too_long"], pa.int16())
        is_long = pc.bit_wise_and(read.column("flaws").combine_chunks(), too_long)
        texts = pc.if_else(pc.equal(is_long, 0), texts, pa.scalar(None, pa.string()))
        return read.set_column(read.schema.get_field_index("text"), "text", texts)


def numbered(texts: pa.Array) -> pa.Table:
    """Return texts as the rows that a query can bring back in their order."""
    return pa.table({"rn": pa.array(np.arange(len(texts))), "pair": texts})
