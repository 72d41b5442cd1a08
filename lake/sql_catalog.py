"""The SQL catalog: pyiceberg's, that reads a table's metadata once for each version of it.

Belongs here: what pyiceberg's catalog lacks. Does not: which catalog is opened (lake.catalog).

A commit looks at its tables again and again, some forty times a batch, and at each look pyiceberg
0.12 reads and validates the whole metadata file: seven milliseconds here, a request on S3. A
metadata file is never written again under the same name (Iceberg specification, "Optimistic
Concurrency"), and nothing writes to the object made of it: updates make new ones. Where a table is,
is asked of the database each time, as before. The version of pyiceberg is pinned.
"""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata


class RememberingCatalog(SqlCatalog):
    """A catalog in a SQL database that remembers the newest metadata it read of each table."""

    def __init__(self, name: str, **properties: Any) -> None:
        self._read: dict[tuple[str, ...], tuple[str, TableMetadata]] = {}
        super().__init__(name, **properties)

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        name = (*orm_table.table_namespace.split("."), orm_table.table_name)
        known = self._read.get(name)
        if known is None or known[0] != orm_table.metadata_location:
            table = super()._convert_orm_to_iceberg(orm_table)
            self._read[name] = (table.metadata_location, table.metadata)
            return table
        location, metadata = known
        return Table(
            identifier=name,
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(metadata.properties, location),
            catalog=self,
        )
