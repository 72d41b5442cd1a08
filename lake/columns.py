"""What a table is declared with: columns, types, and the lineage that every bronze row carries.

Belongs here: the parts. Does not: a table (lake/records, lake/counters).

Field ids are given by position and must never be reused: append columns, do not insert them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.transforms import Transform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from lake.arrow_schema import arrow_schema

STRING, LONG, INT = StringType(), LongType(), IntegerType()
DOUBLE, BOOL, TIME, BINARY = DoubleType(), BooleanType(), TimestamptzType(), BinaryType()
WEIGHT = DecimalType(18, 6)
MONEY = DecimalType(18, 6)

NESTED_ID = 1000  # nested fields count from here, so that columns keep ids equal to positions


@dataclass(frozen=True)
class Column:
    """One column: its Iceberg type, what it means, and whether it may be null."""

    name: str
    type: IcebergType
    doc: str
    required: bool = False


def req(name: str, type_: IcebergType, doc: str) -> Column:
    """Return a column that is never null."""
    return Column(name, type_, doc, required=True)


def opt(name: str, type_: IcebergType, doc: str) -> Column:
    """Return a column that may be null."""
    return Column(name, type_, doc)


@dataclass(frozen=True)
class Record:
    """A table of the lake: its name, columns, partition column and transform."""

    namespace: str
    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: str | None = None
    transform: Transform[Any, Any] | None = None
    #: columns whose values may appear in file statistics: never an address, a user or a path
    stats: tuple[str, ...] = ()
    #: equal lines without an id of their own are several: lake.repeats numbers their row keys
    counts_repeats: bool = False

    @property
    def identifier(self) -> str:
        """Return `namespace.name`, as the catalog and SQL know it."""
        return f"{self.namespace}.{self.name}"

    @cached_property
    def schema(self) -> Schema:
        """Return the Iceberg schema; field ids are positions from 1, as the catalog gives them."""
        return assign_fresh_schema_ids(
            Schema(
                *(
                    NestedField(i, c.name, c.type, required=c.required, doc=c.doc)
                    for i, c in enumerate(self.columns, 1)
                )
            )
        )

    @cached_property
    def arrow(self) -> pa.Schema:
        """Return the Arrow schema that data files are written with (field ids in metadata)."""
        return arrow_schema(self.schema)

    @property
    def spec(self) -> PartitionSpec:
        """Return the partition spec; unpartitioned when no column is named."""
        if self.partition_by is None or self.transform is None:
            return PartitionSpec()
        source = self.schema.find_field(self.partition_by)
        return PartitionSpec(
            PartitionField(source.field_id, 1000, self.transform, f"{self.partition_by}_part")
        )

    @property
    def properties(self) -> dict[str, str]:
        """Return the table properties that exactly-once commits and privacy rest on."""
        kept = {f"write.metadata.metrics.column.{c}": "full" for c in self.stats}
        return {
            "format-version": "2",
            # the built-in retry doubles rows under a ledger; lake.commit refreshes and re-checks
            "commit.retry.num-retries": "0",
            "commit.manifest-merge.enabled": "true",
            "commit.manifest.min-count-to-merge": "20",
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "50",
            "write.metadata.metrics.default": "none",
            "comment": self.doc,
            **kept,
        }


def struct(start: int, *fields: tuple[str, IcebergType, str]) -> StructType:
    """Return a struct of nullable fields (name, type, meaning); field ids count from `start`."""
    return StructType(
        *(NestedField(start + i, n, t, required=False, doc=d) for i, (n, t, d) in enumerate(fields))
    )


#: design.md: what every row carries so that it can be replaced, deduplicated and traced
LINEAGE = (
    req("source", STRING, "feed the row came from (name of its source file)"),
    req("delivery_id", STRING, "object version: hash of source, key and etag"),
    req("source_line", LONG, "physical line in the decompressed object, from 1"),
    req("row_key", BINARY, "identity for deduplication (16 bytes, before truncation and HMAC)"),
    opt("producer", STRING, "who wrote the line: distribution, zone or event producer"),
    opt("producer_seq", LONG, "the producer's own sequence number, where it gives one"),
    opt("customer", STRING, "tenant, by the source's host or field mapping"),
    req("parser_version", STRING, "family and version of the parser, e.g. cloudfront_v1/1"),
    opt("key_epoch", STRING, "epoch of the HMAC key in force at event_time; null: nothing HMAC-ed"),
    opt("parent_hop", STRING, "request id of the hop that caused this one; null for viewers"),
    req("ingested_at", TIME, "instant of the ingest that wrote the row (by the passed-in clock)"),
)
