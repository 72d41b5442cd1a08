"""Addresses are read strictly, looked up whole and kept in part only."""

from __future__ import annotations

import ipaddress
import random
import re
from dataclasses import replace
from pathlib import Path

import maxminddb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from typer.testing import CliRunner

from lake import geo as geo_module
from lake.addresses import cut_lists, protect
from lake.geo import Geo, GeoError
from lake.settings import load_settings
from orchestration.cli import app

TEST_FILES = Path(__file__).resolve().parents[3] / "shared/data/geo"
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


def places(geo: Geo, *texts: str | None) -> list[tuple[int | None, str | None, str | None]]:
    found = protect(pa.chunked_array([pa.array(texts, pa.string())]), geo)
    assert found.asn is not None
    assert found.country is not None
    assert found.region is not None
    return list(
        zip(found.asn.to_pylist(), found.country.to_pylist(), found.region.to_pylist(), strict=True)
    )


@pytest.fixture(scope="module")
def public() -> list[Path]:
    found = [TEST_FILES / f"GeoIP2-{kind}-Test.mmdb" for kind in ("City", "Country", "ISP")]
    if not all(p.exists() for p in found):
        pytest.skip("the public test files are not here")
    return found


def write(path: Path, kind: str, networks: dict[str, object], version: int = 6) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


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


@pytest.mark.parametrize(
    "record",
    [
        "text",
        ["list"],
        {"country": "DE"},
        {"country": {"iso_code": "D\x1b"}},
        {"country": {"iso_code": "<b>"}},
        {"country": {"iso_code": "DE" * 100_000}},
        {"country": {"iso_code": 5}},
        {"country": {"iso_code": "DE"}, "subdivisions": {"iso_code": "BE"}},
        {"country": {"iso_code": "DE"}, "subdivisions": ["BE"]},
        {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "B\x00"}]},
        {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "B" * 9999}]},
        {"subdivisions": [{"iso_code": "BE"}]},
        {"autonomous_system_number": 0},
        {"autonomous_system_number": 1 << 40},
        {"autonomous_system_number": True},
        {"autonomous_system_number": "64500"},
        {"traits": "none"},
    ],
)
def test_what_is_no_place_is_not_believed(tmp_path, record):
    geo = Geo([write(tmp_path / "a.mmdb", "Own-City", {"1.2.3.0/24": record})])
    asn, country, region = places(geo, "1.2.3.4")[0]
    assert (asn, region) == (None, None)
    assert country in (None, "DE")


def test_a_type_with_control_characters_is_cleaned(tmp_path):
    path = write(tmp_path / "a.mmdb", "Own-City \x1b[31m<b>" + "x" * 999, {"1.2.3.0/24": {}})
    name, _, build = Geo([path]).version.partition("@")
    assert len(name) <= 60
    assert name.startswith("Own-City_31m_b_x")
    assert re.fullmatch(r"\d+-[0-9a-f]{8}", build)


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "No such file"), (b"", "no such format"), (b"not a database", "no such format")],
)
def test_a_file_that_is_none_is_named_before_anything_is_read(
    tmp_path, monkeypatch, content, found
):
    path = tmp_path / "geo.mmdb"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("WEIR_GEOIP", str(path))
    with pytest.raises(GeoError, match=f"geo.mmdb: expected a file.*{found}.*WEIR_GEOIP"):
        load_settings({}, home=tmp_path).protection()


def test_a_type_that_says_no_place_is_refused(tmp_path):
    path = write(tmp_path / "a.mmdb", "GeoIP2-Anonymous-IP", {"1.2.3.0/24": {}})
    with pytest.raises(GeoError, match=r"expected a geo file of type City.*GeoIP2-Anonymous-IP"):
        Geo([path])


