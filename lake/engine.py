"""The parser's DuckDB: one thread, UTC, the canonical macros, statements prepared once."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from lake.canonical import AS_LOGGED, MACROS

_MAX_STATEMENTS = 32  # one a layout; layouts vary with the columns that a file has


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

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a statement."""
        return self._connection.execute(sql)

    def sql(self, sql: str, params: Sequence[object] | None = None) -> duckdb.DuckDBPyRelation:
        """Return a query as a relation."""
        return self._connection.sql(sql, params=params)

    def register(self, name: str, table: pa.Table) -> None:
        """Show an Arrow table under a name."""
        self._connection.register(name, table)

    def unregister(self, name: str) -> None:
        """Take an Arrow table away again."""
        self._connection.unregister(name)

    def prepared(self, sql: str) -> str:
        """Return the name of a prepared statement: planning costs more than a small file."""
        if sql not in self._statements:
            if len(self._statements) >= _MAX_STATEMENTS:
                for name in self._statements.values():
                    self._connection.execute(f"deallocate {name}")
                self._statements.clear()
            name = f"parse_{len(self._statements)}"
            self._connection.execute(f"prepare {name} as {sql}")
            self._statements[sql] = name
        return self._statements[sql]
