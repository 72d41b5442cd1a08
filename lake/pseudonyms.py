"""Pseudonyms: user ids become HMACs before the first write."""

from __future__ import annotations

import hmac

import pyarrow as pa

from lake.settings import HmacKey


def hmac_ids(users: pa.ChunkedArray, key: HmacKey) -> pa.ChunkedArray:
    """Return HMAC-SHA256 hex of each user id; each distinct id is hashed once."""
    encoded = users.combine_chunks().dictionary_encode()
    keys = [
        None if u is None else hmac.digest(key.value, u.encode(), "sha256").hex()
        for u in encoded.dictionary.to_pylist()
    ]
    return pa.chunked_array([pa.array(keys, pa.string()).take(encoded.indices)])
