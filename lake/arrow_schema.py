"""Iceberg schemas as Arrow schemas, with field ids and 32-bit string offsets.

Equal to pyiceberg's `schema_to_pyarrow` but for the offsets (a test compares them), without its
module, whose imports `weir inspect` has no use for.
"""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    TimeType,
)

_SCALAR: dict[type[IcebergType], pa.DataType] = {
    BinaryType: pa.binary(),
    BooleanType: pa.bool_(),
    DateType: pa.date32(),
    DoubleType: pa.float64(),
    IntegerType: pa.int32(),
    LongType: pa.int64(),
    StringType: pa.string(),
    TimeType: pa.time64("us"),
    TimestamptzType: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema of an Iceberg schema."""
    return pa.schema([_field(f) for f in schema.fields])


def arrow_type(type_: IcebergType) -> pa.DataType:
    """Return the Arrow type of an Iceberg type."""
    return _type(type_)


def _field(field: NestedField) -> pa.Field:
    metadata = {"PARQUET:field_id": str(field.field_id)}
    if field.doc:
        metadata = {"doc": field.doc, **metadata}
    return pa.field(field.name, _type(field.field_type), not field.required, metadata)


def _type(type_: IcebergType) -> pa.DataType:
    if isinstance(type_, DecimalType):
        return pa.decimal128(type_.precision, type_.scale)
    if isinstance(type_, StructType):
        return pa.struct([_field(f) for f in type_.fields])
    if isinstance(type_, ListType):
        return pa.list_(_field(type_.element_field))
    if isinstance(type_, MapType):
        return pa.map_(_field(type_.key_field), _field(type_.value_field))
    return _SCALAR[type(type_)]
