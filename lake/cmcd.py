"""CMCD version 1 (CTA-5004): from the text of the query parameter to the columns it fills.

Works on Arrow after the typed read. Players repeat themselves: a chunk of 50,000 requests has some
700,000 pairs `key=value` and a fraction of that distinct ones, so each distinct pair is decoded
and cast once. Of equal keys the first counts. A comma inside quotes cuts the value there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.engine import Engine

#: the column that is still text after the read
TEXT = "cmcd"
#: the object type of a path that ends in it: a segment, unless the player calls it an init segment
MP4 = "mp4"

_TYPES = {
    "br": "double", "bl": "bigint", "bs": "flag", "cid": "text", "d": "bigint", "dl": "bigint",
    "mtp": "bigint", "ot": "text", "pr": "double", "rtp": "bigint", "sf": "text", "sid": "text",
    "st": "text", "su": "flag", "tb": "double", "v": "bigint",
}  # fmt: skip
_KEYS = tuple(_TYPES)
_COMMA = "%2C"
_CASES = " ".join(f"when '{key}' then {code}" for code, key in enumerate(_KEYS, 1))


def _pairs_sql(table: str, pair: str) -> str:
    """Return the query of distinct pairs: which key each has, and its value as every type."""
    return f"""
      select code, is_broken, try_cast(value as double) as double,
        try_cast(value as bigint) as bigint, pair <> key || '=?0' as flag,
        nullif(value, '') as text
      from (select *, case key {_CASES} else 0 end as code, substr(pair, length(key) + 2) as value
        from (select *, split_part(pair, '=', 1) as key
          from (select rn, replace({pair}, '"', '') as pair,
              contains(pair, '%') and try(url_decode(pair)) is null as is_broken
            from {table})))
      order by rn"""


class _Pairs:
    """The pairs of some texts: `at[k, row]` is the distinct pair of key k in a row, or -1."""

    def __init__(self, texts: pa.Array, separator: str, engine: Engine) -> None:
        is_encoded = separator != ","
        split = pc.split_pattern(texts, separator)
        encoded = split.flatten().dictionary_encode()
        which = encoded.indices.to_numpy()
        row = np.repeat(np.arange(len(texts)), np.diff(split.offsets.to_numpy()))
        held = engine.holding(_numbered(encoded.dictionary))
        pair = "decode_once(pair)" if is_encoded else "pair"
        self.distinct = engine.prepared(_pairs_sql(held, pair))
        code = self.distinct.column("code").to_numpy()[which]
        known = np.flatnonzero(code)[::-1]  # backwards: of equal keys the first is written last
        self.at = np.full((len(_KEYS), len(texts)), -1, dtype=np.int64)
        self.at[code[known] - 1, row[known]] = which[known]
        broken = self.distinct.column("is_broken").to_numpy()[which]
        #: rows with a pair that does not decode: nothing of such a text counts as encoded
        self.broken = np.unique(row[broken]) if is_encoded else row[:0]


def filled(rows: pa.Table, engine: Engine) -> pa.Table:
    """Return rows with the cmcd struct in place of its text, and what it says of the object."""
    if TEXT not in rows.column_names:
        return rows
    texts = rows.column(TEXT).combine_chunks()
    present = pc.fill_null(pc.not_equal(texts, ""), fill_value=False).to_numpy(zero_copy_only=False)
    distinct, at = _found(texts, present, engine)
    values = {
        key: distinct.column(kind).combine_chunks().take(pa.array(at[k], mask=at[k] < 0))
        for k, (key, kind) in enumerate(_TYPES.items())
    }
    struct = pa.StructArray.from_arrays(
        list(values.values()), names=list(values), mask=pa.array(~present)
    )
    rows = rows.set_column(rows.schema.get_field_index(TEXT), TEXT, struct)
    return _with_kinds(rows, values["ot"], values["sf"])


def _found(
    texts: pa.Array, present: npt.NDArray[np.bool_], engine: Engine
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Return the distinct pairs, and of each key and row which of them it has.

    Where commas are encoded throughout, texts are cut before they are decoded: then only distinct
    pairs need decoding. The others are decoded first.
    """
    plain = pc.or_(pc.match_substring(texts, ","), pc.match_substring(texts, "%2c"))
    is_plain = pc.fill_null(plain, fill_value=False).to_numpy(zero_copy_only=False)
    first = np.flatnonzero(present & ~is_plain)
    pairs = _Pairs(
        texts if len(first) == len(texts) else texts.take(pa.array(first)), _COMMA, engine
    )
    rest = np.concatenate((np.flatnonzero(present & is_plain), first[pairs.broken]))
    if len(first) == len(texts) and not len(rest):
        return pairs.distinct, pairs.at
    at = np.full((len(_KEYS), len(texts)), -1, dtype=np.int64)
    at[:, first] = pairs.at
    distinct = pairs.distinct
    if len(rest):
        held = engine.holding(_numbered(texts.take(pa.array(rest))))
        decoded = engine.prepared(f"select decode_once(pair) as text from {held} order by rn")
        others = _Pairs(decoded.column("text").combine_chunks(), ",", engine)
        at[:, rest] = np.where(others.at < 0, -1, others.at + distinct.num_rows)
        distinct = pa.concat_tables([distinct, others.distinct])
    return distinct, at


def _has_any(texts: pa.Array, *parts: str) -> npt.NDArray[np.bool_]:
    """Tell of each text whether it has one of the parts; mostly none has, and that is cheap."""
    found = np.zeros(len(texts), dtype=np.bool_)
    bytes_of_all = b"" if texts.buffers()[2] is None else texts.buffers()[2].to_pybytes()
    for part in parts:
        if part.encode() in bytes_of_all:
            has = pc.fill_null(pc.match_substring(texts, part), fill_value=False)
            found |= has.to_numpy(zero_copy_only=False)
    return found


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
