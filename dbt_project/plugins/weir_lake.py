"""The dbt-duckdb plugin: shows dbt the lake, pinned, and the price contracts.

Belongs here: views over snapshots of Iceberg tables, the tables of price contracts, and saying who
holds the build file. Does not: any number (models/) or rule of a contract (lake/contracts).

The plan (a JSON file) pins the snapshots and names the hours and months that a run rebuilds; it
sees the rows of those hours alone::

    {"pins": {"bronze.cdn_requests": 123}, "hours": ["2026-11-16T00:00:00+00:00"], "months": []}

A table that the plan does not name is read at its current snapshot; a null pin is the empty table.
`selects` (table to SELECT, from lake.build_views) says what to read of each table that the build
needs: then no catalog is opened here, and other views stay as they are. Other keys are the writer's
own. Models read the periods from `bronze.build_plan`, not from dbt's variables, and the plan's name
stays the same from call to call: dbt parses the project again whenever a variable or a word of the
rendered profile differs.

Not named `lake`: a plugin module must not be called like a package that it imports.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import yaml
from dbt.adapters.duckdb.plugins import BasePlugin

from lake.contracts import TABLES, PriceContractError, load_contracts, with_what_ifs
from lake.locations import S3Location
from lake.reads import files_sql, quote_identifier, quote_literal, show_files
from lake.settings import LakeSettings, load_settings

if TYPE_CHECKING:  # see show_lake
    from pyiceberg.catalog import Catalog
    from pyiceberg.types import NestedField

_METRICS = Path(__file__).parents[1] / "models" / "marts" / "metrics"
_CONTRACTS_OF_MARTS = tuple(sorted(_METRICS.glob("_*.yml")))


class BuildFileLockedError(RuntimeError):
    """Another process has the build file open."""


class BuildPlanError(RuntimeError):
    """The plan file is not what the plugin reads."""


@dataclass(frozen=True)
class Plan:
    """Snapshots to read, hours, days and months (first instants) to rebuild; none means all."""

    pins: dict[str, int | None] = field(default_factory=dict)
    hours: tuple[dt.datetime, ...] = ()
    months: tuple[dt.datetime, ...] = ()
    days: tuple[dt.datetime, ...] = ()
    #: a SELECT of each table that the build reads; none: dbt makes them from the catalog
    selects: dict[str, str] = field(default_factory=dict)


class Plugin(BasePlugin):  # type: ignore[misc]
    """Create the views `bronze.*` and `gold.*` and the tables of `contracts`."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the configuration of profiles.yml; see that the build file can be opened."""
        self._settings = load_settings(home=Path(plugin_config["home"]).resolve())
        self._plan = read_plan(plugin_config["plan"])
        self._contracts = Path(plugin_config["price_contracts"])
        if self.creds is not None and self.creds.path != ":memory:":
            check_unlocked(Path(self.creds.path), dict(self.creds.config_options or {}))

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Show the lake to a connection; a read-only one keeps the views it was built with."""
        if _is_read_only(conn):
            return
        conn.execute("SET TimeZone = 'UTC'")
        show_lake(conn, self._settings, self._plan)
        show_contracts(conn, self._contracts)


def read_plan(name: str) -> Plan:
    """Return the plan of a file; no name: current snapshots and all hours."""
    if not name:
        return Plan()
    try:
        data = json.loads(Path(name).read_text(encoding="utf-8"))
        return Plan(
            {
                str(table): None if snapshot is None else int(snapshot)
                for table, snapshot in (data.get("pins") or {}).items()
            },
            tuple(sorted({_hour(text) for text in data.get("hours") or ()})),
            tuple(sorted({_month(text) for text in data.get("months") or ()})),
            tuple(sorted({_day(text) for text in data.get("days") or ()})),
            {str(table): str(sql) for table, sql in (data.get("selects") or {}).items()},
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BuildPlanError(
            f"build plan {name}: {error}; expected a JSON object with pins (table to snapshot id), "
            "hours (2026-11-16T00:00:00+00:00), days and months (2026-11-01), in UTC. Let the "
            "orchestration write it, or unset WEIR_BUILD_PLAN."
        ) from error


def _hour(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    whole = moment.replace(minute=0, second=0, microsecond=0)
    if moment != whole or moment.utcoffset() != dt.timedelta(0):
        raise ValueError(f"{text} is no hour in UTC")
    return moment


def _day(text: str) -> dt.datetime:
    day = dt.date.fromisoformat(text)
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


def _month(text: str) -> dt.datetime:
    day = _day(text)
    if day.day != 1:
        raise ValueError(f"{text} is no first day of a month")
    return day


def check_unlocked(path: Path, config: dict[str, Any]) -> None:
    """Raise with the holder's PID if another process has the file open; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    try:
        duckdb.connect(str(path), config=config).close()
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        pid = re.search(r"PID (\d+)", str(error))
        holder = f"process {pid[1]}" if pid else "another process"
        raise BuildFileLockedError(
            f"build file {path.resolve()} is held by {holder}; expected it free, DuckDB allows one "
            "writer. Wait for the running refresh to end, or stop `make up`, or point "
            "WEIR_BUILD_FILE at another file (it is a cache, any empty path will do)."
        ) from error


