"""weir rosetta: one word under every definition, side by side from the same rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import duckdb
import yaml

from lake.settings import load_settings
from orchestration.commands.output import console, lines_safe, print_json, table
from orchestration.commands.sql import connect
from orchestration.settings import DBT_PROJECT

DEFINITIONS = DBT_PROJECT / "rosetta.yaml"
_VALUES = """
select metric, definition, {cdn} as cdn,
    any_value(scale) * cast(sum(numerator) as double) / nullif(sum(denominator), 0) as value,
    cast(sum(numerator) as bigint) as numerator, cast(sum(denominator) as bigint) as denominator
from gold.rosetta_hourly group by all order by all
"""


def definitions() -> list[dict[str, str]]:
    """Return every definition with unit, source and what it says, in order."""
    found: list[dict[str, str]] = _text()["definitions"]
    return found


def _text() -> dict[str, Any]:
    text: dict[str, Any] = yaml.safe_load(DEFINITIONS.read_text(encoding="utf-8"))
    return text


def side_by_side(connection: duckdb.DuckDBPyConnection, *, by_cdn: bool) -> list[dict[str, Any]]:
    """Return each definition with its value, and its distance from ours."""
    sql = _VALUES.format(cdn="cdn" if by_cdn else "'all'")
    values = {(m, d, c): rest for m, d, c, *rest in connection.execute(sql).fetchall()}
    rows = []
    for one in definitions():
        for cdn in sorted({c for _, _, c in values}):
            value, numerator, denominator = values[one["metric"], one["definition"], cdn]
            ours = values[one["metric"], "weir", cdn][0]
            apart = None if value is None or ours is None else value - ours
            rows.append(
                {**one, "cdn": cdn, "value": value, "numerator": numerator,
                 "denominator": denominator, "difference_from_weir": apart}
            )  # fmt: skip
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return docs/metric-rosetta.md from the figures of all CDNs together."""
    text = _text()
    lines = [
        "# Metric Rosetta: one word, several definitions, the same rows",
        "",
        "<!-- Made by `weir rosetta --markdown` over simulated traffic (seed 7, 3 hours, 5,000 "
        "lines); a test compares. -->",
        "",
        text["intro"].strip(),
        "",
    ]
    for metric, why in text["why"].items():
        lines += [f"## {metric}", "", why.strip(), ""]
        lines += ["| definition | value | from ours | says | source |", "|---|---|---|---|---|"]
        lines += [
            f"| {r['definition']} | {_number(r['value'])} "
            f"| {_number(r['difference_from_weir'], '+')} | {r['says']} | {r['source']} |"
            for r in rows
            if r["metric"] == metric
        ]
        lines.append("")
    return "\n".join(lines)


def run(home: Path | None, *, by_cdn: bool, style: str) -> int:
    """Print the table, JSON or Markdown; 2 where nothing was published yet."""
    connection = connect(load_settings(home=home))
    try:
        rows = side_by_side(connection, by_cdn=by_cdn)
    except duckdb.CatalogException:
        console(stderr=True).print(
            "weir rosetta: gold.rosetta_hourly was not published yet. Run weir refresh first."
        )
        return 2
    except duckdb.Error as err:
        console(stderr=True).print(f"weir rosetta: {lines_safe(str(err))}")
        return 2
    finally:
        connection.close()
    if style == "json":
        print_json(rows)
        return 0
    if style == "markdown":
        sys.stdout.write(markdown(rows))
        return 0
    console().print(
        table(
            "The same rows under each definition",
            ("metric", "definition", "CDN", "value", "from ours", "says"),
            [
                (r["metric"], r["definition"], r["cdn"], _number(r["value"]),
                 _number(r["difference_from_weir"], "+"), r["says"])
                for r in rows
            ],
            (3, 4),
        )
    )  # fmt: skip
    return 0


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign},.4f}"
