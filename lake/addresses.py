"""Addresses of clients: read, looked up, cut. The full address goes no further than this module.

Belongs here: what an address in a log is, and /24 and /48 of it. What a geo file knows lives in
lake/geo.py. Work is done once per distinct text of a chunk, IPv4 without a loop.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_LONGEST = 64
_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_BRACKETS = re.compile(r"\[([^\]]*)\](:[0-9]{1,5})?")
_AMBIGUOUS = re.compile(r"(?:^|[.:])0[0-9]+(?=[.]|$)")  # some systems read 010 as eight
_MAPPED = bytes(10) + b"\xff\xff"
_SIX_TO_FOUR = 0x2002  # 2002:<IPv4>::/48, RFC 3056
_NAT64 = 0x0064FF9B_00000000  # 64:ff9b::<IPv4>/96, RFC 6052
_NAT64_LOCAL = 0x0064FF9B_0001  # 64:ff9b:1::/48 with the IPv4 address at its end, RFC 8215
_MASK_24 = np.uint64(0xFFFFFF00)
_MASK_48 = np.uint64(0xFFFFFFFFFFFF0000)
_OCTETS = pa.array([str(n) for n in range(256)])


@dataclass(frozen=True)
class Places:
    """Where addresses are: entries, and for each address asked for the entry that is its own."""

    v4: Codes
    v6: Codes
    asn: Sequence[int | None]
    country: Sequence[str | None]
    region: Sequence[str | None]


class Locator(Protocol):
    """Something that knows where addresses are."""

    def locate(self, v4: Words, high: Words, low: Words) -> Places:
        """Return the places of IPv4 addresses, and of IPv6 addresses as two words each."""


@dataclass(frozen=True)
class Found:
    """What is kept of a column of addresses, row by row; places are None without a locator."""

    client_ip: pa.Array
    version: pa.Array
    asn: pa.Array | None = None
    country: pa.Array | None = None
    region: pa.Array | None = None


@dataclass(frozen=True)
class _Read:
    """Distinct texts, read: the numbers of those that are addresses, and their values."""

    at4: Codes
    v4: Words
    at6: Codes
    high: Words
    low: Words


def pack(text: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address as logs write it, or None for what is none.

    Brackets, a port and a zone are taken off; IPv4 mapped into IPv6 is IPv4. Digits with leading
    zeros are octal to some and decimal to others: they are no address.
    """
    if len(text) > _LONGEST:
        return None
    if ":" not in text:
        return _inet(socket.AF_INET, text)
    if found := _PORT.fullmatch(text):
        return _inet(socket.AF_INET, found[1])
    if found := _BRACKETS.fullmatch(text):
        text = found[1]
    packed = _inet(socket.AF_INET6, text.partition("%")[0])
    return packed[12:] if packed is not None and packed.startswith(_MAPPED) else packed


def _inet(family: int, text: str) -> bytes | None:
    if "." in text and _AMBIGUOUS.search(text):
        return None
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None


def cut_lists(texts: Sequence[str]) -> list[str]:
    """Return lists of claimed addresses, each cut; `unknown` stands for what is no address.

    All lists at once: to read one costs as much as to read some hundred.
    """
    claims = [[claim.strip().strip('"') for claim in text.split(",")] for text in texts]
    read = _read(pa.array([claim for one in claims for claim in one], pa.string()))
    names = [*_names4(read.v4).to_pylist(), *_names6(read.high)]
    cut = iter(range(sum(map(len, claims))))
    kept = dict(zip([*read.at4.tolist(), *read.at6.tolist()], names, strict=True))
    return [", ".join(kept.get(next(cut), "unknown") for _ in one) for one in claims]


def protect(column: pa.ChunkedArray, locator: Locator | None) -> Found:
    """Look up and cut a column of addresses as text; the result holds no whole address."""
    encoded = column.combine_chunks().dictionary_encode()
    size = len(encoded.dictionary)
    # one entry more: a row without an address points to nothing
    rows = encoded.indices.fill_null(size).to_numpy()
    read = _read(encoded.dictionary)
    nets4, whose4 = np.unique(read.v4 & _MASK_24, return_inverse=True)
    nets6, whose6 = np.unique(_kept_of(read.high), return_inverse=True)
    names = pa.concat_arrays(
        [_names4(nets4), pa.array(_names6(nets6), pa.string()), pa.nulls(1, pa.string())]
    )
    network = np.full(size + 1, len(names) - 1)
    network[read.at4], network[read.at6] = whose4, whose6 + len(nets4)
    versions = np.zeros(size + 1, dtype=np.int32)
    versions[read.at4], versions[read.at6] = 4, 6
    of_rows = versions[rows]
    client_ip = names.take(pa.array(network[rows]))
    version = pa.array(of_rows, mask=of_rows == 0)
    if locator is None:
        return Found(client_ip, version)
    return _with_places(Found(client_ip, version), read, locator, rows, size)


def versions_of(column: pa.ChunkedArray) -> pa.Array:
    """Return 4 or 6 of each address as text, null for what is none."""
    return protect(column, None).version


def _with_places(found: Found, read: _Read, locator: Locator, rows: Codes, size: int) -> Found:
    """Add where the addresses are, looking up the IPv4 address inside a 6to4 or NAT64 one."""
    inside, is_inside = _embedded(read.high, read.low)
    v4 = np.concatenate([read.v4, inside])
    places = locator.locate(v4, read.high[~is_inside], read.low[~is_inside])
    index = np.full(size + 1, len(places.asn))
    index[np.concatenate([read.at4, read.at6[is_inside]])] = places.v4
    index[read.at6[~is_inside]] = places.v6
    place = pa.array(index[rows])
    return Found(
        found.client_ip,
        found.version,
        pa.array([*places.asn, None], pa.int64()).take(place),
        pa.array([*places.country, None], pa.string()).take(place),
        pa.array([*places.region, None], pa.string()).take(place),
    )


