"""Rate usage under contracts with the project's own SQL, in DuckDB, without starting dbt.

Belongs here: rendering the billing models with the few names of dbt that they use, and running them
in order. Does not: any rule of money (dbt_project/macros, models), reading usage files
(orchestration/usage_files.py) or printing.

The models are the ones dbt builds: a rule changed there is changed here. What differs is the
relation `int_billing__traffic`, which the caller makes, and that every month is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2

from lake.contracts import TABLES, rows_of
from lake.contracts.folder import Governed
from lake.reads import quote_identifier, quote_literal
from orchestration.settings import DBT_PROJECT

_MACROS = ("money", "calendar", "ranks", "billing", "samples", "charges", "rates")
#: in the order in which they read each other; the first relation is the caller's
MODELS = (
    "intermediate/billing/int_billing__months",
    "intermediate/billing/int_billing__days",
    "intermediate/billing/int_billing__usage",
    "intermediate/billing/int_billing__narrowed",
    "intermediate/billing/int_billing__ways",
    "intermediate/billing/int_billing__slots",
    "intermediate/billing/int_billing__direct",
    "intermediate/billing/int_billing__volumes",
    "intermediate/billing/int_billing__samples",
    "intermediate/billing/int_billing__ranked",
    "intermediate/billing/int_billing__quantities",
    "intermediate/billing/int_billing__usage_lines",
    "intermediate/billing/int_billing__lines",
    "marts/billing/bill_lines",
    "marts/billing/bills",
)
#: split the bills; they read one more relation of the caller's, STREAMS
ALLOCATIONS = (
    "intermediate/billing/int_billing__stream_usage",
    "marts/billing/bill_allocations",
)
TRAFFIC = "int_billing__traffic"
STREAMS = "int_billing__streams"


class RatingError(RuntimeError):
    """A model that cannot be rendered outside dbt; names what is missing."""


class Models:
    """The billing models, rendered to the SQL of an engine, as dbt names it."""

    def __init__(self, project: Path = DBT_PROJECT, engine: str = "duckdb") -> None:
        self._project = project
        self._engine = engine
        self._settings: dict[str, Any] = {}
        self._dropped: Mapping[str, str] = {}
        self._environment = jinja2.Environment(  # noqa: S701 - SQL, not HTML
            extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined
        )
        self._environment.globals.update(self._names())
        text = "\n".join((project / "macros" / f"{n}.sql").read_text() for n in _MACROS)
        self._macros = self._environment.from_string(text).module
        for name in dir(self._macros):
            if not name.startswith("_"):
                self._environment.globals[name] = getattr(self._macros, name)
        self._environment.globals["kept_column"] = self._kept

    def _kept(self, name: str) -> str:
        return self._dropped.get(name, name)

    def sql(self, model: str, dropped: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Return how a model is materialized, and its SQL.

        dropped: columns of the usage that no contract asks for, by the constant that stands for
        each.
        """
        self._dropped = dropped or {}
        self._settings = {"materialized": "table"}
        text = (self._project / "models" / f"{model}.sql").read_text()
        try:
            sql = self._environment.from_string(text).render()
        except jinja2.UndefinedError as error:
            raise RatingError(
                f"{model}: {error}; expected only macros of {', '.join(_MACROS)}. "
                "Move the macro there, or give orchestration/rating.py the name."
            ) from error
        return str(self._settings["materialized"]), sql

    def _names(self) -> dict[str, Any]:
        """Return the names of dbt that the models use."""

        def config(**settings: Any) -> str:
            self._settings.update(settings)
            return ""

        def dispatch(name: str, _package: str) -> Callable[..., Any]:
            for prefix in (self._engine, "default"):
                found = getattr(self._macros, f"{prefix}__{name}", None)
                if found is not None:
                    return found  # type: ignore[no-any-return]
            raise RatingError(f"no macro {name} for {self._engine} in {', '.join(_MACROS)}")

        def always(_column: str, **_options: Any) -> str:
            return "true"

        return {
            "config": config,
            "ref": quote_identifier,
            "source": lambda _schema, name: quote_identifier(name),
            "var": lambda _name, default: default,
            "return": lambda value: value,
            "adapter": SimpleNamespace(dispatch=dispatch),
            "target": SimpleNamespace(type=self._engine),
            "in_requested_months": always,
        }


def fill_contracts(
    connection: duckdb.DuckDBPyConnection, rows: Mapping[str, list[tuple[object, ...]]]
) -> None:
    """Create and fill the tables of contracts that the models join."""
    for name, columns in TABLES.items():
        ddl = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"create or replace temp table {quote_identifier(name)} ({ddl})")
        if rows[name]:
            marks = ", ".join("?" for _ in columns)
            connection.executemany(
                f"insert into {quote_identifier(name)} values ({marks})", rows[name]
            )


def _needless(rows: Mapping[str, list[tuple[object, ...]]]) -> dict[str, str]:
    """Return the columns of the usage that these contracts do not ask for, as SQL constants."""

    def values(table: str, column: str) -> set[object]:
        at = list(TABLES[table]).index(column)
        return {row[at] for row in rows[table]}

    parts = values("price_component_parts", "measure")
    found: dict[str, str] = {}
    if not rows["price_contract_customers"] and True not in values(
        "price_components", "is_per_scope"
    ):
        found["scope"] = "''"
    if not rows["price_contract_regions"] or "traffic" not in parts:
        found["pop"] = "cast(null as varchar)"
    if "traffic" not in parts:
        found["region"] = "''"
    if "requests" not in parts:
        found["scheme"] = "''"
    if "requests" not in values("price_components", "measure"):
        found["requests"] = "cast(null as bigint)"
    if not {"max", "sum"} & values("price_components", "direction"):
        found["bytes_in"] = "0"
    if "traffic" not in values("price_components", "valid_days_rule"):
        found["day_bit"] = "0"
    vendors = values("price_contracts", "vendor")
    if len(vendors) == 1:  # the others' usage is left out
        found["vendor"] = quote_literal(str(vendors.pop()))
    return found


def rate(
    connection: duckdb.DuckDBPyConnection,
    contracts: Iterable[Governed],
    models: Models | None = None,
    *,
    is_complete: bool = False,
) -> None:
    """Make `bill_lines` and `bills` (and what leads to them) from the relation TRAFFIC.

    All months from the first to the last usage are billed: a silent one between owes its commit.
    is_complete: the caller knows that no row of it lacks deliveries, so that none is asked.
    """
    rows = rows_of(contracts)
    fill_contracts(connection, rows)
    # Two queries, answered from statistics: of a Parquet file, and of a column that is not there.
    connection.execute(
        "create or replace temp table int_billing__reach as select * from "
        f"(select min(slot_start) as first_slot, max(slot_start) as last_slot from {TRAFFIC}), "
        f"(select min(period) as first_period, max(period) as last_period from {TRAFFIC} "
        "where period is not null)"
    )
    models = models or Models()
    dropped = _needless(rows)
    if is_complete:
        dropped["completeness_ppm"] = "1000000"
    for model in MODELS:
        build(connection, models, model, dropped)


def build(
    connection: duckdb.DuckDBPyConnection,
    models: Models,
    model: str,
    dropped: Mapping[str, str] | None = None,
) -> None:
    """Make one model under its own name."""
    materialized, sql = models.sql(model, dropped)
    kind = "view" if materialized == "view" else "table"
    name = quote_identifier(model.rsplit("/", 1)[-1])
    connection.execute(f"create or replace temp {kind} {name} as {sql}")
