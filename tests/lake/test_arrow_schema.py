"""Arrow schemas are pyiceberg's own, but for the width of string offsets."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow

from lake.records import RECORDS


def _narrow(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_large_binary(type_):
        return pa.binary()
    if pa.types.is_struct(type_):
        return pa.struct([f.with_type(_narrow(f.type)) for f in type_])
    if pa.types.is_map(type_):
        key, item = type_.key_field, type_.item_field
        return pa.map_(key.with_type(_narrow(key.type)), item.with_type(_narrow(item.type)))
    if pa.types.is_large_list(type_) or pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(_narrow(type_.value_type)))
    return type_


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_arrow_schema_of_a_record_is_the_one_of_pyiceberg(name):
    record = RECORDS[name]
    theirs = pa.schema([f.with_type(_narrow(f.type)) for f in schema_to_pyarrow(record.schema)])
    assert record.arrow.equals(theirs, check_metadata=True)
