"""CMCD (CTA-5004, version 1 and 2): from the text of a dictionary to the columns it fills.

Works on Arrow after the typed read. The text is percent-encoded once, as in a query; headers and
columns are encoded on the way here (`cmcd_text` in lake.canonical), and a log that encodes what it
logs once more says so (`TWICE`). Players repeat themselves: a chunk of 50,000 requests has some
700,000 pairs `key=value` and a fraction of that distinct ones, so texts are cut before they are
decoded, and each distinct pair is decoded and cast once (lake.cmcd_pairs). Of equal keys the last
counts (RFC 8941, 3.2). What one pair says is in lake.cmcd_keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.types import StructType

from lake.arrow_schema import arrow_type
from lake.cmcd_columns import CMCD, CMCD_V2
from lake.cmcd_keys import BIT, CODES, COLUMNS, DEVIATIONS, key_of, kind_of
from lake.cmcd_kinds import with_kinds
from lake.cmcd_pairs import ENCODED, ENCODED_TWICE, PLAIN, KnownPairs, numbered
from lake.engine import Engine

#: the column that is still text after the read, the same where the log encodes what it logs once
#: more, and those it fills besides
TEXT = "cmcd"
TWICE = "cmcd_twice"
SECOND = "cmcd_v2"
FLAWS = "cmcd_deviations"

_VERSION = CODES["v"]
#: members of a dictionary (RFC 8941): a comma in a quoted string is none between members, a quote
#: that nothing ends is a character like others
_MEMBERS = r"""regexp_extract_all(pair, '(?:"(?:[^"\\]|\\.)*"|[^,])+')"""
#: the bits of keys that are nobody's, as a whole text that is still encoded looks like one
_STRANGE = BIT["unknown_key"] | BIT["custom_key"]

_Ints = npt.NDArray[np.signedinteger[Any]]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Pairs:
    """The pairs of some texts.

    distinct: what is known of pairs; more than these texts have.
    at: of each key's code, the row of the pair that each text has of it, or -1.
    flaws: of each text, the bits of its deviations.
    again: texts that were cut wrongly: they have to be read another way.
    """

    distinct: pa.Table
    at: dict[int, _Ints]
    flaws: _Ints
    again: _Ints


class CmcdReader:
    """Reads the CMCD of a source's chunks. Not thread-safe: one a parser."""

    def __init__(
        self, engine: Engine, clean: Callable[[pa.StringArray], pa.StringArray] | None = None
    ) -> None:
        """Begin; clean: what may be kept of texts, where it is not everything."""
        self._engine = engine
        self._plain = KnownPairs(engine, PLAIN, clean)
        self._encoded = KnownPairs(engine, ENCODED, clean)
        self._twice = KnownPairs(engine, ENCODED_TWICE, clean)

    def filled(self, rows: pa.Table) -> pa.Table:
        """Return rows with the cmcd struct in place of its text, and what it says of the object."""
        column = next((c for c in (TEXT, TWICE) if c in rows.column_names), None)
        if column is None:
            return rows
        texts = rows.column(column).combine_chunks()
        present = pc.fill_null(pc.not_equal(texts, ""), fill_value=False)
        present = present.to_numpy(zero_copy_only=False)
        find = self._found if column == TEXT else self._found_twice
        found = find(texts)
        values = {name: _values(found, name, len(texts)) for name in COLUMNS}
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, TEXT, _struct(CMCD, values, present))
        added = {c: values[c] for c in (f.name for f in CMCD_V2.fields)}
        is_second = np.zeros(len(texts), dtype=np.bool_)
        for of_key in added.values():
            if of_key.null_count < len(of_key):
                is_second |= of_key.is_valid().to_numpy(zero_copy_only=False)
        rows = rows.append_column(SECOND, _struct(CMCD_V2, added, is_second))
        rows = rows.append_column(FLAWS, _words(found.flaws))
        if "object_type" not in rows.column_names:
            return rows
        return with_kinds(rows, values["ot"], values["sf"])

    def _found_twice(self, texts: pa.Array) -> _Pairs:
        """Return the pairs of texts that were encoded once more; others are decoded first."""
        whole = _read(texts, self._twice)
        parts: list[tuple[_Ints, _Pairs]] = [(np.arange(len(texts)), whole)]
        again = np.union1d(whole.again, _still_encoded(texts, whole, "25"))
        if len(again):
            decoded = self._decoded(_of(texts, again))
            parts.append((again, self._found(decoded)))
        return _joined(parts, np.zeros(len(texts), dtype=np.int64))

    def _found(self, texts: pa.Array, *, is_decoded: bool = False) -> _Pairs:
        """Return the pairs of all texts.

        Where commas are encoded throughout, texts are cut before they are decoded: then only
        distinct pairs need decoding. The others are decoded first. Where a comma may stand in
        quotes, they are cut by the grammar: that is a regular expression over each whole text.
        """
        comma = _holding_comma(texts)
        is_plain = comma.to_numpy(zero_copy_only=False)
        first = np.flatnonzero(~is_plain)
        parts = [(first, _read(_of(texts, first), self._encoded))]
        rest = np.sort(np.concatenate((np.flatnonzero(is_plain), first[parts[0][1].again])))
        flaws = np.zeros(len(texts), dtype=np.int64)
        if len(rest):
            plain = self._decoded(_of(texts, rest))
            parts.append((rest, _read(plain, self._plain)))
            quoted = pc.fill_null(pc.match_substring(texts, "%22"), fill_value=False)
            half = pc.and_(comma, quoted).to_numpy(zero_copy_only=False)
            flaws[half] |= BIT["half_encoded"]
            careful = parts[1][1].again
            if len(careful):
                members = self._members(_of(plain, careful))
                parts.append((rest[careful], _read_cut(members, self._plain)))
        found = _joined(parts, flaws)
        deeper = _still_encoded(texts, found)
        if is_decoded or not len(deeper):
            return found
        inner = self._found(self._decoded(_of(texts, deeper)), is_decoded=True)
        flaws = np.zeros(len(texts), dtype=np.int64)
        flaws[deeper] = BIT["encoded_twice"]
        return _joined([(np.arange(len(texts)), found), (deeper, inner)], flaws)

    def _decoded(self, texts: pa.Array) -> pa.Array:
        return self._of_each("decode_once(pair)", texts)

    def _members(self, texts: pa.Array) -> pa.Array:
        return self._of_each(_MEMBERS, texts)

    def _of_each(self, expression: str, texts: pa.Array) -> pa.Array:
        held = self._engine.holding(numbered(texts))
        found = self._engine.prepared(f"select {expression} as found from {held} order by rn")
        return found.column("found").combine_chunks()