def _read(texts: pa.StringArray) -> _Read:
    """Read distinct texts: plain IPv4 all at once, the others one by one."""
    plain, v4 = _plain_v4(texts)
    at4, values = [np.flatnonzero(plain)], [v4]
    others = pa.array(~plain)
    at6: list[int] = []
    packed6: list[bytes] = []
    odd4: list[tuple[int, int]] = []
    for number, text in zip(
        np.flatnonzero(~plain).tolist(), texts.filter(others).to_pylist(), strict=True
    ):
        packed = _plain_v6(text) or pack(text)
        if packed is None:
            continue
        if len(packed) == len(_MAPPED) + 4:
            at6.append(number)
            packed6.append(packed)
        else:
            odd4.append((number, int.from_bytes(packed)))
    if odd4:
        at4.append(np.array([n for n, _ in odd4]))
        values.append(np.array([v for _, v in odd4], dtype=np.uint64))
    words = np.frombuffer(b"".join(packed6), dtype=">u8").astype(np.uint64)
    return _Read(
        np.concatenate(at4),
        np.concatenate(values),
        np.array(at6, np.int64),
        words[::2],
        words[1::2],
    )


def _plain_v6(text: str) -> bytes | None:
    """Return the bytes of what needs no second look: nearly all there is."""
    try:
        packed = None if "." in text else socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return None if packed is None or packed.startswith(_MAPPED) else packed


def _plain_v4(texts: pa.StringArray) -> tuple[npt.NDArray[np.bool_], Words]:
    """Tell which texts are four decimal numbers with dots, and return the values of those."""
    if not len(texts):
        return np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.uint64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    byte = np.frombuffer(data, np.uint8)[: ends[-1]] if data is not None else np.zeros(0, np.uint8)
    is_dot = byte == ord(".")
    dots_before = np.concatenate([[0], np.cumsum(is_dot)])
    odd_before = np.concatenate([[0], np.cumsum(~is_dot & (byte - ord("0") > 9))])
    starts, stops = ends[:-1], ends[1:]
    plain = (dots_before[stops] - dots_before[starts] == 3) & (
        odd_before[stops] == odd_before[starts]
    )
    dots = np.flatnonzero(is_dot)
    first = dots_before[starts[plain]]
    fences = [starts[plain] - 1, dots[first], dots[first + 1], dots[first + 2], stops[plain]]
    value = np.zeros(len(first), dtype=np.uint64)
    good = np.ones(len(first), dtype=np.bool_)
    for before, behind in pairwise(fences):
        octet, is_octet = _octet(byte, before.astype(np.int64) + 1, behind.astype(np.int64))
        value = (value << np.uint64(8)) | octet
        good &= is_octet
    plain[np.flatnonzero(plain)[~good]] = False
    return plain, value[good]


def _octet(
    byte: npt.NDArray[np.uint8], start: Codes, stop: Codes
) -> tuple[Words, npt.NDArray[np.bool_]]:
    """Return the numbers of digits from start to stop (exclusive), and whether each is one."""
    length = stop - start
    number = np.zeros(len(start), dtype=np.uint64)
    for place, factor in ((1, 1), (2, 10), (3, 100)):
        digit = byte[np.maximum(stop - place, 0)].astype(np.uint64) - np.uint64(ord("0"))
        number += np.where(length >= place, digit * np.uint64(factor), np.uint64(0))
    leading = (length > 1) & (byte[np.minimum(start, len(byte) - 1)] == ord("0"))
    return number, (length >= 1) & (length <= 3) & (number <= 255) & ~leading


def _names4(nets: Words) -> pa.StringArray:
    """Return the text of each /24."""
    octets = [
        _OCTETS.take(pa.array((nets >> np.uint64(shift)) & np.uint64(255))) for shift in (24, 16, 8)
    ]
    return pc.binary_join_element_wise(*octets, "0", ".")


def _kept_of(high: Words) -> Words:
    """Return the upper half of /48 of each address.

    /48 of a 6to4 address is the whole IPv4 address behind it: its last byte goes as well.
    """
    kept = high & _MASK_48
    is_6to4 = (high >> np.uint64(48)) == _SIX_TO_FOUR
    return np.where(is_6to4, kept & np.uint64(0xFFFFFFFFFF000000), kept)


def _names6(high: Words) -> list[str]:
    """Return the text of each /48."""
    halves = _kept_of(high).astype(">u8").tobytes()
    return [
        socket.inet_ntop(socket.AF_INET6, halves[at : at + 8] + bytes(8))
        for at in range(0, len(halves), 8)
    ]


def _embedded(high: Words, low: Words) -> tuple[Words, npt.NDArray[np.bool_]]:
    """Return the IPv4 addresses inside IPv6 ones, and which addresses have one."""
    is_6to4 = (high >> np.uint64(48)) == _SIX_TO_FOUR
    is_nat64 = (high == _NAT64) & (low >> np.uint64(32) == 0)
    is_nat64 |= (high >> np.uint64(16)) == _NAT64_LOCAL
    inside = np.where(is_6to4, high >> np.uint64(16), low) & np.uint64(0xFFFFFFFF)
    is_inside = is_6to4 | is_nat64
    return inside[is_inside], is_inside
