"""Which columns of a Parquet object are read: by the field each holds, and by its type.

Belongs here: schemas. Does not: reading (parquet_rows), values (parquet_values).

A column of another type than its field's is tried value by value; what no value could come of is
refused. Of a struct that grew a list or a struct of its own, the other children are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from lake.parquet_values import is_text
from lake.refused import RefusedError

_MAX_COLUMNS = 2_000
_SCALARS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean,
            pa.types.is_decimal, pa.types.is_timestamp, pa.types.is_date, pa.types.is_time,
            pa.types.is_null)  # fmt: skip


def chosen(
    schema: pa.Schema, field_of: Callable[[str], str | None]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return field -> column and the columns that are none; raises RefusedError."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    left_out: list[str] = []
    for column in schema:
        field = field_of(column.name)
        if field is None:
            unknown.append(column.name)
            continue
        paths, others = parts_of(column)
        if field in found or not paths:
            raise RefusedError(
                "bad_schema",
                f"expected text, a number, a flag, a time or a struct of such in column "
                f"{column.name!r}, once, found {re.sub('<.*', '', str(column.type))}"
                f"{' again' if field in found else ''}.",
            )
        found[field] = column.name
        left_out += others
    # a path `a.b` names a child of `a` as well as a column of that name
    doubtful = [u for u in unknown if u.split(".")[0] in found.values()]
    if doubtful or len(schema) > _MAX_COLUMNS:
        raise RefusedError(
            "bad_schema",
            f"expected at most {_MAX_COLUMNS} columns and none whose name goes on behind a dot, "
            f"found {len(schema)} and {len(doubtful)}.",
        )
    return found, (*unknown, *left_out)


def with_uuids(schema: pa.Schema, leaves: Iterable[pq.ColumnSchema]) -> pa.Schema:
    """Return a schema that tells UUIDs from other bytes; Arrow's reader does not."""
    for leaf in leaves:
        if leaf.logical_type.type == "UUID" and leaf.path in schema.names:
            at = schema.get_field_index(leaf.path)
            if at >= 0:  # else two columns have the name, which is refused
                schema = schema.set(at, schema.field(at).with_type(pa.uuid()))
    return schema


def _is_scalar(kind: pa.DataType) -> bool:
    return is_text(kind) or kind == pa.uuid() or any(is_(kind) for is_ in _SCALARS)


def parts_of(column: pa.Field) -> tuple[list[str], list[str]]:
    """Return the paths to read of a column, and those of a struct's children left out (lists)."""
    if not pa.types.is_struct(column.type):
        return ([column.name], []) if _is_scalar(column.type) else ([], [column.name])
    parts: tuple[list[str], list[str]] = ([], [])
    for child in column.type:
        parts[not _is_scalar(child.type)].append(f"{column.name}.{child.name}")
    return parts if parts[1] else ([column.name], [])
