"""Staged deliveries and build files, small and real, with room for one planted defect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from lake.audit import DeliverySubject
from lake.catalog import open_catalog, table_of
from lake.records import LANDED
from lake.settings import load_settings

from .build_file import HOURS, MONTHS, SCHEMA
from .qos_build import good_rows
from .rows import HOUR, MAKERS, SOURCES


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    home = tmp_path_factory.mktemp("lake")
    catalog = open_catalog(load_settings({"WEIR_HOME": str(home)}))
    return {record.identifier: table_of(catalog, record) for record in LANDED}


@pytest.fixture(scope="session")
def fields_by_table(tables: Mapping[str, Table]) -> dict[str, Sequence[NestedField]]:
    return {name: table.schema().fields for name, table in tables.items()}


Stage = Callable[..., DeliverySubject]


@pytest.fixture
def stage(tables: Mapping[str, Table], tmp_path: Path) -> Stage:
    """Write a delivery of good rows, changed as asked, and return it as a subject."""

    def staged(
        delivery_id: str,
        table: str = "bronze.cdn_requests",
        *,
        change: Mapping[str, Any] | None = None,
        only: int | None = None,
        rows: int = 30,
        file_name: str | None = None,
        **subject: Any,
    ) -> DeliverySubject:
        data: list[dict[str, Any]] = [
            {**MAKERS[table](n), "delivery_id": delivery_id} for n in range(rows)
        ]
        for row in data if only is None else data[:only]:
            row.update(change or {})
        schema = schema_to_pyarrow(tables[table].schema())
        # a writer's fault may leave nulls where the table allows none
        nullable = pa.schema([f.with_nullable(True) for f in schema], schema.metadata)
        path = tmp_path / (file_name or f"{delivery_id}.parquet")
        pq.write_table(pa.Table.from_pylist(data, schema=nullable), path)
        said: dict[str, Any] = {
            "source": SOURCES[table],
            "key": f"{delivery_id}.gz",
            "files": (path.as_posix(),),
            "accepted": rows,
            "rejected": 0,
            "header": 2,
            "blank": 0,
            "reject_reasons": {},
            "period_start": HOUR,
            "period_end": HOUR + timedelta(hours=1),
            **subject,
        }
        counted = said["accepted"] + said["rejected"] + said["header"] + said["blank"]
        said.setdefault("lines", counted)
        return DeliverySubject(delivery_id=delivery_id, table_name=table, **said)

    return staged


@pytest.fixture(scope="session")
def good_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build file with two good hours and two good months."""
    path = tmp_path_factory.mktemp("build") / "build.duckdb"
    hours = ", ".join(f"timestamptz '{HOUR + timedelta(hours=n)}'" for n in (0, 1))
    months = "date '2026-10-01', date '2026-11-01'"
    days = "timestamptz '2026-11-15 00:00:00+00', timestamptz '2026-11-16 00:00:00+00'"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SCHEMA)
        connection.execute(HOURS.format(hours=hours))
        connection.execute(MONTHS.format(months=months))
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(good_rows(hours, days))
    return path


@pytest.fixture
def build_with(good_build: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a maker of build files that are good but for one statement's defect."""

    def build(statement: str) -> Path:
        path = tmp_path / "build.duckdb"
        path.write_bytes(good_build.read_bytes())
        with duckdb.connect(str(path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(statement)
        return path

    return build