def _read(texts: pa.Array, known: KnownPairs) -> _Pairs:
    """Read texts that are cut at each comma."""
    return _read_cut(pc.split_pattern(texts, known.writing.comma), known)


def _read_cut(split: pa.ListArray, known: KnownPairs) -> _Pairs:
    """Read texts that are cut into pairs; a text that is null has none."""
    count = len(split)
    encoded = split.flatten().dictionary_encode()
    distinct, places = known.find(encoded.dictionary)
    which = places[encoded.indices.to_numpy()]
    starts = split.offsets.to_numpy()
    row = np.repeat(np.arange(count, dtype=np.int32), np.diff(starts))
    codes = distinct.column("code").to_numpy()
    code = codes[which]
    firsts = starts[:-1][starts[:-1] < starts[1:]] - starts[0]
    disorder = (code[1:] <= code[:-1]) & (code[1:] > 0)
    disorder[firsts[1:] - 1] = False  # the first pair of a text follows nothing
    flaws = np.zeros(count, dtype=np.int64)
    bits = distinct.column("flaws").to_numpy()
    if bits[places].any():
        flaws[row[firsts]] = np.bitwise_or.reduceat(bits[which], firsts)
    if disorder.any():
        later = np.flatnonzero(disorder) + 1
        is_same = code[later] == code[later - 1]
        flaws[row[later[~is_same]]] |= BIT["unsorted"]
        flaws[row[later[is_same]]] |= BIT["repeated_key"]
    doubt = distinct.column("is_careful").to_numpy()
    again = np.empty(0, dtype=np.int64)
    if doubt[places].any():
        again = np.unique(row[doubt[which]]).astype(np.int64)
    present = np.unique(codes[places])
    at = _placed(np.searchsorted(present, codes), which, row, count)
    known_at = {c: at[n] for n, c in enumerate(present.tolist()) if c}
    return _Pairs(distinct, known_at, flaws, again)


