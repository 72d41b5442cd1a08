"""The base of the ingest benchmark reads what it is compared with, into a table alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyiceberg.expressions import IsNull

from benchmarks import base
from benchmarks.logs import FAMILIES, make_logs
from benchmarks.setup import settings_of
from lake.catalog import open_catalog

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_appended_by_the_hour_of_its_time(family: str, tmp_path: Path) -> None:
    make_logs(family, 2000, tmp_path / "logs", 7)
    manifest, home = str(tmp_path / "logs" / "logs.json"), str(tmp_path / "home")
    job = base.duckdb(manifest, home)
    job.run()
    table = open_catalog(settings_of(home)).load_table("bench.raw")
    assert [f.name for f in table.spec().fields] == ["event_time_hour"]
    broken = sum(map(len, json.loads(Path(manifest).read_text())["malformed"].values()))
    timeless = table.scan(row_filter=IsNull("event_time")).count()
    assert job.outcome()["rows"] >= 2000 - broken
    assert timeless <= broken
