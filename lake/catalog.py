"""The Iceberg catalog: open it, and create or load the tables of lake.records."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from lake.records import RECORDS, Record
from lake.settings import LakeSettings


class LostCatalogError(RuntimeError):
    """A catalog without a table whose history lies in the warehouse."""


def open_catalog(settings: LakeSettings) -> Catalog:
    """Return the catalog; SQLite by default, PostgreSQL by its URL."""
    if settings.catalog_uri.startswith("sqlite:///"):
        Path(settings.catalog_uri.removeprefix("sqlite:///")).parent.mkdir(
            parents=True, exist_ok=True
        )
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    return SqlCatalog("weir", uri=settings.catalog_uri, warehouse=settings.warehouse.as_uri())


def ensure_namespace(catalog: Catalog, namespace: str) -> None:
    """Create a namespace unless it is there."""
    try:
        catalog.create_namespace(namespace)
    except NamespaceAlreadyExistsError:
        return


def ensure_table(
    catalog: Catalog,
    identifier: str,
    schema: Schema,
    spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
    properties: dict[str, str] | None = None,
) -> Table:
    """Load a table, creating it first where it is missing; safe under a race."""
    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        ensure_namespace(catalog, identifier.split(".")[0])
    try:
        _refuse_lost_history(catalog, identifier)
        return catalog.create_table(
            identifier, schema, partition_spec=spec, properties=properties or {}
        )
    except TableAlreadyExistsError:
        return catalog.load_table(identifier)


def _refuse_lost_history(catalog: Catalog, identifier: str) -> None:
    """Refuse to make a table where one with commits lies: it would be loaded all over again.

    A table that was made and never written to has the first version of its metadata only.
    """
    from lake.maintenance.files import list_files

    place = f"{str(catalog.properties['warehouse']).rstrip('/')}/{identifier.replace('.', '/')}"
    io = load_file_io(properties=catalog.properties, location=place)
    for found in list_files(io, f"{place}/metadata"):
        if found.name.endswith(".metadata.json") and not found.name.startswith("00000-"):
            if catalog.table_exists(identifier):
                return  # somebody else has just made it and written to it
            raise LostCatalogError(
                f"the catalog has no table {identifier}, but its history lies at {place} "
                f"({found.name}). Was the catalog lost, or is another one configured? `weir "
                "maintain rebuild-catalog` finds the tables again; WEIR_CATALOG_URI names the "
                "catalog. Nothing was changed."
            )


def table_of(catalog: Catalog, record: Record) -> Table:
    """Load the table of a record, creating it where it is missing.

    Columns that were appended to the record since the table was made are added to the table.
    """
    table = ensure_table(catalog, record.identifier, record.schema, record.spec, record.properties)
    while len(table.schema().fields) < len(record.columns):
        table = _with_new_columns(catalog, table, record)
    return table


def _with_new_columns(catalog: Catalog, table: Table, record: Record) -> Table:
    """Append the columns a table lacks; old rows read as null. A lost race is looked at again."""
    known = {f.name for f in table.schema().fields}
    missing = [c for c in record.columns if c.name not in known]
    if not missing or any(c.required for c in missing):
        raise ValueError(
            f"{record.identifier}: the table has {len(table.schema().fields)} columns, expected "
            f"{len(record.columns)}; missing {[c.name for c in missing]}. Only columns that may be "
            "null can be appended to a table that exists: make them optional."
        )
    try:
        with table.update_schema() as update:
            for column in missing:
                update.add_column(column.name, column.type, column.doc)
    except CommitFailedException:
        pass
    return catalog.load_table(record.identifier)


def ensure_all(catalog: Catalog) -> None:
    """Create every bronze and ops table that is missing."""
    for record in RECORDS.values():
        if not catalog.table_exists(record.identifier):
            _refuse_lost_history(catalog, record.identifier)
    for record in RECORDS.values():
        table_of(catalog, record)