def _placed(rank: _Ints, which: _Ints, row: _Ints, count: int) -> _Ints:
    """Return of each rank of a key the pair that each text has of it, or -1.

    rank: of each known pair's key. which, row: of each pair of the texts, the known one and the
    number of its text.
    """
    ranks = int(rank.max(initial=-1)) + 1
    at = np.full(ranks * count, -1, dtype=np.int32)
    places = (rank * count).astype(np.int32)[which] + row
    at[places] = which  # of equal places the last is written last
    return at.reshape(ranks, count)


def _struct(kind: StructType, values: Mapping[str, pa.Array], present: _Flags) -> pa.Array:
    """Return a struct of columns; one that no text fills costs nothing."""
    if not present.any():
        return pa.nulls(len(present), arrow_type(kind))
    names = [f.name for f in kind.fields]
    return pa.StructArray.from_arrays(
        [values[n] for n in names], names=names, mask=pa.array(~present)
    )


def _values(found: _Pairs, name: str, count: int) -> pa.Array:
    """Return a column of a struct; one that no text has costs nothing."""
    at = found.at.get(CODES[key_of(name)])
    column = found.distinct.column(kind_of(name))
    if at is None or column.null_count == len(column):
        return pa.nulls(count, arrow_type(COLUMNS[name]))
    return column.combine_chunks().take(pa.array(at, mask=at < 0))


def _still_encoded(texts: pa.Array, found: _Pairs, more: str = "") -> _Ints:
    """Return the texts that a player encoded twice (Media3 1.2 does): no equals sign is left.

    more: what a percent sign is followed by in a log that encodes what it logs once more.
    """
    strange: _Ints = np.flatnonzero(found.flaws & _STRANGE)
    if not len(strange):
        return strange
    some = _of(texts, strange)
    is_deep = pc.match_substring_regex(some, f"(?i)%{more}25(3D|2C)")
    is_plain = pc.match_substring_regex(some, f"(?i)=|%3D|%{more}3D")
    is_twice = pc.and_(is_deep, pc.invert(is_plain))
    chosen: _Ints = strange[is_twice.to_numpy(zero_copy_only=False)]
    return chosen


def _words(flaws: _Ints) -> pa.Array:
    """Return the deviations of each text as words, null where there are none."""
    distinct, which = np.unique(flaws, return_inverse=True)
    words = [[w for w in DEVIATIONS if bits & BIT[w]] or None for bits in distinct.tolist()]
    return pa.array(words, pa.list_(pa.string())).take(pa.array(which))


def _holding_comma(texts: pa.StringArray) -> pa.BooleanArray:
    """Tell of each text whether it holds a comma; null counts as no.

    Mostly none does, which one look at all of them together tells.
    """
    data = texts.buffers()[2]
    if data is None or data.to_pybytes().find(b",") < 0:
        return pa.repeat(pa.scalar(False), len(texts))
    return pc.fill_null(pc.match_substring(texts, ","), fill_value=False)


def _joined(parts: list[tuple[_Ints, _Pairs]], flaws: _Ints) -> _Pairs:
    """Join the readings of texts; the last one of a text counts."""
    count = len(flaws)
    if len(parts) == 1 and len(parts[0][0]) == count:
        at, distinct = parts[0][1].at, parts[0][1].distinct
        seen = flaws | parts[0][1].flaws
    else:
        at, seen = {}, flaws.copy()
        for number, (rows, pairs) in enumerate(parts):
            offset = sum(p.distinct.num_rows for _, p in parts[:number])
            for known in at.values():
                known[rows] = -1
            for code, places in pairs.at.items():
                whole = at.setdefault(code, np.full(count, -1, dtype=np.int64))
                whole[rows] = np.where(places < 0, -1, places + offset)
            seen[rows] = flaws[rows] | pairs.flaws
        distinct = pa.concat_tables([p.distinct for _, p in parts])
    version = at.get(_VERSION)
    if version is not None:
        # take() with -1 would read the last pair: those rows are masked
        given = distinct.column("bigint").take(pa.array(version, mask=version < 0))
        is_second = pc.fill_null(pc.greater_equal(given, 2), fill_value=False)
        seen[is_second.to_numpy()] &= ~BIT["missing_version"]
    return _Pairs(distinct, at, seen, np.empty(0, dtype=np.int64))


def _of(texts: pa.Array, rows: _Ints) -> pa.Array:
    """Return some texts; rows: ascending, each once."""
    return texts if len(rows) == len(texts) else texts.take(pa.array(rows))
