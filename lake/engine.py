"""The parser's DuckDB: one thread, UTC, the canonical macros, statements prepared once."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pyarrow as pa

from lake.canonical import AS_LOGGED, MACROS
from lake.reads import quote_identifier

_MAX_STATEMENTS = 96  # three a layout; layouts vary with the columns that a file has


class Engine:
    """A private DuckDB connection. Not thread-safe: one a thread."""

    def __init__(self, *, as_logged: bool = False) -> None:
        """Open it; as_logged: values stay as they are in the log, for a person to look at."""
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute("set preserve_insertion_order = true")
        for macro in (*MACROS, *(AS_LOGGED if as_logged else ())):
            self._connection.execute(macro)
        self._statements: dict[str, str] = {}
        self._holdings: dict[tuple[str, ...], str] = {}
        self._relations: dict[str, duckdb.DuckDBPyRelation] = {}

    def close(self) -> None:
        """Close the connection."""
        self._relations.clear()
        self._connection.close()

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a statement."""
        return self._connection.execute(sql)

    def prepared(self, sql: str, *values: str) -> pa.Table:
        """Run a statement that is planned once, as planning costs more than a small file.

        values: SQL of its parameters, in order.
        """
        if sql not in self._statements:
            if len(self._statements) >= _MAX_STATEMENTS:
                for name in self._statements.values():
                    self._connection.execute(f"deallocate {name}")
                self._statements.clear()
            name = f"parse_{len(self._statements)}"
            self._connection.execute(f"prepare {name} as {sql}")
            self._statements[sql] = name
        return self._connection.sql(
            f"execute {self._statements[sql]}({', '.join(values)})"
        ).to_arrow_table()

    def read(self, sql: str) -> pa.Table:
        """Run a SELECT whose text stays the same from chunk to chunk.

        As a relation that is kept: its rows become Arrow as they come, where those of a prepared
        statement are held and copied first, which costs an eighth of a large read.
        """
        if sql not in self._relations:
            if len(self._relations) >= _MAX_STATEMENTS:
                self._relations.clear()
            self._relations[sql] = self._connection.sql(sql)
        return self._relations[sql].to_arrow_table()

    def over(self, rows: pa.Table, sql: str, *values: datetime) -> pa.Table:
        """Run a statement that reads these rows as `incoming`; values: its parameters."""
        self._connection.register("incoming", rows)
        try:
            return self._connection.sql(sql, params=list(values)).to_arrow_table()
        finally:
            self._connection.unregister("incoming")

    def holding(self, rows: pa.Table) -> str:
        """Return a table that holds nothing but these rows; tables of equal columns share it."""
        columns = tuple(rows.column_names)
        if columns not in self._holdings:
            self._holdings[columns] = f"held_{len(self._holdings)}"
            declared = ", ".join(
                f"{quote_identifier(f.name)} {'bigint' if f.type == pa.int64() else 'varchar'}"
                for f in rows.schema
            )
            self._connection.execute(f"create temp table {self._holdings[columns]} ({declared})")
        name = self._holdings[columns]
        self._connection.register("incoming", rows)
        self._connection.execute(f"truncate {name}; insert into {name} from incoming")
        self._connection.unregister("incoming")
        return name