def _is_read_only(conn: duckdb.DuckDBPyConnection) -> bool:
    row = conn.execute(
        "SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchone()
    return bool(row and row[0])


def show_lake(conn: duckdb.DuckDBPyConnection, settings: LakeSettings, plan: Plan) -> None:
    """Create the views over the lake and `bronze.build_plan`, what the run rebuilds."""
    if not plan.selects or isinstance(settings.warehouse, S3Location):
        from lake.catalog import open_catalog  # a plan for a folder needs no catalog: 1.5 s

        catalog = open_catalog(settings)
        try:
            show_files(conn, catalog)
            selects = dict(plan.selects) or _selects(catalog, settings, plan)
        finally:
            catalog.close()
    else:
        selects = dict(plan.selects)
    for identifier, sql in selects.items():
        _create_view(conn, identifier, sql)
    conn.execute("CREATE SCHEMA IF NOT EXISTS bronze")
    conn.execute(
        "CREATE OR REPLACE TABLE bronze.build_plan "
        "(period VARCHAR NOT NULL, starts_at TIMESTAMPTZ NOT NULL)"
    )
    for period, starts in (("hour", plan.hours), ("day", plan.days), ("month", plan.months)):
        conn.execute(
            "INSERT INTO bronze.build_plan SELECT ?, unnest(?::TIMESTAMPTZ[])",
            [period, list(starts)],
        )


def _selects(catalog: Catalog, settings: LakeSettings, plan: Plan) -> dict[str, str]:
    """Return a SELECT over every table that a model can read; one not made yet is empty."""
    from lake.build_views import SOURCES, selects_of
    from lake.completeness import with_cdn
    from lake.records import DELIVERIES, LANDED
    from lake.source import load_sources

    found = selects_of(catalog, SOURCES, plan.pins, plan.hours, plan.days)
    fields = {r.identifier: r.schema.fields for r in (*LANDED, DELIVERIES)}
    selects = {
        name: found.get(name) or files_sql(fields.get(name) or contract_fields(name), [])
        for name in SOURCES
    }
    ledger, feeds = DELIVERIES.identifier, load_sources(settings.sources).values()
    return selects | {ledger: with_cdn(selects[ledger], feeds)}


def contract_fields(identifier: str) -> list[NestedField]:
    """Return the columns that a published mart will have, from its contract."""
    from pyiceberg.types import (
        BooleanType,
        DoubleType,
        IntegerType,
        LongType,
        NestedField,
        StringType,
        TimestamptzType,
    )

    types = {
        "timestamptz": TimestamptzType(),
        "varchar": StringType(),
        "bigint": LongType(),
        "integer": IntegerType(),
        "boolean": BooleanType(),
        "double": DoubleType(),
    }
    (columns,) = (
        model["columns"]
        for file in _CONTRACTS_OF_MARTS
        for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
        if f"gold.{model['name']}" == identifier
    )
    return [
        NestedField(i, c["name"], types[c["data_type"]], required=True)
        for i, c in enumerate(columns, 1)
    ]


def _create_view(conn: duckdb.DuckDBPyConnection, identifier: str, sql: str) -> None:
    schema, name = (quote_identifier(part) for part in identifier.split("."))
    conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    conn.execute(f"CREATE OR REPLACE VIEW {schema}.{name} AS {sql}")


def show_contracts(conn: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create the tables of `contracts`.

    A broken contract must stop bills, not the delivery marts of the same connection: then each
    relation is a view that raises what is wrong as soon as a model reads it.
    """
    conn.execute("CREATE SCHEMA IF NOT EXISTS contracts")
    try:
        rows = with_what_ifs(load_contracts(folder))
    except PriceContractError as error:
        for name, columns in TABLES.items():
            _drop_any(conn, name)
            nulls = ", ".join(f"NULL::{kind} AS {column}" for column, kind in columns.items())
            conn.execute(
                f"CREATE VIEW contracts.{quote_identifier(name)} AS SELECT {nulls} "
                f"FROM (SELECT error({quote_literal(str(error))}) AS e) WHERE e IS NOT NULL"
            )
        return
    for name, columns in TABLES.items():
        _drop_any(conn, name)
        ddl = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        conn.execute(f"CREATE TABLE contracts.{quote_identifier(name)} ({ddl})")
        if rows[name]:
            marks = ", ".join("?" for _ in columns)
            conn.executemany(
                f"INSERT INTO contracts.{quote_identifier(name)} VALUES ({marks})", rows[name]
            )


def _drop_any(conn: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop the relation, table or view: DROP TABLE IF EXISTS fails on a view."""
    row = conn.execute(
        "SELECT table_type FROM information_schema.tables WHERE table_schema = 'contracts' "
        "AND table_name = ? AND table_catalog = current_database()",
        [name],
    ).fetchone()
    if row is not None:
        kind = "VIEW" if row[0] == "VIEW" else "TABLE"
        conn.execute(f"DROP {kind} contracts.{quote_identifier(name)}")
