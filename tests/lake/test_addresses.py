"""Addresses are read strictly and kept in part only."""

from __future__ import annotations

import ipaddress
import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.addresses import cut_lists, protect

CASES = [
    # as every log writes it
    ("198.51.100.201", "198.51.100.0", 4),
    ("2001:DB8:1:2:3:4:5:6", "2001:db8:1::", 6),
    ("2001:db8::5", "2001:db8::", 6),
    ("::1", "::", 6),
    ("0.0.0.0", "0.0.0.0", 4),
    ("255.255.255.255", "255.255.255.0", 4),
    # ports, brackets and zones, as proxies add them
    ("198.51.100.201:4711", "198.51.100.0", 4),
    ("[2001:db8:1:2::3]:4711", "2001:db8:1::", 6),
    ("[2001:db8:1:2::3]", "2001:db8:1::", 6),
    ("fe80:1:2:3::4%eth0", "fe80:1:2::", 6),
    # IPv4 mapped into IPv6 is an IPv4 peer, however it is written
    ("::ffff:198.51.100.201", "198.51.100.0", 4),
    ("::FFFF:c633:64c9", "198.51.100.0", 4),
    ("[::ffff:198.51.100.201]:443", "198.51.100.0", 4),
    # the old "compatible" form is IPv6
    ("::198.51.100.201", "::", 6),
    # /48 of 6to4 would be the whole IPv4 address
    ("2002:c633:64c9::1", "2002:c633:6400::", 6),
    # NAT64 and Teredo have theirs in the part that goes
    ("64:ff9b::198.51.100.201", "64:ff9b::", 6),
    ("64:ff9b:1:2::c633:64c9", "64:ff9b:1::", 6),
    ("2001:0:4136:e378:8000:63bf:39cc:9b36", "2001:0:4136::", 6),
    # private ranges are addresses
    ("10.1.2.3", "10.1.2.0", 4),
    ("fd12:3456:789a:1::1", "fd12:3456:789a::", 6),
    # ten to some, eight to others
    ("010.1.2.3", None, None),
    ("1.2.3.04", None, None),
    ("::ffff:1.2.3.04", None, None),
    ("1.2.3.00", None, None),
    # rubbish
    ("", None, None),
    ("-", None, None),
    ("unknown", None, None),
    ("1.2.3", None, None),
    ("1.2.3.4.5", None, None),
    ("1..2.3", None, None),
    (".1.2.3", None, None),
    ("1.2.3.", None, None),
    ("1.2.3.256", None, None),
    ("1.2.3.0004", None, None),
    ("1.2.3.4 ", None, None),
    ("1.2.3.4\n", None, None),
    ("1.2.3.4\0", None, None),
    ("\u0661.2.3.4", None, None),
    ("-1.2.3.4", None, None),
    ("1.2.3.4:x", None, None),
    ("[1.2.3.4]:80", None, None),
    ("[2001:db8::1", None, None),
    ("ab:cd", None, None),
    ("1:2:3:4:5:6:7:8:9", None, None),
    ("1" * 5000, None, None),
    (":" * 5000, None, None),
    (None, None, None),
]


def kept(*texts: str | None, chunks: int = 1) -> list[tuple[str | None, int | None]]:
    step = -(-len(texts) // chunks) or 1
    parts = [pa.array(texts[i : i + step], pa.string()) for i in range(0, len(texts), step)]
    found = protect(pa.chunked_array(parts, pa.string()), None)
    return list(zip(found.client_ip.to_pylist(), found.version.to_pylist(), strict=True))


@pytest.mark.parametrize(("text", "network", "version"), CASES)
def test_an_address_is_cut_or_is_none(text, network, version):
    assert kept(text) == [(network, version)]


def test_a_column_is_cut_row_by_row_whatever_its_chunks():
    texts = [c[0] for c in CASES] * 3
    random.Random(1).shuffle(texts)
    expected = {c[0]: (c[1], c[2]) for c in CASES}
    for chunks in (1, 7):
        assert kept(*texts, chunks=chunks) == [expected[t] for t in texts]
    assert kept() == []
    sliced = pa.chunked_array([pa.array(["9.9.9.9", "1.2.3.4", None, "::1"]).slice(1)])
    assert protect(sliced, None).client_ip.to_pylist() == ["1.2.3.0", None, "::"]


@given(st.lists(st.ip_addresses(), max_size=20))
def test_what_is_kept_is_the_network_of_the_address(addresses):
    expected = []
    for address in addresses:
        a = getattr(address, "ipv4_mapped", None) or address
        bits = 24 if a.version == 4 else 40 if a in ipaddress.ip_network("2002::/16") else 48
        network = ipaddress.ip_network((a, bits), strict=False)
        expected.append((str(network.network_address), a.version))
    assert kept(*map(str, addresses)) == expected


@given(st.lists(st.one_of(st.text(max_size=50), st.text("0123456789.:abf[]%", max_size=20))))
def test_any_text_is_an_address_or_nothing(texts):
    for text, (network, version) in zip(texts, kept(*texts), strict=True):
        if network is None:
            assert version is None
        else:
            assert ipaddress.ip_address(network).version == version
            assert set(text) & set("0123456789:")


def test_claimed_addresses_are_cut_one_by_one():
    lists = [
        '203.0.113.9, "[2001:db8:1:2::3]:99",198.51.100.7:4711, me,, 2002:c633:64c9::1',
        "",
        "192.0.2.200",
    ]
    assert cut_lists(lists) == [
        "203.0.113.0, 2001:db8:1::, 198.51.100.0, unknown, unknown, 2002:c633:6400::",
        "unknown",
        "192.0.2.0",
    ]
    assert cut_lists([]) == []
