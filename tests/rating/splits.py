"""Bills split with the project's SQL, in memory.

Belongs here: the harness, and rows to split by. What must hold stands in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.rating import ALLOCATIONS, STREAMS, TRAFFIC, build, rate
from simulator.rating import Usage

from .cases import MODELS, SCHEMA, VENDOR, parsed, table_of

_STREAMS = pa.schema(
    [
        ("vendor", pa.string()), ("scope", pa.string()), ("pop", pa.string()),
        ("hour", pa.timestamp("us", tz="UTC")), ("stream", pa.string()),
        ("requests", pa.int64()), ("bytes", pa.int64()),
    ]
)  # fmt: skip
Row = dict[str, Any]


def located(usage: Sequence[Usage], pop: str = "FRA1") -> pa.Table:
    """Return usage at one location, whose region the contract tells by its name."""
    places = {"pop": [pop] * len(usage), "region": [None] * len(usage)}
    table = table_of(usage)
    for name, values in places.items():
        at = SCHEMA.get_field_index(name)
        table = table.set_column(at, SCHEMA.field(name), pa.array(values, SCHEMA.field(name).type))
    return table


def allocated(
    usage: Sequence[Usage] | pa.Table,
    *documents: dict[str, Any],
    streams: Sequence[Row] = (),
    column: str = "sum(amount)",
) -> dict[Any, Any]:
    """Return the parts of all months' bills, or another column, by method, dimension and part.

    streams: published rows of an hour, customer, location and stream, of the one vendor.
    """
    table = usage if isinstance(usage, pa.Table) else table_of(usage)
    published = pa.Table.from_pylist([{"vendor": VENDOR} | s for s in streams], _STREAMS)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.register(TRAFFIC, table)
        connection.register(STREAMS, published)
        rate(connection, [parsed(d) for d in documents], MODELS)
        for model in ALLOCATIONS:
            build(connection, MODELS, model)
        rows = connection.execute(
            f"select method, dimension, part, {column} from bill_allocations group by all"
        )
        return {tuple(r[:3]): r[3] for r in rows.fetchall()}
