"""Where addresses are: files in MaxMind's format that the user points to.

Belongs here: opening them, and what is believed of their content. A file is somebody else's: its
values are taken only where they have the shape of a country, a subdivision or an AS number.
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lake.addresses import Codes, Places, Words

_KINDS = re.compile(r"(?:^|[^A-Za-z])(City|Country|Enterprise|ISP|ASN)(?![A-Za-z])")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_REGION = re.compile(r"[A-Za-z0-9]{1,3}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARS = 60
_MAX_ASN = (1 << 32) - 1
_SIX = 6

_HALF = 64
#: about 50 MB; a year of a large network's clients fits
_MAX_SPANS = 1_000_000

Place = tuple[int | None, str | None, str | None]
_NOWHERE: Place = (None, None, None)


class GeoError(ValueError):
    """A geo file that cannot be used: says which, what was expected, what was found, the remedy."""


@dataclass(frozen=True)
class _File:
    path: Path
    reader: Any
    version: str
    knows_v6: bool


@dataclass(frozen=True)
class _Spans:
    """Stretches of addresses that share a place: first and last of each, in order."""

    first: Words
    last: Words
    code: Codes

    @classmethod
    def none(cls) -> _Spans:
        empty = np.zeros(0, dtype=np.uint64)
        return cls(empty, empty, np.zeros(0, dtype=np.int64))

    def find(self, addresses: Words) -> Codes:
        """Return the code of each address, -1 where no stretch holds it."""
        if not len(self.first):
            return np.full(len(addresses), -1)
        at = np.searchsorted(self.first, addresses, side="right") - 1
        held = (at >= 0) & (addresses <= self.last[at])
        return np.where(held, self.code[at], -1)

    def with_more(self, found: Sequence[tuple[int, int, int]]) -> _Spans:
        """Return these and more (first, last, code); the old ones are dropped when too many."""
        base = self if len(self.first) + len(found) <= _MAX_SPANS else _Spans.none()
        first = np.concatenate([base.first, np.array([f for f, _, _ in found], dtype=np.uint64)])
        last = np.concatenate([base.last, np.array([e for _, e, _ in found], dtype=np.uint64)])
        code = np.concatenate([base.code, np.array([c for _, _, c in found], dtype=np.int64)])
        # two threads may have found the same one
        first, at = np.unique(first, return_index=True)
        return _Spans(first, last[at], code[at])


class Geo:
    """Some open geo files; where several know an address, the first named counts, value by value.

    May be shared by threads. A file must be replaced by renaming another over it, never written
    in place: it is mapped into memory. Networks that were looked up are remembered, up to a limit.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        """Open the files; raises GeoError."""
        self._files = [_open(path) for path in paths]
        self._places: dict[Place, int] = {_NOWHERE: 0}
        self._v4, self._v6 = _Spans.none(), _Spans.none()
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Return what was looked in: type, build epoch and digest of each file.

        e.g. `GeoIP2-City@1763510400-5f2c90ab`. Files built by hand share an epoch now and then.
        """
        return ", ".join(f.version for f in self._files)

    def locate(self, v4: Words, high: Words, low: Words) -> Places:
        """Return the places of IPv4 addresses, and of IPv6 addresses as two words each."""
        with self._lock:
            code4, code6 = self._v4.find(v4), self._v6.find(high)
            self._v4 = self._v4.with_more(self._look_up_v4(v4, code4))
            self._v6 = self._v6.with_more(self._look_up_v6(high, low, code6))
            asn, country, region = zip(*self._places, strict=True)
        return Places(code4, code6, asn, country, region)

    def _look_up_v4(self, addresses: Words, codes: Codes) -> list[tuple[int, int, int]]:
        """Fill in the codes that are missing; return the stretches they were found in."""
        missing = np.flatnonzero(codes < 0)
        order = missing[np.argsort(addresses[missing])]
        ordered = addresses[order]
        spans = []
        done = 0
        while done < len(ordered):
            address = int(ordered[done])
            code, bits = self._place(socket.inet_ntop(socket.AF_INET, address.to_bytes(4)), False)
            first = address >> (32 - bits) << (32 - bits)
            last = first + (1 << (32 - bits)) - 1
            upto = int(np.searchsorted(ordered, np.uint64(last), side="right"))
            codes[order[done:upto]] = code
            spans.append((first, last, code))
            done = upto
        return spans

    def _look_up_v6(self, high: Words, low: Words, codes: Codes) -> list[tuple[int, int, int]]:
        """Fill in the codes that are missing; networks smaller than /64 are not remembered."""
        missing = np.flatnonzero(codes < 0)
        order = missing[np.lexsort((low[missing], high[missing]))]
        ordered = high[order]
        spans = []
        done = 0
        while done < len(ordered):
            half = int(ordered[done])
            packed = half.to_bytes(8) + int(low[order[done]]).to_bytes(8)
            code, bits = self._place(socket.inet_ntop(socket.AF_INET6, packed), True)
            upto = done + 1
            if bits <= _HALF:
                first = half >> (_HALF - bits) << (_HALF - bits)
                last = first + (1 << (_HALF - bits)) - 1
                upto = int(np.searchsorted(ordered, np.uint64(last), side="right"))
                spans.append((first, last, code))
            codes[order[done:upto]] = code
            done = upto
        return spans

    def _place(self, address: str, is_v6: bool) -> tuple[int, int]:
        """Return the code of an address's place and the length of the prefix that shares it."""
        place, longest = _NOWHERE, 0
        for file in self._files:
            if is_v6 and not file.knows_v6:
                continue
            record, bits = _look_up(file, address)
            place, longest = _first(place, _place_of(record)), max(longest, bits)
        return self._places.setdefault(place, len(self._places)), longest


