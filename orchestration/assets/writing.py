"""Appending rows that a step produced to an ops table, under a race with other steps."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException

from lake.catalog import table_of
from lake.records import Record


def append_once(catalog: Catalog, record: Record, rows: pa.Table) -> None:
    """Append; a lost race is tried again, because these rows depend on no others."""
    while rows.num_rows:
        try:
            table_of(catalog, record).append(rows)
        except (CommitFailedException, ValidationException):
            continue
        return
