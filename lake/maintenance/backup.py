"""The catalog's backup: which metadata each table has, as a small JSON file in the warehouse.

It lies in the warehouse because that is what must survive anyway, and it says the same of every
catalog: SQLite, PostgreSQL or another. recovery.py reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO, load_file_io

from lake.crash import crashpoint
from lake.maintenance.files import list_files

FOLDER = "_catalog_backups"


class BackupError(ValueError):
    """A file that is no backup of a catalog."""


@dataclass(frozen=True)
class TableEntry:
    """Where the metadata of a table was, and which table it is."""

    identifier: str
    metadata_location: str
    table_uuid: str
    location: str


@dataclass(frozen=True)
class Backup:
    """A catalog at an instant."""

    written_at: datetime
    warehouse: str
    tables: tuple[TableEntry, ...]


def back_up(catalog: Catalog, keep: int, now: datetime) -> str:
    """Write a backup of the catalog, delete those beyond the newest `keep`, return where it is."""
    found = [
        catalog.load_table(i)
        for space in catalog.list_namespaces()
        for i in catalog.list_tables(space)
    ]
    warehouse = warehouse_of(catalog)
    tables = [
        TableEntry(
            ".".join(t.name()), t.metadata_location, str(t.metadata.table_uuid), t.location()
        )
        for t in sorted(found, key=lambda t: t.name())
    ]
    io = io_of(catalog)
    uri = f"{warehouse}/{FOLDER}/{now.astimezone(UTC):%Y%m%dT%H%M%S}.json"
    body = {
        "written_at": now.isoformat(),
        "warehouse": warehouse,
        "tables": [asdict(t) for t in tables],
    }
    with io.new_output(uri).create(overwrite=True) as stream:
        stream.write(json.dumps(body, indent=1).encode())
    crashpoint("backup_written")
    names = sorted(f.uri for f in list_files(io, f"{warehouse}/{FOLDER}"))
    for old in names[:-keep]:
        io.delete(old)
    return uri


def backups_of(catalog: Catalog) -> list[str]:
    """Return the backups in the warehouse, oldest first."""
    place = f"{warehouse_of(catalog)}/{FOLDER}"
    return sorted(f.uri for f in list_files(io_of(catalog), place))


def read_backup(io: FileIO, uri: str) -> Backup:
    """Read a backup; raises BackupError for another file."""
    with io.new_input(uri).open() as stream:
        text = stream.read()
    try:
        body = json.loads(text)
        return Backup(
            datetime.fromisoformat(body["written_at"]),
            body["warehouse"],
            tuple(TableEntry(**entry) for entry in body["tables"]),
        )
    except (ValueError, KeyError, TypeError) as err:
        raise BackupError(
            f"{uri} is no backup of a catalog ({err}); expected JSON as `weir maintain "
            "backup-catalog` writes it. Name another one."
        ) from err


def warehouse_of(catalog: Catalog) -> str:
    """Return where the warehouse is; raises BackupError where the catalog alone knows (REST)."""
    place = str(catalog.properties.get("warehouse", "")).rstrip("/")
    if "://" not in place:
        raise BackupError(
            f"the catalog names its warehouse {place!r}; expected a URI. What a REST catalog keeps "
            "is its own server's to sweep and to back up."
        )
    return place


def io_of(catalog: Catalog) -> FileIO:
    """Return the file IO of the warehouse."""
    return load_file_io(properties=catalog.properties, location=warehouse_of(catalog))
