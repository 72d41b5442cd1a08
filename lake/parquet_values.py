"""The values of a Parquet object's columns: how large they are, and text that can be text.

Belongs here: one column of one piece at a time. Does not: opening and limits (parquet_rows).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.refused import RefusedError

_FIXED_BYTES = 8  # what a value that is no text counts as
_SHOWN_BYTES = 1_024
_UUID_BYTES = 16
_HYPHENS_BEFORE = (8, 12, 16, 20)
#: the two digits of each byte
_HEX = np.array([list(b"%02x" % n) for n in range(256)], dtype=np.uint8)
_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary,
          pa.types.is_large_binary, _VIEWS.__contains__)  # fmt: skip


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is text, as a dictionary or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(is_(kind) for is_ in _TEXTS)


def sizes_of(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return how many bytes each value is, written out."""
    if pa.types.is_struct(column.type):
        return sum((sizes_of(c) for c in column.flatten()), np.zeros(len(column), dtype=np.int64))
    if not is_text(column.type):
        return np.full(len(column), _FIXED_BYTES, dtype=np.int64)
    if not pa.types.is_dictionary(column.type):
        return _lengths(column)
    lengths = np.append(_lengths(column.dictionary), 0)
    at = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
    if len(at) and not 0 <= at.min() <= at.max() < len(lengths):
        # the reader believes the page: what follows one out of bounds is somebody's memory
        raise RefusedError(
            "corrupt",
            f"expected values of a dictionary of {len(column.dictionary)}, found the number "
            f"{at.max()}.",
        )
    sizes: npt.NDArray[np.int64] = lengths[at] + 1
    return sizes


def _lengths(texts: pa.Array) -> npt.NDArray[np.int64]:
    lengths = pc.fill_null(pc.binary_length(_unviewed(texts)), 0).to_numpy(zero_copy_only=False)
    return np.asarray(lengths, dtype=np.int64)


def cleaned(column: pa.Array, bad: dict[int, str]) -> pa.Array:
    """Return a column whose text is UTF-8 without NUL; what was not is replaced and in `bad`."""
    if pa.types.is_struct(column.type):
        return pa.StructArray.from_arrays(
            [cleaned(child, bad) for child in column.flatten()],
            names=[f.name for f in column.type],
            mask=column.is_null(),
        )
    if not is_text(column.type):
        return _computable(column)
    encoded = _unviewed(column)
    encoded = encoded if pa.types.is_dictionary(column.type) else encoded.dictionary_encode()
    raw = encoded.dictionary.cast(pa.large_binary())
    faults: dict[int, str] = {}
    try:
        texts = raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = raw.to_pylist()
        shown = [None if v is None else v.decode("utf-8", "backslashreplace") for v in values]
        faults = {
            i: "bad_utf8"
            for i, (v, text) in enumerate(zip(values, shown, strict=True))
            if text is not None and text.encode() != v
        }
        texts = pa.array(shown, pa.large_string())
    data = raw.buffers()[2]
    if data is not None and data.size and np.frombuffer(data, dtype=np.uint8).min() == 0:
        has_nul = pc.fill_null(pc.match_substring(raw, "\0"), False)
        faults |= dict.fromkeys(
            np.flatnonzero(has_nul.to_numpy(zero_copy_only=False)).tolist(), "nul_byte"
        )
    if faults:
        at = pc.is_in(encoded.indices, pa.array(list(faults), encoded.indices.type))
        for row in np.flatnonzero(at.to_numpy(zero_copy_only=False)).tolist():
            bad.setdefault(row + 1, faults[encoded.indices[row].as_py()])
    return pa.DictionaryArray.from_arrays(encoded.indices, texts.cast(pa.string()))


def spelled(column: pa.Array) -> pa.Array:
    """Return UUIDs as text, as RFC 9562 writes them; any other column as it is."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if not pa.types.is_fixed_size_binary(column.type):
        return column
    count = len(column)
    start = column.offset * _UUID_BYTES
    raw = np.frombuffer(column.buffers()[1], np.uint8)[start : start + count * _UUID_BYTES]
    digits = _HEX[raw.reshape(count, _UUID_BYTES)].reshape(count, 2 * _UUID_BYTES)
    text = np.insert(digits, _HYPHENS_BEFORE, ord("-"), axis=1)
    ends = np.arange(count + 1, dtype=np.int32) * text.shape[1]
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(text.tobytes()))
    return pc.if_else(column.is_null(), pa.scalar(None, pa.string()), texts)


def _unviewed(texts: pa.Array) -> pa.Array:
    """Return text that Arrow has functions for; it has few for views, as Polars writes them."""
    return texts.cast(_VIEWS[texts.type]) if texts.type in _VIEWS else texts


def _computable(column: pa.Array) -> pa.Array:
    """Return a column as a type that SQL has functions for; no column keeps nanoseconds."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column.cast(pa.float32()) if pa.types.is_float16(kind) else column


def hashed(column: pa.Array, numbers: Iterable[int]) -> dict[int, str]:
    """Return the text of some rows of a column, of a long one its hash."""
    known: dict[object, str] = {}
    found: dict[int, str] = {}
    is_encoded = pa.types.is_dictionary(column.type)
    for number in numbers:
        value = column[number - 1]
        if not value.is_valid:
            continue
        key = value.index.as_py() if is_encoded else number
        if key not in known:
            plain = value.as_py()
            raw = plain if isinstance(plain, bytes) else str(plain).encode("utf-8", "replace")
            known[key] = (
                raw.decode("utf-8", "backslashreplace")
                if len(raw) <= _SHOWN_BYTES
                else f"sha256:{hashlib.sha256(raw).hexdigest()}"
            )
        found[number] = known[key]
    return found
