"""A dbt project on a lake in a temporary folder: seeded through Iceberg, built in process.

Belongs here: the harness. What a mart must say stands in the tests.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField

from lake.catalog import ensure_table, open_catalog, table_of
from lake.publish import publish_partitions
from lake.records import CDN_REQUESTS, REC_EVENTS, Record
from lake.settings import load_settings
from lake.versions import Family, Stale

from .on_spark import PROJECT, Spark, missing

Row = dict[str, Any]


def at(text: str) -> dt.datetime:
    """Return an instant of the day the tests play on, from "05:07" or "05:07:09"."""
    return dt.datetime.fromisoformat(f"2026-11-16T{text}+00:00")


def hour(number: int) -> str:
    """Return an hour of that day as the variable takes it."""
    return f"2026-11-16T{number:02d}:00:00+00:00"


def key(text: str) -> bytes:
    """Return a row key."""
    return hashlib.md5(text.encode()).digest()


_COMMON: Row = {
    "source": "feed",
    "delivery_id": "d1",
    "source_line": 1,
    "parser_version": "test/1",
    "ingested_at": at("23:00"),
    "customer": "acme",
}
_CDN: Row = _COMMON | {
    "event_time_precision": "start_ms",
    "cdn": "cloudfront",
    "pop": "FRA50",
    "method": "GET",
    "status": 200,
    "bytes_out_total": 100,
    "bytes_in": 10,
    "ttfb_ms": 20.0,
    "cache_status": "HIT",
    "is_edge_hit": True,
    "is_origin_fetch": False,
    "client_aborted": False,
    "sample_weight": 1,
    "is_viewer": True,
    "object_type": "segment",
    "stream_kind": "hls",
}


def request(name: str, time: str, **columns: object) -> Row:
    """Return a row of bronze.cdn_requests, identified by its name."""
    return _CDN | {"row_key": key(name), "event_time": at(time)} | columns


def event(name: str, time: str, event_type: str, **columns: object) -> Row:
    """Return a row of bronze.rec_events, identified by its name."""
    own = {"event_id": name, "event_type": event_type, "item_id": "i1", "scene": "feed"}
    return _COMMON | own | {"row_key": key(name), "event_time": at(time)} | columns


@dataclass
class Weir:
    """One lake, one build file."""

    home: Path
    runner: dbtRunner
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = open_catalog(load_settings({"WEIR_HOME": str(self.home)}))

    def append(self, record: Record, rows: Sequence[Row]) -> None:
        """Append rows in one commit."""
        table = table_of(self.catalog, record)
        table.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(table.schema())))

    def deliver(self, *rows: Row) -> None:
        self.append(CDN_REQUESTS, rows)

    def happen(self, *rows: Row) -> None:
        self.append(REC_EVENTS, rows)

    def publish_traffic(self, rows: Sequence[Row]) -> None:
        """Append rows to the published mart."""
        fields = importlib.import_module("weir_lake").contract_fields("gold.traffic_5m")
        # as a publication makes it: Arrow from the build file has no required columns
        schema = Schema(*(NestedField(f.field_id, f.name, f.field_type) for f in fields))
        table = ensure_table(self.catalog, "gold.traffic_5m", schema)
        zeros = dict.fromkeys(("requests", "bytes", "bytes_in", "hit_requests", "hit_bytes"), 0)
        base = {"cdn": "cloudfront", "pop": "FRA50", "customer": "acme"} | zeros
        table.append(pa.Table.from_pylist([base | r for r in rows], schema_to_pyarrow(schema)))

    def publish(self, *starts: dt.datetime, family: Family = "delivery") -> None:
        """Publish what was built of these hours (days, months), as the refresh does."""
        passed = [Stale(family, start, "v", 0) for start in starts]
        publish_partitions(
            self.catalog, self.home / "build.duckdb", family, passed, {}, "r", at("23:30")
        )

    def invoke(self, *arguments: str) -> dbtRunnerResult:
        """Run dbt in this process and let go of the build file."""
        try:
            return self.runner.invoke(
                [
                    "--quiet",
                    *arguments,
                    *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                    *("--target-path", str(self.home / "target")),
                    *("--log-path", str(self.home / "logs")),
                ]
            )
        finally:
            environment = DuckDBConnectionManager._ENV
            if environment is not None:
                environment.close()
            DuckDBConnectionManager.close_all_connections()

    def run(
        self,
        select: str,
        hours: Sequence[str] = (),
        months: Sequence[str] = (),
        days: Sequence[str] = (),
        verb: str = "build",
    ) -> dbtRunnerResult:
        """Build a family by its tag, without the unit tests."""
        asked = {"hours": list(hours), "days": list(days), "months": list(months)}
        variables = json.dumps(asked)
        unit_tests = ["--exclude-resource-type", "unit_test"] if verb == "build" else []
        return self.invoke(verb, "--select", select, "--vars", variables, *unit_tests)

    def build(self, select: str, hours: Sequence[str] = (), months: Sequence[str] = ()) -> None:
        """Build and expect success."""
        result = self.run(select, hours, months)
        assert result.success, message_of(result)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home / "build.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def records(self, sql: str) -> list[Row]:
        with duckdb.connect(str(self.home / "build.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.sql(sql).to_arrow_table().to_pylist()


def message_of(result: dbtRunnerResult) -> str:
    """Return all that dbt says of a failure."""
    said = [str(result.exception or "")]
    said += [f"{r.node.name}: {r.message}" for r in getattr(result.result, "results", ())]
    return "\n".join(said)


@pytest.fixture(scope="session", autouse=True)
def plugins() -> Iterator[None]:
    """Let tests import the plugin's modules as dbt does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / "plugins"))
        yield


@pytest.fixture(scope="session")
def lake_plugin(plugins: None) -> ModuleType:
    return importlib.import_module("weir_lake")


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> dbtRunner:
    """Parse once: a runner with a manifest does not parse again."""
    folder = tmp_path_factory.mktemp("parsed")
    paths = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    paths += ["--target-path", str(folder), "--log-path", str(folder)]
    result = dbtRunner().invoke(["--quiet", "parse", *paths])
    assert result.success, result.exception
    return dbtRunner(manifest=result.result)


@pytest.fixture
def weir(tmp_path: Path, runner: dbtRunner, monkeypatch: pytest.MonkeyPatch) -> Weir:
    for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIR_HOME", str(tmp_path))
    return Weir(tmp_path, runner)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Return a real Spark, where there is one."""
    if why := missing(dict(os.environ)):
        pytest.skip(why)
    started = Spark(tmp_path_factory.mktemp("spark"))
    yield started
    started.close()
