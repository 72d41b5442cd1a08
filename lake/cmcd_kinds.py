"""What an object and a stream are: by the path, and where it does not tell by CMCD's word.

Belongs here: which word of the player counts. Does not: what a path says (lake/canonical).
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

#: of CMCD's object types, what is told of an object whose path does not tell
KINDS = {
    "m": "manifest", "i": "init", "a": "segment", "v": "segment", "av": "segment",
    "c": "caption", "tt": "caption", "k": "key",
}  # fmt: skip
_FINER = ("i", "c", "tt")


@cache
def _words() -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the types, what they say, and the finer types; not at import, which brings pandas."""
    return pa.array(list(KINDS)), pa.array(list(KINDS.values())), pa.array(_FINER)


def with_kinds(rows: pa.Table, object_type: pa.Array, stream_format: pa.Array) -> pa.Table:
    """Return rows whose kinds heed the player's word where the path does not tell."""
    types, said_by, finer = _words()
    by_path = rows.column("object_type")
    kinds = by_path
    if object_type.null_count < len(object_type):
        # a path rarely tells an init segment from another, and never one of captions
        is_finer = pc.and_(pc.equal(by_path, "segment"), pc.is_in(object_type, finer))
        is_wide = pc.or_(is_finer, pc.equal(by_path, "other"))
        said = said_by.take(pc.index_in(object_type, types))
        is_told = pc.and_(is_wide, said.is_valid())
        if pc.any(is_told).as_py():
            kinds = pc.if_else(is_told, said, by_path)
    streams = rows.column("stream_kind")
    is_hls = pc.fill_null(pc.equal(stream_format, "h"), fill_value=False)
    is_dash = pc.and_(
        pc.fill_null(pc.equal(stream_format, "d"), fill_value=False), pc.equal(streams, "other")
    )
    streams = pc.if_else(is_hls, "hls", pc.if_else(is_dash, "dash", streams))
    rows = rows.set_column(rows.schema.get_field_index("object_type"), "object_type", kinds)
    return rows.set_column(rows.schema.get_field_index("stream_kind"), "stream_kind", streams)
