"""What rows lose and gain before the first write: places found, addresses cut, users hashed.

Works on Arrow, after the typed read: what it costs grows with the distinct values of a chunk.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.addresses import cut_lists, protect, versions_of
from lake.geo import Geo
from lake.pseudonyms import Keyring, pseudonyms
from lake.records import Record
from lake.urls import clean

#: why a line is rejected whose user id no key is left for
KEY_DESTROYED = "key_destroyed"
_FORWARDED = "x-forwarded-for"


@dataclass(frozen=True)
class Protection:
    """The keys and the geo files in force."""

    keyring: Keyring
    geo: Geo | None = None

    @property
    def geo_version(self) -> str | None:
        """Return which geo files are looked at: type, build epoch and digest of each."""
        return self.geo.version if self.geo is not None else None

    def lost(self, rows: pa.Table) -> npt.NDArray[np.bool_] | None:
        """Tell of each row whether it cannot be written: it has a user, its key is destroyed."""
        if "user_key" not in rows.column_names or self.keyring.is_whole:
            return None
        is_lost = self.keyring.is_lost(rows.column("event_time"))
        users = pc.is_valid(rows.column("user_key")).to_numpy()
        lost: npt.NDArray[np.bool_] = np.logical_and(is_lost, users)
        return lost

    def apply(self, rows: pa.Table, allow: Collection[str]) -> pa.Table:
        """Return rows as they may be written; their columns are those of the typed read.

        allow: names of URL parameters that may be kept.
        """
        if "client_ip" in rows.column_names:
            rows = self._addresses(rows)
        if {"client_ip", "content_id"} & set(rows.column_names):
            rows = clean(rows, allow)
        if "user_key" in rows.column_names:
            users, event_time = rows.column("user_key"), rows.column("event_time")
            keys, epochs = pseudonyms(users, event_time, self.keyring)
            rows = _with(_with(rows, "user_key", keys), "key_epoch", epochs)
        return rows

    def _addresses(self, rows: pa.Table) -> pa.Table:
        """Look up and cut; the vendor's own values count, a geo file fills what is missing."""
        found = protect(rows.column("client_ip"), self.geo)
        rows = _with(_with(rows, "client_ip", found.client_ip), "client_ip_version", found.version)
        if found.asn is not None and found.country is not None and found.region is not None:
            country, region = (_given(rows, n, pa.string()) for n in ("country", "region"))
            is_filled = pc.and_(pc.is_null(country), pc.is_valid(found.country))
            country = pc.coalesce(country, found.country)
            # a region goes with the country of whoever says it
            agrees = pc.fill_null(pc.equal(found.country, country), fill_value=False)
            file_region = pc.if_else(agrees, found.region, None)
            region = pc.if_else(is_filled, file_region, pc.coalesce(region, file_region))
            rows = _with(rows, "asn", pc.coalesce(_given(rows, "asn", pa.int64()), found.asn))
            rows = _with(_with(rows, "country", country), "region", region)
        if "extra" in rows.column_names:
            rows = _with(rows, "extra", _cut_forwarded(rows.column("extra").combine_chunks()))
        return rows


def has_addresses(record: Record) -> bool:
    """Tell whether rows of a record carry a client address."""
    return any(c.name == "client_ip" for c in record.columns)


def as_logged(rows: pa.Table) -> pa.Table:
    """Return rows for a person to look at: addresses whole, with their version."""
    if "client_ip" not in rows.column_names:
        return rows
    return _with(rows, "client_ip_version", versions_of(rows.column("client_ip")))


def _cut_forwarded(extra: pa.MapArray) -> pa.MapArray:
    """Return the extra maps with the claimed addresses in them cut."""
    keys, items = extra.keys, extra.items
    claims = pc.equal(keys, _FORWARDED)
    if not pc.any(claims).as_py():
        return extra
    encoded = items.filter(claims).dictionary_encode()
    cuts = cut_lists(encoded.dictionary.to_pylist())
    items = pc.replace_with_mask(items, claims, pa.array(cuts, pa.string()).take(encoded.indices))
    return pa.MapArray.from_arrays(extra.offsets, keys, items, mask=extra.is_null())


def _given(rows: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name in rows.column_names:
        return rows.column(name).cast(kind)
    return pa.chunked_array([pa.nulls(rows.num_rows, kind)])


def _with(rows: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    at = rows.schema.get_field_index(name)
    if at < 0:
        return rows.append_column(name, column)
    return rows.set_column(at, name, column)
