"""Data files as a commit names them: path, partition, counts and bounds out of Parquet footers.

What pyiceberg's `parquet_file_to_data_file` does, but for the comparison of schemas, which costs
7 ms a file here and compares the schema that lake.writing wrote with itself. Rests on pyiceberg's
own functions, private by name: the version is pinned.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table


class SchemaError(RuntimeError):
    """A data file has other columns than its table."""


def describe_files(table: Table, uris: Sequence[str]) -> list[DataFile]:
    """Return the files as a commit names them; refuses one with other columns than the table."""
    if not uris:
        return []
    schema = table.schema()
    plan = compute_statistics_plan(schema, table.properties)
    columns = parquet_path_to_id_mapping(schema)
    names = [f.name for f in schema.fields]
    found = []
    for uri in uris:
        source = table.io.new_input(uri)
        with source.open() as stream:
            footer = pq.read_metadata(stream)
        written = footer.schema.to_arrow_schema().names
        if written != names:
            raise SchemaError(
                f"{uri} has columns {written}; expected those of {'.'.join(table.name())}: "
                f"{names}. The table changed since it was staged: run the ingest again."
            )
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=footer, stats_columns=plan, parquet_column_mapping=columns
        )
        found.append(
            DataFile.from_args(
                content=DataFileContent.DATA,
                file_path=uri,
                file_format=FileFormat.PARQUET,
                partition=statistics.partition(table.spec(), schema),
                file_size_in_bytes=len(source),
                sort_order_id=None,
                spec_id=table.metadata.default_spec_id,
                equality_ids=None,
                key_metadata=None,
                **statistics.to_serialized_dict(),
            )
        )
    return found