def _first(found: Place, more: Place) -> Place:
    asn = found[0] if found[0] is not None else more[0]
    if found[1] is None or found[1] == more[1]:  # a region belongs to its country
        return asn, found[1] or more[1], found[2] or more[2]
    return asn, found[1], found[2]


def _place_of(record: object) -> Place:
    """Return what is believed of a record, whatever is in it."""
    if not isinstance(record, dict):
        return _NOWHERE
    country = _text(_inside(record, "country", "iso_code"), _COUNTRY)
    divisions = record.get("subdivisions")
    first = divisions[0] if isinstance(divisions, list) and divisions else None
    region = _text(_inside(first, "iso_code"), _REGION) if country else None
    asn = record.get("autonomous_system_number")
    if asn is None:
        asn = _inside(record, "traits", "autonomous_system_number")
    if isinstance(asn, bool) or not isinstance(asn, int) or not 0 < asn <= _MAX_ASN:
        asn = None
    return asn, country, region


def _inside(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object, shape: re.Pattern[str]) -> str | None:
    return value.upper() if isinstance(value, str) and shape.fullmatch(value) else None


def _look_up(file: _File, address: str) -> tuple[object, int]:
    import maxminddb

    try:
        record, bits = file.reader.get_with_prefix_len(address)
    except (maxminddb.InvalidDatabaseError, ValueError) as err:
        raise GeoError(
            f"{file.path}: the geo file is damaged: a look-up failed ({type(err).__name__}). "
            "Get it again, and replace it by renaming the new one over it."
        ) from None
    return record, max(bits, 0)


def _open(path: Path) -> _File:
    import maxminddb

    try:
        reader = maxminddb.open_database(path)
        meta = reader.metadata()
        found = _KINDS.search(meta.database_type)
    except (OSError, maxminddb.InvalidDatabaseError, ValueError) as err:
        what = err.strerror if isinstance(err, OSError) and err.strerror else "no such format"
        raise GeoError(
            f"{path}: expected a file in MaxMind's format (.mmdb), found: {what}. "
            "Mend WEIR_GEOIP, or take it out."
        ) from None
    kind = _UNFIT.sub("_", meta.database_type)[:_NAME_CHARS]
    if found is None:
        raise GeoError(
            f"{path}: expected a geo file of type City, Country, Enterprise, ISP or ASN, found "
            f"{kind!r}. Take it out of WEIR_GEOIP."
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
    version = f"{kind}@{meta.build_epoch}-{digest}"
    return _File(path, reader, version, meta.ip_version == _SIX)
