"""A geo file that is missing or damaged is named; what is no place is not believed."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from lake.geo import Geo, GeoError
from lake.settings import load_settings
from orchestration.cli import app

from .geo_files import places, write


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


def test_a_geo_file_that_is_missing_stops_an_ingest_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIR_GEOIP", str(tmp_path / "gone.mmdb"))
    done = CliRunner().invoke(app, ["ingest", "--dir", str(tmp_path / "home")])
    assert done.exit_code == 2
    assert "gone.mmdb: expected a file in MaxMind's format" in done.output
    assert "Traceback" not in done.output
