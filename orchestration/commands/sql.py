"""weir sql: one SELECT over a hardened DuckDB, with gold as the last release shows it.

A read-only connection is not a safe one (it can COPY, read /etc/passwd, glob): external access
is off but for the warehouse, the configuration is locked, and only one parsed SELECT is run
whose plan writes nothing (a COPY inside a WITH is a SELECT to the parser).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from lake.publish import MARTS, last_release
from lake.reads import connect as open_duckdb
from lake.reads import create_views, quote_literal
from lake.records import RECORDS
from lake.settings import LakeSettings, load_settings
from orchestration.commands.output import console, lines_safe, print_csv, print_json_list, table
from orchestration.operations import open_lake

_TIMEOUT_SECONDS = 600
_MEMORY_LIMIT = "2GB"
_FETCHED_AT_ONCE = 10_000
#: parts of the names of plan operators that change something
_WRITING = ("COPY", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "EXPORT", "ATTACH")


class QueryError(Exception):
    """A query that is not run: says what was expected and what was found."""


def connect(settings: LakeSettings) -> duckdb.DuckDBPyConnection:
    """Return a hardened in-memory connection with the views of the lake."""
    catalog = open_lake(settings)
    connection = open_duckdb(
        catalog,
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    connection.execute(f"set memory_limit = '{_MEMORY_LIMIT}'")
    connection.execute("set temp_directory = ''")
    shown = last_release(catalog)
    create_views(connection, catalog, RECORDS)
    create_views(connection, catalog, [m.gold for m in MARTS], shown.marts if shown else {})
    inside = quote_literal(f"{settings.warehouse}/")
    connection.execute(f"set allowed_directories = [{inside}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def checked(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Return the one SELECT that the text is; raises QueryError for anything else."""
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as err:
        raise QueryError(str(err)) from err
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(s.type.name for s in statements) or "nothing"
        raise QueryError(f"expected one SELECT, found {kinds}. weir sql only reads.")
    _require_reading(connection, statements[0])
    return statements[0]


def _require_reading(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> None:
    """Refuse a SELECT that writes: `with x as (copy ... to ...)` reaches the warehouse's files."""
    try:
        plans = connection.execute(f"explain (format json) {statement.query}").fetchall()
    except duckdb.Error as err:
        raise QueryError(str(err)) from err
    names = {name for _, text in plans for root in json.loads(text) for name in _operators(root)}
    writing = sorted(n for n in names if any(w in n.upper() for w in _WRITING))
    if writing:
        raise QueryError(f"expected a query that reads, found {', '.join(writing)} in its plan.")


def _operators(node: Mapping[str, Any]) -> Iterator[str]:
    yield str(node["name"])
    for child in node.get("children", ()):
        yield from _operators(child)


def _fetched(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """Give the rows without holding them all: a result may be larger than memory."""
    while rows := connection.fetchmany(_FETCHED_AT_ONCE):
        yield from rows


def run(query: str, home: Path | None, limit: int, *, as_csv: bool, as_json: bool) -> int:
    """Run the query and print what it gives."""
    connection = connect(load_settings(home=home))
    timer = threading.Timer(_TIMEOUT_SECONDS, connection.interrupt)
    timer.start()
    try:
        result = connection.execute(checked(connection, query))
        columns = [c[0] for c in result.description or []]
        rows = _fetched(result)
        if as_json:
            print_json_list(dict(zip(columns, row, strict=True)) for row in rows)
        elif as_csv:
            print_csv(columns, rows)
        else:
            _print_table(columns, rows, limit)
    except (QueryError, duckdb.Error) as err:
        console(stderr=True).print(f"weir sql: {lines_safe(str(err))}")
        return 2
    finally:
        timer.cancel()
        connection.close()
    return 0


def _print_table(columns: list[str], rows: Iterable[tuple[Any, ...]], limit: int) -> None:
    shown: list[tuple[Any, ...]] = []
    total = 0
    for row in rows:
        total += 1
        if limit == 0 or total <= limit:
            shown.append(row)
    out = console()
    out.print(table("", columns, shown))
    more = f" (showing {len(shown)}; --limit 0 for all)" if len(shown) < total else ""
    out.print(f"{total} rows{more}")
