"""Addresses of clients: read, looked up, cut. The full address goes no further than this module.

Belongs here: what an address in a log is, and /24 and /48 of it. What a geo file knows lives in
lake/geo.py. Work is done once per distinct text of a chunk, whatever the number of rows.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_BRACKETS = re.compile(r"\[([^\]]*)\](:[0-9]{1,5})?")
_MAPPED = bytes(10) + b"\xff\xff"
#: networks that carry an IPv4 address: prefix, and where in the 16 bytes it lies
_SIX_TO_FOUR = b"\x20\x02"
_NAT64 = (b"\x00\x64\xff\x9b" + bytes(8), b"\x00\x64\xff\x9b\x00\x01")
_LONGEST = 64
_NO_NETWORK, _NO_PLACE = -1, 0

Packed = bytes


def pack(text: str | None) -> Packed | None:
    """Return the 4 or 16 bytes of an address as logs write it, or None for what is none.

    Brackets, a port and a zone are taken off; IPv4 mapped into IPv6 is IPv4. Digits with leading
    zeros are octal to some and decimal to others: they are no address.
    """
    if text is None or len(text) > _LONGEST:
        return None
    if ":" not in text:
        return _inet(socket.AF_INET, text)
    if found := _PORT.fullmatch(text):
        return _inet(socket.AF_INET, found[1])
    if found := _BRACKETS.fullmatch(text):
        text = found[1]
    packed = _inet(socket.AF_INET6, text.partition("%")[0])
    return packed[12:] if packed is not None and packed.startswith(_MAPPED) else packed


_AMBIGUOUS = re.compile(r"(?:^|[.:])0[0-9]+(?=[.]|$)")  # some systems read 010 as ten


def _inet(family: int, text: str) -> Packed | None:
    if "." in text and _AMBIGUOUS.search(text):
        return None
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError, UnicodeError):
        return None


def cut(packed: Packed) -> str:
    """Return the network that is kept of an address: /24 of IPv4, /48 of IPv6.

    /48 of a 6to4 address is the whole IPv4 address behind it: its last byte goes as well.
    """
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed[:3] + b"\0")
    kept = packed[:5] + b"\0" if packed.startswith(_SIX_TO_FOUR) else packed[:6]
    return socket.inet_ntop(socket.AF_INET6, kept + bytes(10))


def located(packed: Packed) -> Packed:
    """Return the address to look up: the IPv4 address inside a 6to4 or NAT64 one, else itself."""
    if len(packed) == 16:
        if packed.startswith(_SIX_TO_FOUR):
            return packed[2:6]
        if packed.startswith(_NAT64):
            return packed[12:]
    return packed


def cut_list(text: str) -> str:
    """Return a list of claimed addresses, each cut; `unknown` stands for what is no address."""
    parts = (pack(part.strip().strip('"')) for part in text.split(","))
    return ", ".join("unknown" if p is None else cut(p) for p in parts)


@dataclass(frozen=True)
class Places:
    """What is known of some addresses: `index` says which entry is whose; entry 0 is nothing."""

    index: npt.NDArray[np.int64]
    asn: Sequence[int | None]
    country: Sequence[str | None]
    region: Sequence[str | None]


class Locator(Protocol):
    """Something that knows where addresses are."""

    def locate(self, addresses: Sequence[Packed]) -> Places:
        """Return the place of each address."""


@dataclass(frozen=True)
class Found:
    """What is kept of a column of addresses, row by row; places are None without a locator."""

    client_ip: pa.Array
    version: pa.Array
    asn: pa.Array | None = None
    country: pa.Array | None = None
    region: pa.Array | None = None


def protect(column: pa.ChunkedArray, locator: Locator | None) -> Found:
    """Look up and cut a column of addresses as text; the result holds no whole address."""
    encoded = column.combine_chunks().dictionary_encode()
    distinct = [pack(t) for t in encoded.dictionary.to_pylist()]
    networks: dict[str, int] = {}
    at = [
        _NO_NETWORK if p is None else networks.setdefault(cut(p), len(networks)) for p in distinct
    ]
    # one entry more: a row without an address points to nothing
    rows = encoded.indices.fill_null(len(distinct)).to_numpy()
    network = np.array([*at, _NO_NETWORK])[rows]
    names = pa.array([*networks, None], pa.string())
    versions = pa.array([*(6 if ":" in n else 4 for n in networks), None], pa.int32())
    taken = pa.array(network % len(names))
    client_ip, version = names.take(taken), versions.take(taken)
    if locator is None:
        return Found(client_ip, version)
    known = [i for i, p in enumerate(distinct) if p is not None]
    places = locator.locate([located(p) for p in distinct if p is not None])
    of_distinct = np.full(len(distinct) + 1, _NO_PLACE)
    of_distinct[known] = places.index
    place = pa.array(of_distinct[rows])
    return Found(
        client_ip,
        version,
        pa.array(places.asn, pa.int64()).take(place),
        pa.array(places.country, pa.string()).take(place),
        pa.array(places.region, pa.string()).take(place),
    )


def versions_of(column: pa.ChunkedArray) -> pa.Array:
    """Return 4 or 6 of each address as text, null for what is none."""
    return protect(column, None).version
