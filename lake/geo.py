"""Where addresses are: files in MaxMind's format that the user points to.

Belongs here: opening them, and what is believed of their content. A file is somebody else's: its
values are taken only where they have the shape of a country, a subdivision or an AS number.
"""

from __future__ import annotations

import re
import socket
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lake.addresses import Packed, Places

_KINDS = re.compile(r"(?:^|[^A-Za-z])(City|Country|Enterprise|ISP|ASN)(?![A-Za-z])")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_REGION = re.compile(r"[A-Za-z0-9]{1,3}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARS = 60
_MAX_ASN = (1 << 32) - 1
_SIX = 6

Place = tuple[int | None, str | None, str | None]


class GeoError(ValueError):
    """A geo file that cannot be used: says which, what was expected, what was found, the remedy."""


@dataclass(frozen=True)
class _File:
    path: Path
    reader: Any
    version: str
    knows_v6: bool


class Geo:
    """Some open geo files; where several know an address, the first named counts, value by value.

    May be shared by threads. A file must be replaced by renaming another over it, never written
    in place: it is mapped into memory.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        """Open the files; raises GeoError."""
        self._files = [_open(path) for path in paths]

    @property
    def version(self) -> str:
        """Return type and build epoch of each file, e.g. `GeoIP2-City@1763510400`."""
        return ", ".join(f.version for f in self._files)

    def locate(self, addresses: Sequence[Packed]) -> Places:
        """Return the place of each address, looking up each network of the files once."""
        index = np.zeros(len(addresses), dtype=np.int64)
        places: dict[Place, int] = {(None, None, None): 0}
        for width in (4, 16):
            at = [i for i, a in enumerate(addresses) if len(a) == width]
            at.sort(key=lambda i: addresses[i])
            ordered = [addresses[i] for i in at]
            done = 0
            while done < len(ordered):
                place, bits = self._place(ordered[done])
                code = places.setdefault(place, len(places))
                upto = bisect_left(ordered, _after(ordered[done], bits), done) if bits else None
                upto = len(ordered) if upto is None else max(upto, done + 1)
                index[at[done:upto]] = code
                done = upto
        asn, country, region = zip(*places, strict=True)
        return Places(index, asn, country, region)

    def _place(self, packed: Packed) -> tuple[Place, int]:
        """Return the place of an address and the length of the prefix that shares it."""
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        text = socket.inet_ntop(family, packed)
        place: Place = (None, None, None)
        longest = 0
        for file in self._files:
            record, bits = _look_up(file, text, packed)
            longest = max(longest, bits)
            place = _first(place, _place_of(record))
        return place, longest


def _after(packed: Packed, bits: int) -> bytes:
    """Return the first address behind the prefix; longer than any where there is none."""
    width = len(packed) * 8
    end = ((int.from_bytes(packed) >> (width - bits)) + 1) << (width - bits)
    return b"\xff" * (len(packed) + 1) if end >> width else end.to_bytes(len(packed))


def _first(found: Place, more: Place) -> Place:
    asn = found[0] if found[0] is not None else more[0]
    if found[1] is None or found[1] == more[1]:  # a region belongs to its country
        return asn, found[1] or more[1], found[2] or more[2]
    return asn, found[1], found[2]


def _place_of(record: object) -> Place:
    """Return what is believed of a record, whatever is in it."""
    if not isinstance(record, dict):
        return None, None, None
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


def _look_up(file: _File, text: str, packed: Packed) -> tuple[object, int]:
    import maxminddb

    if len(packed) == 16 and not file.knows_v6:
        return None, 0
    try:
        record, bits = file.reader.get_with_prefix_len(text)
    except (maxminddb.InvalidDatabaseError, ValueError, UnicodeDecodeError) as err:
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
    except (OSError, maxminddb.InvalidDatabaseError, UnicodeDecodeError) as err:
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
    return _File(path, reader, f"{kind}@{meta.build_epoch}", meta.ip_version == _SIX)
