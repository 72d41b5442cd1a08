"""CMCD (CTA-5004, version 1 and 2): from the text of a dictionary to the columns it fills.

Works on Arrow after the typed read. The text is percent-encoded once, as in a query; headers and
columns are encoded on the way here (`cmcd_text` in lake.canonical). Players repeat themselves: a
chunk of 50,000 requests has some 700,000 pairs `key=value` and a fraction of that distinct ones,
so each distinct pair is decoded and cast once. Of equal keys the first counts. What one pair says
is in lake.cmcd_keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.types import StructType

from lake.arrow_schema import arrow_type
from lake.cmcd_columns import CMCD, CMCD_V2
from lake.cmcd_keys import BIT, CODES, COLUMNS, DEVIATIONS, key_of, kind_of, pairs_sql
from lake.engine import Engine

#: the column that is still text after the read, and those it fills besides
TEXT = "cmcd"
SECOND = "cmcd_v2"
FLAWS = "cmcd_deviations"
#: the object type of a path that ends in it: a segment, unless the player calls it an init segment
MP4 = "mp4"

_COMMA = "%2C"
_VERSION = CODES["v"]
#: members of a dictionary (RFC 8941): a comma in a quoted string is none between members, a quote
#: that nothing ends is a character like others
_MEMBERS = r"""regexp_extract_all(pair, '(?:"(?:[^"\\]|\\.)*"|[^,])+')"""

_Ints = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Pairs:
    """The pairs of some texts.

    at: of each key's code, the distinct pair that each text has of it, or -1.
    flaws: of each text, the bits of its deviations.
    again: texts that were cut wrongly: they have to be read another way.
    """

    distinct: pa.Table
    at: dict[int, _Ints]
    flaws: _Ints
    again: _Ints


def _read(split: pa.ListArray, engine: Engine, *, is_encoded: bool, is_last: bool) -> _Pairs:
    """Read texts that are cut into pairs; is_last: there is no other way to read them."""
    count = len(split)
    encoded = split.flatten().dictionary_encode()
    which = encoded.indices.to_numpy()
    starts = split.offsets.to_numpy()
    row = np.repeat(np.arange(count, dtype=np.int32), np.diff(starts))
    held = engine.holding(_numbered(encoded.dictionary))
    distinct = engine.prepared(pairs_sql(held, "decode_once(pair)" if is_encoded else "pair"))
    code = distinct.column("code").to_numpy()
    present = np.unique(code[code > 0])
    rank = np.searchsorted(present, code).astype(np.int16)
    code = code[which]
    known = np.flatnonzero(code)[::-1]  # backwards: of equal keys the first is written last
    at = np.full((len(present), count), -1, dtype=np.int64)
    at[rank[which[known]], row[known]] = which[known]
    flaws = np.zeros(count, dtype=np.int64)
    filled = np.flatnonzero(np.diff(starts))
    firsts = starts[:-1][filled] - starts[0]
    if len(filled) and (bits := distinct.column("flaws").to_numpy()).any():
        flaws[filled] = np.bitwise_or.reduceat(bits[which], firsts)
    disorder = (code[1:] <= code[:-1]) & (code[1:] > 0)
    disorder[firsts[1:] - 1] = False  # the first pair of a text follows nothing
    if disorder.any():
        later = np.flatnonzero(disorder) + 1
        is_same = code[later] == code[later - 1]
        flaws[row[later[~is_same]]] |= BIT["unsorted"]
        flaws[row[later[is_same]]] |= BIT["repeated_key"]
    again = np.empty(0, dtype=np.int64)
    if not is_last and (doubt := distinct.column("is_careful").to_numpy()).any():
        again = np.unique(row[doubt[which]]).astype(np.int64)
    return _Pairs(distinct, dict(zip(present.tolist(), at, strict=True)), flaws, again)


def filled(rows: pa.Table, engine: Engine) -> pa.Table:
    """Return rows with the cmcd struct in place of its text, and what it says of the object."""
    if TEXT not in rows.column_names:
        return rows
    texts = rows.column(TEXT).combine_chunks()
    present = pc.fill_null(pc.not_equal(texts, ""), fill_value=False).to_numpy(zero_copy_only=False)
    found = _found(texts, present, engine)
    values = {name: _values(found, name, len(texts)) for name in COLUMNS}
    rows = rows.set_column(rows.schema.get_field_index(TEXT), TEXT, _struct(CMCD, values, present))
    added = {c: values[c] for c in (f.name for f in CMCD_V2.fields)}
    is_second = np.zeros(len(texts), dtype=np.bool_)
    for column in added.values():
        if column.null_count < len(column):
            is_second |= column.is_valid().to_numpy(zero_copy_only=False)
    rows = rows.append_column(SECOND, _struct(CMCD_V2, added, is_second))
    rows = rows.append_column(FLAWS, _words(found.flaws))
    if "object_type" not in rows.column_names:
        return rows
    return _with_kinds(rows, values["ot"], values["sf"])


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


def _words(flaws: _Ints) -> pa.Array:
    """Return the deviations of each text as words, null where there are none."""
    distinct, which = np.unique(flaws, return_inverse=True)
    words = [[w for w in DEVIATIONS if bits & BIT[w]] or None for bits in distinct.tolist()]
    return pa.array(words, pa.list_(pa.string())).take(pa.array(which))


def _found(texts: pa.Array, present: _Flags, engine: Engine) -> _Pairs:
    """Return the pairs of all texts.

    Where commas are encoded throughout, texts are cut before they are decoded: then only distinct
    pairs need decoding. The others are decoded first. Where a comma may stand in quotes, they are
    cut by the grammar: that is a regular expression over each whole text.
    """
    comma, lower = _holding(texts, ","), _holding(texts, "%2c")
    is_plain = pc.or_(comma, lower).to_numpy(zero_copy_only=False)
    first = np.flatnonzero(present & ~is_plain)
    parts = [
        (first, _read(_cut(_of(texts, first), _COMMA), engine, is_encoded=True, is_last=False))
    ]
    again = first[parts[0][1].again]
    rest = np.concatenate((np.flatnonzero(present & is_plain), again))
    flaws = np.zeros(len(texts), dtype=np.int64)
    if len(rest):
        held = engine.holding(_numbered(_of(texts, rest)))
        decoded = engine.prepared(f"select decode_once(pair) as text from {held} order by rn")
        plain = decoded.column("text").combine_chunks()
        parts.append((rest, _read(_cut(plain, ","), engine, is_encoded=False, is_last=False)))
        quoted = pc.fill_null(pc.match_substring(texts, "%22"), fill_value=False)
        half = pc.and_(comma, quoted).to_numpy(zero_copy_only=False)
        flaws[half] |= BIT["half_encoded"]
        careful = parts[1][1].again
        if len(careful):
            held = engine.holding(_numbered(_of(plain, careful)))
            cut = engine.prepared(f"select {_MEMBERS} as members from {held} order by rn")
            members = cut.column("members").combine_chunks()
            parts.append((rest[careful], _read(members, engine, is_encoded=False, is_last=True)))
    return _joined(parts, flaws)


def _holding(texts: pa.StringArray, part: str) -> pa.BooleanArray:
    """Tell of each text whether it holds a part; null counts as no.

    Mostly none does, which one look at all of them together tells.
    """
    data = texts.buffers()[2]
    if data is None or data.to_pybytes().find(part.encode()) < 0:
        return pa.repeat(pa.scalar(False), len(texts))
    return pc.fill_null(pc.match_substring(texts, part), fill_value=False)


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


def _cut(texts: pa.Array, separator: str) -> pa.ListArray:
    return pc.split_pattern(texts, separator)


def _of(texts: pa.Array, rows: _Ints) -> pa.Array:
    return texts if len(rows) == len(texts) else texts.take(pa.array(rows))


def _with_kinds(rows: pa.Table, object_type: pa.Array, stream_format: pa.Array) -> pa.Table:
    """Return rows whose kinds heed the player's word; so far they heeded the path alone."""
    by_path = rows.column("object_type")
    is_init = pc.fill_null(pc.equal(object_type, "i"), fill_value=False)
    of_mp4 = pc.if_else(is_init, "init", "segment")
    kinds = pc.if_else(pc.equal(by_path, MP4), of_mp4, by_path)
    streams = rows.column("stream_kind")
    is_hls = pc.fill_null(pc.equal(stream_format, "h"), fill_value=False)
    is_dash = pc.and_(
        pc.fill_null(pc.equal(stream_format, "d"), fill_value=False), pc.equal(streams, "other")
    )
    streams = pc.if_else(is_hls, "hls", pc.if_else(is_dash, "dash", streams))
    rows = rows.set_column(rows.schema.get_field_index("object_type"), "object_type", kinds)
    return rows.set_column(rows.schema.get_field_index("stream_kind"), "stream_kind", streams)


def _numbered(texts: pa.Array) -> pa.Table:
    return pa.table({"rn": pa.array(np.arange(len(texts))), "pair": texts})
