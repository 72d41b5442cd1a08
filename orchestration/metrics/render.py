"""What is generated from the registry: contracts of marts, semantic models, the page of metrics.

Run `python -m orchestration.metrics.render` after a change of dbt_project/definitions; a test holds
the files to it. Belongs here: text made of definitions. Does not: the definitions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestration.metrics.registry import Mart, Measure, Metric, Registry, load_registry
from orchestration.settings import DBT_PROJECT, PROJECT

_MADE = (
    "# Generated from dbt_project/definitions by `python -m orchestration.metrics.render`.\n"
    "# Change the definitions, not this file.\n"
)
#: the marts whose measures carry a metric's plain name in MetricFlow, with the suffix of the others
_SUFFIX = {"qos_5m": "", "qos_places_hourly": "_by_place", "streams_hourly": "_by_stream"}
_NOT_NULL = [{"type": "not_null"}]


def files(registry: Registry) -> dict[Path, str]:
    """Return every generated file with its text."""
    models = DBT_PROJECT / "models"
    return {
        models / "marts" / "metrics" / "_qos.yml": _MADE + _yaml({"models": contracts(registry)}),
        models / "semantic" / "_semantic.yml": _MADE + _yaml(semantic(registry)),
        PROJECT / "docs" / "metrics.md": page(registry),
    }


def contracts(registry: Registry) -> list[dict[str, Any]]:
    """Return the dbt properties of the marts of definitions."""
    made = [_contract(registry, m) for m in registry.marts.values() if m.is_generated]
    five = registry.marts["qos_5m"]
    inner = {
        "name": "int_cdn__traffic_5m",
        "description": (
            "Viewer traffic of the requested hours by five minutes, CDN, edge location and "
            "customer, counted once: traffic_5m, qos_5m and qos_hourly read it, so that their "
            "sums agree."
        ),
        "columns": [
            {"name": c["name"], "description": c["description"]}
            for c in _contract(registry, five)["columns"]
        ],
    }
    return [inner, *made]


def _contract(registry: Registry, mart: Mart) -> dict[str, Any]:
    period = {"slot_start": "hour_column", "hour": "hour_column", "day": "day_column"}[mart.time]
    columns: list[dict[str, Any]] = [
        {
            "name": name,
            "description": registry.dimensions[name].means,
            "data_type": registry.dimensions[name].type,
            "constraints": _NOT_NULL,
        }
        for name in mart.grain
    ]
    for name in mart.measures:
        one = registry.measures[name]
        columns.append(
            {
                "name": name,
                "description": _sentence(_rows_in(one, mart)),
                "data_type": one.type,
                "constraints": _NOT_NULL,
                "config": {"meta": {"unit": one.unit, "definition_version": one.version}},
            }
        )
    columns += [
        {
            "name": column.name,
            "description": column.means,
            "data_type": column.type,
            **({} if column.is_nullable else {"constraints": _NOT_NULL}),
            "config": {"meta": {"unit": column.unit, "definition_version": column.version}},
        }
        for column in mart.columns
    ]
    return {
        "name": mart.name,
        "description": f"{mart.means} Source: {mart.made_from}.",
        "config": {"contract": {"enforced": True}},
        "data_tests": [
            {
                "grain_is_unique": {
                    "name": f"{mart.name}_grain_is_unique",
                    "arguments": {"columns": list(mart.grain), period: mart.time},
                }
            }
        ],
        "columns": columns,
    }


def _rows_in(measure: Measure, mart: Mart) -> str:
    if mart.has_buckets:
        return "viewer requests in the bucket; those that ttfb_count or throughput_count counts"
    return measure.rows


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def semantic(registry: Registry) -> dict[str, Any]:
    """Return semantic models and metrics as MetricFlow reads them.

    A percentile of buckets, a rate and a peak have no type there: those are asked by `weir metric`
    under the same definition.
    """
    models = [_semantic_model(registry, m) for m in registry.marts.values() if not m.has_buckets]
    metrics = [
        _semantic_metric(metric, mart)
        for mart in registry.marts.values()
        if mart.family != "rollup" and not mart.has_buckets
        for metric in registry.metrics.values()
        if metric.kind in ("sum", "ratio", "complement")
        and set(metric.terms.values()) <= set(mart.measures)
    ]
    return {"semantic_models": models, "metrics": metrics}


def _semantic_model(registry: Registry, mart: Mart) -> dict[str, Any]:
    grain = {"slot_start": "minute", "hour": "hour", "day": "day", "month": "month"}[mart.time]
    return {
        "name": mart.name,
        "model": f"ref('{mart.name}')",
        "description": mart.means,
        "defaults": {"agg_time_dimension": "event_time"},
        "primary_entity": f"{mart.name}_group",
        "dimensions": [
            {
                "name": "event_time",
                "type": "time",
                "expr": mart.time,
                "type_params": {"time_granularity": grain},
            },
            *({"name": d, "type": "categorical"} for d in mart.grain[1:]),
        ],
        "measures": [
            {
                "name": f"{name}_of_{mart.name}",
                "agg": "sum",
                "expr": registry.measures[name].sql_name,
                "description": _sentence(registry.measures[name].rows),
            }
            for name in mart.measures
        ],
    }


def _semantic_metric(metric: Metric, mart: Mart) -> dict[str, Any]:
    suffix = _SUFFIX.get(mart.name, "")
    base: dict[str, Any] = {
        "name": f"{metric.name}{suffix}",
        "label": f"{metric.name}{suffix}",
        "description": describe(metric),
        "config": {
            "meta": {
                "unit": metric.unit,
                "formula": metric.formula,
                "source": metric.source,
                "definition_version": metric.version,
                "owner": metric.owner,
                "mart": mart.name,
            }
        },
    }
    if metric.kind == "sum":
        measure = f"{metric.terms['amount']}_of_{mart.name}"
        return base | {"type": "simple", "type_params": {"measure": measure}}
    part, whole = f"{metric.terms['numerator']}{suffix}", f"{metric.terms['denominator']}{suffix}"
    if metric.kind == "ratio" and metric.scale == 1:
        return base | {
            "type": "ratio",
            "type_params": {"numerator": part, "denominator": whole},
        }
    quotient = f"cast({part} as double) / nullif({whole}, 0)"
    expr = f"1 - {quotient}" if metric.kind == "complement" else f"{metric.scale} * {quotient}"
    return base | {
        "type": "derived",
        "type_params": {"expr": expr, "metrics": [{"name": part}, {"name": whole}]},
    }


def describe(metric: Metric) -> str:
    """Return what a metric means, in a sentence or two."""
    if metric.kind == "sum":
        return _sentence(metric.rows)
    return f"{metric.formula}. {metric.note}".strip()


def page(registry: Registry) -> str:
    """Return docs/metrics.md."""
    lines = [
        "# Metrics: one definition each",
        "",
        "<!-- Generated from dbt_project/definitions: python -m orchestration.metrics.render -->",
        "",
        "`weir metric NAME` asks any of these by any dimension of its marts and prints the "
        "definition, the unit, how fresh the numbers are and the SQL. Ratios are sums divided "
        "once; percentiles are read from merged buckets, within 1 % of the nearest rank. Counts "
        "are weighted by sampling. A group with fewer than 100 in the denominator is marked small.",
        "",
    ]
    owners = sorted({m.owner for m in registry.metrics.values()})
    for owner in owners:
        lines += [f"## {owner}", ""]
        lines += _table(
            ("metric", "unit", "formula", "which rows, and notes", "source", "version"),
            (
                (f"`{m.name}`", m.unit, f"`{m.formula}`", _rows_of(registry, m), m.source,
                 str(m.version))
                for m in registry.metrics.values()
                if m.owner == owner
            ),
        )  # fmt: skip
    lines += ["## Marts", ""]
    lines += _table(
        ("mart", "one row per", "made from", "what for"),
        (
            (f"`{m.name}`", ", ".join(m.grain), m.made_from, m.means)
            for m in registry.marts.values()
        ),
    )
    lines += ["## Changed definitions", ""]
    changed = [
        (f"`{m.name}`", str(c.version), c.change, c.old_hours)
        for m in registry.metrics.values()
        for c in m.history
    ]
    lines += _table(("metric", "version", "what changed", "hours computed before"), changed)
    return "\n".join(lines)


def _rows_of(registry: Registry, metric: Metric) -> str:
    if metric.kind == "sum":
        return metric.rows
    terms = [f"{t.name}: {t.rows}" for t in registry.terms_of(metric)]
    return ". ".join([*([metric.note.rstrip(".")] if metric.note else []), *terms])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
    return [*lines, ""]


class _Dumper(yaml.SafeDumper):
    """Writes every list out; repeated objects are not made into anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return that nothing is an alias."""
        del data
        return True


def _yaml(data: Mapping[str, Any]) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return text


def main() -> None:
    """Write the generated files."""
    for path, text in files(load_registry()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
