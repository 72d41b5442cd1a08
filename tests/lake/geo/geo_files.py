"""Geo files of the tests' own, and the places that addresses have by them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from lake.addresses import protect
from lake.geo import Geo


def places(geo: Geo, *texts: str | None) -> list[tuple[int | None, str | None, str | None]]:
    found = protect(pa.chunked_array([pa.array(texts, pa.string())]), geo)
    assert found.asn is not None
    assert found.country is not None
    assert found.region is not None
    return list(
        zip(found.asn.to_pylist(), found.country.to_pylist(), found.region.to_pylist(), strict=True)
    )


def write(path: Path, kind: str, networks: dict[str, object], version: int = 6) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


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
