"""The address plan as geo files in MaxMind's format, for a platform that looks addresses up.

Belongs here: writing the networks of `world.ISPS` down. Does not belong here: reading them.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from simulator.world import ISPS

GEO_FILES = ("simulated-country.mmdb", "simulated-asn.mmdb")


class _Writer(MMDBWriter):
    """A writer whose files say a given build time: equal runs write equal bytes."""

    def __init__(self, kind: str, built_at: datetime) -> None:
        super().__init__(6, kind, ipv4_compatible=True, description="simulated networks")
        self._built_at = built_at

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": int(self._built_at.timestamp())}


def write_geo(directory: Path, built_at: datetime) -> list[Path]:
    """Write a file of countries and one of networks; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    countries: list[dict[str, Any]] = [{"country": {"iso_code": isp.country}} for isp in ISPS]
    networks: list[dict[str, Any]] = [
        {"autonomous_system_number": isp.asn, "autonomous_system_organization": isp.name}
        for isp in ISPS
    ]
    paths = []
    for kind, name, entries in zip(
        ("Country", "ASN"), GEO_FILES, (countries, networks), strict=True
    ):
        writer = _Writer(f"Simulated-{kind}", built_at)
        for isp, entry in zip(ISPS, entries, strict=True):
            writer.insert_network(IPSet([str(isp.v4), str(isp.v6)]), entry)
        path = directory / name
        writer.to_db_file(str(path))
        paths.append(path)
    return paths