def test_a_damaged_file_is_named(tmp_path):
    path = write(
        tmp_path / "a.mmdb", "Own-City", {f"1.2.{n}.0/24": {"n": str(n)} for n in range(99)}
    )
    data = bytearray(path.read_bytes())
    end = data.rindex(b"\xab\xcd\xefMaxMind.com")
    data[end // 2 : end] = b"\xff" * (end - end // 2)
    path.write_bytes(data)
    with pytest.raises(GeoError, match=r"a.mmdb: the geo file is damaged"):
        places(Geo([path]), *[f"1.2.{n}.1" for n in range(99)])


def country_and_network(tmp_path: Path, country: str, asn: int) -> Geo:
    place = {"country": {"iso_code": country}}
    return Geo(
        [
            write(tmp_path / f"{country}.mmdb", "Own-Country", {"192.0.2.0/24": place}),
            write(
                tmp_path / f"{asn}.mmdb",
                "Own-ASN",
                {"192.0.2.0/24": {"autonomous_system_number": asn}},
            ),
        ]
    )


def test_a_geo_file_counts_where_it_knows_and_the_vendor_elsewhere(box, make, tmp_path):
    geo = country_and_network(tmp_path, "FR", 64500)
    box.protection = replace(box.protection, geo=geo)
    flares = [
        make.line("cloudflare_logpush", {"ClientIP": ip, "ClientRegionCode": "BE", "RayID": ip})
        for ip in ("192.0.2.77", "198.51.100.1")
    ]
    box.land("cloudflare/a.gz", make.file("cloudflare_logpush", flares))
    box.land("cloudfront/a.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]))
    box.land("rec_events/a.gz", make.file("rec_events", [make.line("rec_events")]))
    box.run()
    columns = "cdn, client_ip, country, region, asn"
    rows = box.sql(f"select {columns} from {{}} order by all", "bronze.cdn_requests")
    assert rows == [
        ("cloudflare", "192.0.2.0", "FR", None, 64500),
        ("cloudflare", "198.51.100.0", "DE", "BE", 3320),
        ("cloudfront", "192.0.2.0", "FR", None, 64500),
    ]
    assert {d.source: d.geo_version for d in box.ledger().values()} == {
        "cloudflare": geo.version,
        "cloudfront": geo.version,
        "rec_events": None,
    }


def test_a_changed_geo_file_is_used_for_what_is_new_and_changes_no_row(box, make, tmp_path):
    box.protection = replace(box.protection, geo=country_and_network(tmp_path, "FR", 64500))
    box.land("cloudfront/a.gz", make.file("cloudfront_v1", [make.numbered("cloudfront_v1", 1)]))
    box.run()
    before = box.rows("bronze.cdn_requests")
    later = country_and_network(tmp_path, "NL", 64501)
    box.protection = replace(box.protection, geo=later)
    assert box.run().changes == ()
    assert box.rows("bronze.cdn_requests") == before
    box.land("cloudfront/b.gz", make.file("cloudfront_v1", [make.numbered("cloudfront_v1", 2)]))
    box.run()
    found = box.sql("select request_id, country, asn from {} order by 1", "bronze.cdn_requests")
    assert found == [("n-1", "FR", 64500), ("n-2", "NL", 64501)]
    versions = {d.key: d.geo_version for d in box.ledger().values()}
    assert versions["cloudfront/b.gz"] == later.version
    assert versions["cloudfront/a.gz"] != later.version


def test_what_is_read_again_says_the_geo_file_it_was_read_with(box, make, tmp_path):
    box.protection = replace(box.protection, geo=country_and_network(tmp_path, "FR", 64500))
    box.audit.refuse = "held"
    box.land("cloudfront/held.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]))
    box.run()
    later = country_and_network(tmp_path, "NL", 64501)
    box.protection = replace(box.protection, geo=later)
    box.run(released=list(box.ledger()))
    (done,) = box.ledger().values()
    assert (done.state, done.geo_version) == ("loaded", later.version)
    assert box.sql("select country, asn from {}", "bronze.cdn_requests") == [("NL", 64501)]


def test_a_geo_file_that_is_missing_stops_an_ingest_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIR_GEOIP", str(tmp_path / "gone.mmdb"))
    done = CliRunner().invoke(app, ["ingest", "--dir", str(tmp_path / "home")])
    assert done.exit_code == 2
    assert "gone.mmdb: expected a file in MaxMind's format" in done.output
    assert "Traceback" not in done.output
