"""Addresses are looked up whole: once a network, the first file that knows, value by value."""

from __future__ import annotations

import ipaddress
import random
from pathlib import Path

import maxminddb
import pytest

from lake import geo as geo_module
from lake.geo import Geo

from .geo_files import places, write

TEST_FILES = Path(__file__).resolve().parents[4] / "shared/data/geo"


@pytest.fixture(scope="module")
def public() -> list[Path]:
    found = [TEST_FILES / f"GeoIP2-{kind}-Test.mmdb" for kind in ("City", "Country", "ISP")]
    if not all(p.exists() for p in found):
        pytest.skip("the public test files are not here")
    return found


def test_public_test_files_say_country_region_and_network(public):
    geo = Geo(public)
    assert geo.version == (
        "GeoIP2-City@1414511197-6019bbf0, GeoIP2-Country@1414511197-e1d29ea6, "
        "GeoIP2-ISP@1510267314-063e6f91"
    )
    assert places(geo, "81.2.69.161", "81.2.69.161:80", None, "rubbish", "10.0.0.1") == [
        (None, "GB", "ENG"),
        (None, "GB", "ENG"),
        *[(None, None, None)] * 3,
    ]
    assert places(geo, "2a02:dd80::1") == [(None, "SE", None)]


def addresses_of(path: Path, rng: random.Random) -> list[str]:
    """Return the borders of every network of a file, what lies beside them, and any others."""
    found = [str(ipaddress.ip_address(rng.getrandbits(32))) for _ in range(200)]
    found += [str(ipaddress.ip_address(rng.getrandbits(128))) for _ in range(200)]
    with maxminddb.open_database(path) as reader:
        for network, _ in reader:
            for n in (network.network_address, network.broadcast_address):
                for at in (int(n) - 1, int(n), int(n) + 1):
                    if 0 <= at < 1 << n.max_prefixlen:
                        found.append(str(type(n)(at)))
    return found


def test_a_network_is_looked_up_once_and_every_address_in_it_gets_its_place(public, monkeypatch):
    rng = random.Random(3)
    texts = sorted({t for p in public for t in addresses_of(p, rng)})
    alone = {t: places(Geo(public), t)[0] for t in rng.sample(texts, 300)}
    geo = Geo(public)
    for _ in range(3):  # at first nothing is remembered, then everything, whatever the order
        rng.shuffle(texts)
        together = dict(zip(texts, places(geo, *texts), strict=True))
        assert {t: together[t] for t in alone} == alone
    asked = []
    look_up = geo_module._look_up
    monkeypatch.setattr(geo_module, "_look_up", lambda f, a: (asked.append(a), look_up(f, a))[1])
    places(geo, "81.2.69.161", *[f"81.2.69.{n}" for n in range(160, 192)])
    assert asked == []
    places(Geo(public), *[f"81.2.69.{n}" for n in range(160, 192)])
    assert len(set(asked)) <= 3


def test_memory_of_what_was_looked_up_is_bounded(public, monkeypatch):
    monkeypatch.setattr(geo_module, "_MAX_SPANS", 50)
    geo = Geo(public)
    rng = random.Random(4)
    for _ in range(20):
        places(geo, *[str(ipaddress.ip_address(rng.getrandbits(32))) for _ in range(40)])
        assert len(geo._v4.first) <= 90
    assert places(geo, "81.2.69.161") == [(None, "GB", "ENG")]


def test_the_first_file_that_knows_counts_value_by_value(tmp_path):
    here = write(
        tmp_path / "a.mmdb",
        "Own-City",
        {
            "1.2.3.0/28": {"country": {"iso_code": "DE"}},
            "1.2.3.16/28": {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BE"}]},
        },
    )
    there = write(
        tmp_path / "b.mmdb",
        "DBIP-ASN-Lite (compat=GeoLite2-ASN)",
        {
            "1.2.3.0/24": {
                "autonomous_system_number": 64500,
                "country": {"iso_code": "FR"},
                "subdivisions": [{"iso_code": "IDF"}],
            }
        },
    )
    geo = Geo([here, there])
    assert places(geo, "1.2.3.1", "1.2.3.17", "1.2.3.99", "1.2.4.1") == [
        (64500, "DE", None),
        (64500, "DE", "BE"),
        (64500, "FR", "IDF"),
        (None, None, None),
    ]


def test_an_address_inside_another_is_the_one_looked_up(tmp_path):
    geo = Geo(
        [write(tmp_path / "a.mmdb", "Own-Country", {"1.2.3.0/24": {"country": {"iso_code": "de"}}})]
    )
    inside = ["1.2.3.4", "::ffff:1.2.3.4", "2002:102:304::9", "64:ff9b::102:304"]
    assert {p[1] for p in places(geo, *inside, "64:ff9b:1::102:304")} == {"DE"}
    assert places(geo, "2002:102:404::") == [(None, None, None)]


def test_networks_smaller_than_half_an_address_are_told_apart(tmp_path):
    wide = {f"2001:db8::{n:x}/128": {"country": {"iso_code": c}} for n, c in ((1, "DE"), (3, "FR"))}
    geo = Geo([write(tmp_path / "a.mmdb", "Own-Country", wide)])
    for _ in range(2):
        found = places(geo, *[f"2001:db8::{n:x}" for n in (3, 2, 1, 4)])
        assert [p[1] for p in found] == ["FR", None, "DE", None]


def test_a_file_of_ipv4_alone_knows_no_ipv6(tmp_path):
    record = {"autonomous_system_number": 64500}
    geo = Geo([write(tmp_path / "a.mmdb", "Own-ISP", {"0.0.0.0/1": record}, version=4)])
    assert [p[0] for p in places(geo, "1.2.3.4", "200.1.1.1", "::1", "2001:db8::1")] == [
        64500,
        None,
        None,
        None,
    ]
