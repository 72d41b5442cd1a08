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
from lake.reads import quote_identifier
from orchestration.settings import DBT_PROJECT

_MACROS = ("money", "calendar", "ranks", "billing", "samples")
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
        self._dropped: frozenset[str] = frozenset()
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
        return "''" if name in self._dropped else name

    def sql(self, model: str, dropped: frozenset[str] = frozenset()) -> tuple[str, str]:
        """Return how a model is materialized, and its SQL.

        dropped: columns of the usage that no contract tells apart (scope, pop, region, scheme).
        """
        self._dropped = dropped
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


def _needless(rows: Mapping[str, list[tuple[object, ...]]]) -> frozenset[str]:
    """Return the columns of the usage that these contracts do not tell apart."""
    at = list(TABLES["price_components"]).index("is_per_scope")
    has_scopes = rows["price_contract_customers"] or any(r[at] for r in rows["price_components"])
    at = list(TABLES["price_component_parts"]).index("measure")
    parts = {row[at] for row in rows["price_component_parts"]}
    needed = {
        "scope": has_scopes,
        "pop": rows["price_contract_regions"] and "traffic" in parts,
        "region": "traffic" in parts,
        "scheme": "requests" in parts,
    }
    return frozenset(name for name, is_needed in needed.items() if not is_needed)


def rate(
    connection: duckdb.DuckDBPyConnection,
    contracts: Iterable[Governed],
    models: Models | None = None,
) -> None:
    """Make `bill_lines` and `bills` (and what leads to them) from the relation TRAFFIC.

    All months from the first to the last usage are billed: a silent one between owes its commit.
    """
    rows = rows_of(contracts)
    fill_contracts(connection, rows)
    # Two queries: the first is answered from the statistics of a Parquet file.
    connection.execute(
        "create or replace temp table int_billing__reach as select * from "
        f"(select min(slot_start) as first_slot, max(slot_start) as last_slot from {TRAFFIC}), "
        f"(select min(period) as first_period, max(period) as last_period from {TRAFFIC})"
    )
    models = models or Models()
    dropped = _needless(rows)
    for model in MODELS:
        build(connection, models, model, dropped)


def build(
    connection: duckdb.DuckDBPyConnection,
    models: Models,
    model: str,
    dropped: frozenset[str] = frozenset(),
) -> None:
    """Make one model under its own name."""
    materialized, sql = models.sql(model, dropped)
    kind = "view" if materialized == "view" else "table"
    name = quote_identifier(model.rsplit("/", 1)[-1])
    connection.execute(f"create or replace temp {kind} {name} as {sql}")
