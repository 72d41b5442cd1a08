"""weir metric: a metric by its one definition, with unit, freshness and the SQL beside the numbers.

Runs on the connection of weir sql: hardened, read-only, gold as the last release shows it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from lake.settings import load_settings
from orchestration.commands.output import (
    console,
    lines_safe,
    print_csv,
    print_json,
    safe,
    table,
)
from orchestration.commands.sql import connect
from orchestration.metrics.query import (
    GRAINS,
    Against,
    Answerable,
    Grain,
    Question,
    QuestionError,
    answerable,
)
from orchestration.metrics.registry import (
    DefinitionError,
    Metric,
    Registry,
    UnknownMetricError,
    load_registry,
)
from orchestration.metrics.render import describe
from orchestration.metrics.where import ConditionError, parse

_SHOWN = 100
_FRESHNESS = """
select
    (select max(release_no) from ops.releases) as release_no,
    (select max(released_at) from ops.releases) as released_at,
    max(partition_start) as newest, max(refreshed_at) as refreshed_at
from ops.refreshes where family = ? and outcome = 'published'
"""


@dataclass(frozen=True)
class Asked:
    """The words of a question as they were typed."""

    name: str
    by: str = ""
    grain: str = "total"
    where: str = ""
    since: str = ""
    until: str = ""
    against: str = ""


def run(asked: Asked | None, home: Path | None, style: str) -> int:
    """Answer a question, or list what can be asked; style: table, csv, json or sql."""
    try:
        registry = load_registry()
        if asked is None:
            _list(registry, style)
            return 0
        found = answerable(registry, question_of(registry, asked))
        if style == "sql":
            sys.stdout.write(found.sql + "\n")
            return 0
        _answer(found, home, style)
    except (UnknownMetricError, DefinitionError, QuestionError, ConditionError) as err:
        return _refuse(str(err))
    except duckdb.CatalogException:
        return _refuse(f"gold.{found.mart.name} was not published yet. Run weir refresh first.")
    except duckdb.Error as err:
        return _refuse(str(err))
    return 0


def _refuse(text: str) -> int:
    console(stderr=True).print(f"weir metric: {lines_safe(text)}", soft_wrap=True)
    return 2


def question_of(registry: Registry, asked: Asked) -> Question:
    """Return the question that the words say; refuses what is not defined."""
    metric = registry.metric(asked.name)
    by = tuple(d.strip() for d in asked.by.split(",") if d.strip())
    for name in by:
        if name not in registry.dimensions or name in ("bucket", "measure"):
            raise QuestionError(
                f"--by {name!r} is no dimension; expected among "
                f"{', '.join(sorted(d for d in registry.dimensions if d not in GRAINS))}."
            )
    if len(set(by)) != len(by):
        raise QuestionError("--by names a dimension twice; expected each once.")
    if asked.grain not in (*GRAINS, "total"):
        raise QuestionError(
            f"--grain {asked.grain!r}; expected one of {', '.join(GRAINS)} or total."
        )
    if asked.against not in ("", "last-week", "others"):
        raise QuestionError(f"--against {asked.against!r}; expected last-week or others.")
    grain: Grain = asked.grain  # type: ignore[assignment]
    against: Against | None = asked.against or None  # type: ignore[assignment]
    return Question(
        metric,
        by,
        grain,
        parse(asked.where, registry.dimensions) if asked.where.strip() else None,
        _instant("--since", asked.since),
        _instant("--until", asked.until),
        against,
    )


def _instant(option: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as err:
        raise QuestionError(f"{option} {text!r}; expected e.g. 2026-11-16T10:00 (UTC).") from err
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _list(registry: Registry, style: str) -> None:
    rows = [
        (m.name, m.unit, m.formula, m.source, m.version, m.owner, describe(m))
        for m in registry.metrics.values()
    ]
    names = ("metric", "unit", "formula", "source", "definition_version", "owner", "definition")
    if style == "json":
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif style == "csv":
        print_csv(names, rows)
    else:
        out = console()
        out.print(table("Metrics", ("metric", "unit", "definition"), [
            (r[0], r[1], r[6]) for r in rows
        ]))  # fmt: skip
        out.print("Ask one: weir metric NAME --by cdn --grain hour", soft_wrap=True)


def _answer(found: Answerable, home: Path | None, style: str) -> None:
    connection = connect(load_settings(home=home))
    try:
        fresh = _row(connection, _FRESHNESS, [found.mart.family])
        result = connection.execute(found.sql)
        columns = [c[0] for c in result.description or []]
        rows = result.fetchall()
    finally:
        connection.close()
    if style == "json":
        print_json(
            {**facts(found.question.metric), "mart": f"gold.{found.mart.name}", "freshness": fresh,
             "sql": found.sql, "rows": [dict(zip(columns, r, strict=True)) for r in rows]}
        )  # fmt: skip
        return
    said = _said(found, fresh)
    if style == "csv":
        metric = found.question.metric
        print_csv(
            [*columns, "unit", "definition_version"],
            [[*row, metric.unit, metric.version] for row in rows],
        )
        console(stderr=True).print(said, soft_wrap=True)
        return
    out = console()
    out.print(table("", columns, [[_shown(v) for v in r] for r in rows[:_SHOWN]]))
    more = f" (showing {_SHOWN}; --csv for all)" if len(rows) > _SHOWN else ""
    out.print(f"{len(rows)} rows{more}\n\n{said}", soft_wrap=True)


def _row(connection: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> dict[str, Any]:
    result = connection.execute(sql, values)
    names = [c[0] for c in result.description or []]
    (row,) = result.fetchall()
    return dict(zip(names, row, strict=True))


def facts(metric: Metric) -> dict[str, Any]:
    """Return the definition of a metric as a document."""
    return {
        "metric": metric.name,
        "definition": describe(metric),
        "formula": metric.formula,
        "unit": metric.unit,
        "source": metric.source,
        "definition_version": metric.version,
        "history": [vars(c) for c in metric.history],
        "owner": metric.owner,
    }


def _said(found: Answerable, fresh: dict[str, Any]) -> str:
    metric = found.question.metric
    lines = [
        f"{metric.name} in {metric.unit}: {describe(metric)}",
        f"Version {metric.version} of the definition, {metric.source}, owner {metric.owner}.",
        *(f"Version {c.version}: {c.change} Old hours are {c.old_hours}." for c in metric.history),
        f"From gold.{found.mart.name}: release {safe(fresh['release_no'])} of "
        f"{safe(fresh['released_at'])}; newest {safe(fresh['newest'])}, "
        f"refreshed {safe(fresh['refreshed_at'])}.",
        "SQL, which `weir sql` takes as it is:",
        found.sql,
    ]
    return "\n".join(lines)


def _shown(value: object) -> object:
    return f"{value:,.6g}" if isinstance(value, float) else value
