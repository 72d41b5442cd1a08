"""The Iceberg catalog: open it, and create or load the tables of lake.records."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pyiceberg.catalog import Catalog
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
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from lake.locations import S3Location, sqlite_file
from lake.records import RECORDS, Record
from lake.settings import LakeSettings
from lake.sql_catalog import RememberingCatalog

_ATTEMPTS_TO_MAKE = 5


class LostCatalogError(RuntimeError):
    """A catalog without a table whose history lies in the warehouse."""


def open_catalog(settings: LakeSettings) -> Catalog:
    """Return the catalog: SQLite by default, PostgreSQL or a REST catalog by its address."""
    properties = {**files_of(settings), **settings.catalog_options}
    if _is_rest(settings):
        from pyiceberg.catalog.rest import RestCatalog

        return RestCatalog("weir", uri=settings.catalog_uri, **properties)
    file = sqlite_file(settings.catalog_uri)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(settings.warehouse, Path):
        settings.warehouse.mkdir(parents=True, exist_ok=True)
    properties["warehouse"] = warehouse_uri(settings)
    return _made_once(settings.catalog_uri, properties)


def _made_once(uri: str, properties: Mapping[str, str]) -> RememberingCatalog:
    """Open a SQL catalog; of several that make its tables at once, the others try again."""
    for attempt in range(_ATTEMPTS_TO_MAKE):
        try:
            return RememberingCatalog("weir", uri=uri, pool_pre_ping="true", **properties)
        except (IntegrityError, ProgrammingError, OperationalError) as err:
            made_by_another = "already exists" in str(err) or isinstance(err, IntegrityError)
            if not made_by_another or attempt == _ATTEMPTS_TO_MAKE - 1:
                raise
    raise AssertionError("unreachable")


def files_of(settings: LakeSettings) -> dict[str, str]:
    """Return pyiceberg's properties for the warehouse's files; none for a folder."""
    if not isinstance(settings.warehouse, S3Location) and not _is_rest(settings):
        return {}
    access = settings.s3
    given = {
        "s3.endpoint": access.endpoint,
        "s3.region": access.region or ("us-east-1" if access.endpoint else None),
        "s3.access-key-id": access.access_key_id,
        "s3.secret-access-key": access.secret_access_key,
        "s3.session-token": access.session_token,
        "s3.force-virtual-addressing": str(access.is_virtual).lower(),
        "s3.retry-strategy-impl": "lake.warehouse_files.warehouse_retries",
    }
    return {name: value for name, value in given.items() if value is not None}


def _is_rest(settings: LakeSettings) -> bool:
    return settings.catalog_uri.startswith(("http://", "https://"))


def warehouse_uri(settings: LakeSettings) -> str:
    """Return where tables are put, as Iceberg names files: nothing in it is percent-encoded."""
    if isinstance(settings.warehouse, Path):
        return f"file://{settings.warehouse}"
    return settings.warehouse.uri


def ensure_namespace(catalog: Catalog, namespace: str) -> None:
    """Create a namespace unless it is there."""
    with suppress(NamespaceAlreadyExistsError, IntegrityError):  # the latter: another made it now
        catalog.create_namespace(namespace)


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

    A table that was made and never written to has the first version of its metadata only. Where
    the catalog itself decides the place (REST), there is nothing to look at.
    """
    from lake.maintenance.files import list_files

    warehouse = str(catalog.properties.get("warehouse", "")).rstrip("/")
    if "://" not in warehouse:
        return
    place = f"{warehouse}/{identifier.replace('.', '/')}"
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

    Columns that were appended to the record since the table was made are added to the table. A
    struct must not be one: DuckDB 2.0.0 cannot read a field of a struct that a file lacks.
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
