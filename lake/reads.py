"""Reads pinned to snapshots: DuckDB SQL over exactly the files of an Iceberg snapshot.

`read_parquet` over the planned files, matched by field id, is as fast as DuckDB's extension and
needs none. It is right only while no delete files exist; they are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

if TYPE_CHECKING:  # importing a catalog costs a third of a second
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_SCALAR: dict[type[IcebergType], str] = {
    BinaryType: "BLOB",
    FixedType: "BLOB",
    BooleanType: "BOOLEAN",
    DateType: "DATE",
    DoubleType: "DOUBLE",
    FloatType: "FLOAT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    StringType: "VARCHAR",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMPTZ",
    TimeType: "TIME",
    UUIDType: "UUID",
}


class DeleteFilesError(RuntimeError):
    """A table holds delete files, which this reader would ignore."""


@dataclass(frozen=True)
class Pin:
    """A table at a snapshot; `None` is the empty table."""

    identifier: str
    snapshot_id: int | None


def connect(
    lake: Catalog | Table | None,
    database: Path | None = None,
    *,
    read_only: bool = False,
    config: Mapping[str, str] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open DuckDB, in UTC, so that it can read the files of the lake wherever they are.

    The one way to do so: a plain duckdb.connect() cannot open a file in S3. lake: a catalog or a
    table of it; None where no file is read. database: a DuckDB file; None is one in memory.
    """
    connection = duckdb.connect(
        str(database) if database else ":memory:", read_only=read_only, config=dict(config or {})
    )
    connection.execute("set TimeZone = 'UTC'")
    # After two seconds DuckDB draws its progress bar on standard output, into whatever a user
    # sends there.
    connection.execute("set enable_progress_bar = false")
    if lake is not None:
        show_files(connection, lake)
    return connection


def show_files(connection: duckdb.DuckDBPyConnection, lake: Catalog | Table) -> None:
    """Let a connection that somebody else opened read the files of a catalog's tables."""
    properties = lake.io.properties if hasattr(lake, "io") else lake.properties
    given = {k: v for k, v in properties.items() if k.startswith("s3.")}
    if given and not connection.filesystem_is_registered("s3"):
        from lake.warehouse_files import s3_files  # a folder needs no fsspec

        connection.register_filesystem(s3_files(frozenset(given.items())))


def quote_identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return a text as a quoted SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def duckdb_type(type_: IcebergType) -> str:
    """Return DuckDB's name of an Iceberg type."""
    if isinstance(type_, DecimalType):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    if isinstance(type_, ListType):
        return f"{duckdb_type(type_.element_type)}[]"
    if isinstance(type_, MapType):
        return f"MAP({duckdb_type(type_.key_type)}, {duckdb_type(type_.value_type)})"
    if isinstance(type_, StructType):
        inner = ", ".join(
            f"{quote_identifier(f.name)} {duckdb_type(f.field_type)}" for f in type_.fields
        )
        return f"STRUCT({inner})"
    return _SCALAR[type(type_)]


def local_path(uri: str) -> str:
    """Return what DuckDB opens for a file URI."""
    return uri.removeprefix("file://")


def files_sql(fields: Iterable[NestedField], uris: Iterable[str]) -> str:
    """Return a SELECT over Parquet files, columns matched by field id.

    fields: the Iceberg columns to give back. uris: files; none gives no rows.
    """
    fields = list(fields)
    paths = [quote_literal(local_path(u)) for u in uris]
    if not paths:
        nulls = ", ".join(
            f"NULL::{duckdb_type(f.field_type)} AS {quote_identifier(f.name)}" for f in fields
        )
        return f"SELECT {nulls} WHERE false"
    entries = ", ".join(
        f"{f.field_id}: {{name: {quote_literal(f.name)}, "
        f"type: {quote_literal(duckdb_type(f.field_type))}, default_value: NULL}}"
        for f in fields
    )
    return (
        f"SELECT * FROM read_parquet([{', '.join(paths)}], "
        f"schema = MAP {{{entries}}}, hive_partitioning = false)"
    )


def relation_sql(
    table: Table,
    snapshot_id: int | None = None,
    row_filter: BooleanExpression | None = None,
) -> str:
    """Return a SELECT over a table at a snapshot (current when None).

    row_filter prunes files only: repeat the predicate in SQL.
    """
    current = table.current_snapshot()
    if snapshot_id is None and current is None:
        return files_sql(table.schema().fields, [])
    scan = table.scan(
        row_filter=AlwaysTrue() if row_filter is None else row_filter, snapshot_id=snapshot_id
    )
    tasks = list(scan.plan_files())
    if any(task.delete_files for task in tasks):
        raise DeleteFilesError(
            f"{'.'.join(table.name())} has delete files; expected copy-on-write only. "
            "Rewrite the table with the engine that wrote them, then read again."
        )
    return files_sql(table.schema().fields, (task.file.file_path for task in tasks))


def pins_of(catalog: Catalog, identifiers: Iterable[str]) -> dict[str, int]:
    """Return the current snapshot of each table that has one."""
    pins: dict[str, int] = {}
    for identifier in identifiers:
        try:
            snapshot = catalog.load_table(identifier).current_snapshot()
        except (NoSuchTableError, NoSuchNamespaceError):
            continue
        if snapshot is not None:
            pins[identifier] = snapshot.snapshot_id
    return pins


def create_views(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    identifiers: Iterable[str],
    pins: Mapping[str, int] | None = None,
) -> None:
    """Create one view `namespace.table` per table; with pins, a table without one is empty."""
    for identifier in identifiers:
        namespace, name = identifier.split(".")
        try:
            table = catalog.load_table(identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            continue
        if pins is None:
            sql = relation_sql(table)
        elif identifier in pins:
            sql = relation_sql(table, snapshot_id=pins[identifier])
        else:
            sql = files_sql(table.schema().fields, [])
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(namespace)}")
        connection.execute(
            f"CREATE OR REPLACE VIEW {quote_identifier(namespace)}.{quote_identifier(name)} "
            f"AS {sql}"
        )
