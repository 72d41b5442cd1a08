"""The registry of definitions: dbt_project/definitions/*.yaml, read and judged.

Belongs here: what a measure, metric, dimension and mart of definitions are, and refusing a file
that contradicts itself. Does not: what is generated from them (render), or asking them (query).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from orchestration.settings import DBT_PROJECT

FOLDER = DBT_PROJECT / "definitions"
Kind = Literal["sum", "ratio", "complement", "percentile", "rate", "peak_rate"]
KINDS = ("sum", "ratio", "complement", "percentile", "rate", "peak_rate")
#: the columns that say when, with the seconds they are apart
TIMES: Mapping[str, int] = {"slot_start": 300, "hour": 3600, "day": 86_400, "month": 2_592_000}
#: groups with fewer in the denominator are marked: one request more or less moves them visibly
SMALL_BELOW = 100
T = TypeVar("T")


class DefinitionError(ValueError):
    """A definition that cannot stand; the message names file, entry and remedy."""


class UnknownMetricError(LookupError):
    """A metric that is not defined; the message names the nearest ones."""


@dataclass(frozen=True)
class Change:
    """One raise of a version: what changed, and what became of hours computed before."""

    version: int
    change: str
    old_hours: str


@dataclass(frozen=True)
class Measure:
    """An additive column of marts."""

    name: str
    unit: str
    rows: str
    source: str
    version: int
    history: tuple[Change, ...] = ()
    is_metric: bool = True
    type: str = "bigint"
    #: the column where it is not the name
    column: str = ""

    @property
    def sql_name(self) -> str:
        """Return its column."""
        return self.column or self.name


@dataclass(frozen=True)
class Metric:
    """One metric, one definition. `terms` are the measures it is made of, by role."""

    name: str
    kind: Kind
    unit: str
    source: str
    version: int
    owner: str
    terms: Mapping[str, str]
    rows: str
    note: str = ""
    scale: int = 1
    percent: int = 0
    only: str = ""
    history: tuple[Change, ...] = ()

    @property
    def formula(self) -> str:
        """Return the formula as people read it."""
        part, whole = self.terms.get("numerator", ""), self.terms.get("denominator", "")
        if self.kind == "sum":
            return f"sum({self.terms['amount']})"
        if self.kind == "ratio":
            scaled = f"{self.scale} * " if self.scale != 1 else ""
            return f"{scaled}sum({part}) / sum({whole})"
        if self.kind == "complement":
            return f"1 - sum({part}) / sum({whole})"
        if self.kind == "rate":
            return f"sum({self.terms['amount']}) * 8 / seconds of the grain"
        if self.kind == "peak_rate":
            return f"max over five minutes of sum({self.terms['amount']}) * 8 / 300"
        of = f" where {self.only}" if self.only else ""
        return (
            f"value of rank ceil({self.percent} n / 100) of {self.terms['measure']}{of}, from "
            "buckets, within 1 %"
        )


@dataclass(frozen=True)
class Dimension:
    """A column that groups."""

    name: str
    type: str
    means: str


@dataclass(frozen=True)
class Column:
    """A column of a mart that no metric is made of."""

    name: str
    type: str
    unit: str
    version: int
    means: str
    is_nullable: bool


@dataclass(frozen=True)
class Mart:
    """A table of definitions: its grain and the measures in it."""

    name: str
    means: str
    grain: tuple[str, ...]
    measures: tuple[str, ...]
    made_from: str
    family: str
    is_generated: bool
    columns: tuple[Column, ...] = field(default=())

    @property
    def time(self) -> str:
        """Return the column that says when."""
        return self.grain[0]

    @property
    def seconds(self) -> int:
        """Return how far apart its times are."""
        return TIMES[self.time]

    @property
    def has_buckets(self) -> bool:
        """Tell whether it counts in buckets."""
        return "bucket" in self.grain


@dataclass(frozen=True)
class Registry:
    """All definitions."""

    measures: Mapping[str, Measure]
    metrics: Mapping[str, Metric]
    dimensions: Mapping[str, Dimension]
    marts: Mapping[str, Mart]

    def metric(self, name: str) -> Metric:
        """Return a metric; an unknown name is refused with the nearest ones."""
        if name in self.metrics:
            return self.metrics[name]
        near = difflib.get_close_matches(name, self.metrics, n=3, cutoff=0.4)
        said = f"nearest: {', '.join(near)}" if near else "none is near"
        raise UnknownMetricError(
            f"metric {name!r} is not defined; {said}. `weir metric` lists all {len(self.metrics)}."
        )

    def terms_of(self, metric: Metric) -> list[Measure]:
        """Return the measures of a metric."""
        return [self.measures[t] for t in metric.terms.values() if t in self.measures]


@cache
def load_registry(folder: Path = FOLDER) -> Registry:
    """Read every file of definitions; names are unique over all of them."""
    measures: dict[str, Measure] = {}
    metrics: dict[str, Metric] = {}
    dimensions: dict[str, Dimension] = {}
    marts: dict[str, Mart] = {}
    for path in sorted(folder.glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        _add(path, measures, {n: _measure(path, n, d) for n, d in data["measures"].items()})
        _add(path, dimensions, {n: Dimension(n, **d) for n, d in data["dimensions"].items()})
        own = {n: _metric(path, n, d, data["owner"]) for n, d in data["metrics"].items()}
        sums = {
            n: _sum(measures[n], data["owner"]) for n in data["measures"] if measures[n].is_metric
        }
        _add(path, metrics, sums)
        _add(path, metrics, own)
        _add(path, marts, {n: _mart(n, d, data["family"]) for n, d in data["marts"].items()})
    found = Registry(measures, metrics, dimensions, marts)
    _judge(found)
    return found


def _add(path: Path, known: dict[str, T], more: Mapping[str, T]) -> None:
    for name, one in more.items():
        if name in known and known[name] != one:
            raise DefinitionError(
                f"{path}: {name} is defined twice; expected one definition. Rename one of them."
            )
        known[name] = one


def _history(path: Path, name: str, data: Mapping[str, Any]) -> tuple[Change, ...]:
    found = tuple(Change(**c) for c in data.get("history") or [])
    told = [c.version for c in found]
    version = data["version"]
    if told != list(range(2, version + 1)):
        raise DefinitionError(
            f"{path}: {name}: version {version} with a history of {told}; expected an entry for "
            "each version from 2. Say what changed and what became of old hours."
        )
    for one in found:
        if one.old_hours not in ("rebuilt", "marked"):
            raise DefinitionError(
                f"{path}: {name}: old_hours is {one.old_hours!r}; expected rebuilt or marked."
            )
    return found


def _measure(path: Path, name: str, data: Mapping[str, Any]) -> Measure:
    return Measure(
        name,
        str(data["unit"]),
        str(data["rows"]),
        str(data["source"]),
        int(data["version"]),
        _history(path, name, data),
        is_metric=bool(data.get("metric", True)),
        type=str(data.get("type", "bigint")),
        column=str(data.get("column", "")),
    )


def _sum(measure: Measure, owner: str) -> Metric:
    return Metric(
        measure.name, "sum", measure.unit, measure.source, measure.version, owner,
        {"amount": measure.name}, measure.rows, history=measure.history,
    )  # fmt: skip


def _metric(path: Path, name: str, data: Mapping[str, Any], owner: str) -> Metric:
    kind = data["kind"]
    if kind not in KINDS:
        raise DefinitionError(f"{path}: {name}: kind {kind!r}; expected one of {', '.join(KINDS)}.")
    roles = ("numerator", "denominator", "amount", "measure", "count")
    return Metric(
        name,
        kind,
        str(data["unit"]),
        str(data["source"]),
        int(data["version"]),
        owner,
        {role: str(data[role]) for role in roles if role in data},
        "",
        str(data.get("note", "")),
        int(data.get("scale", 1)),
        int(data.get("percent", 0)),
        str(data.get("only", "")),
        _history(path, name, data),
    )


def _mart(name: str, data: Mapping[str, Any], family: str) -> Mart:
    columns = data.get("columns") or {}
    return Mart(
        name,
        str(data["means"]),
        tuple(data["grain"]),
        tuple(data["measures"]),
        str(data["from"]),
        str(data.get("family", family)),
        bool(data.get("generated", True)),
        tuple(
            Column(n, c["type"], c["unit"], c["version"], c["means"], bool(c.get("nullable")))
            for n, c in columns.items()
        ),
    )


def _judge(found: Registry) -> None:
    """Refuse what names something that is not there."""
    for metric in found.metrics.values():
        _known(metric.name, found.measures, [
            t for role, t in metric.terms.items() if role != "measure"
        ])  # fmt: skip
    for mart in found.marts.values():
        _known(mart.name, found.measures, mart.measures)
        _known(mart.name, found.dimensions, mart.grain)
        if mart.time not in TIMES:
            raise DefinitionError(
                f"mart {mart.name}: its grain begins with {mart.time}; expected one of "
                f"{', '.join(TIMES)} first."
            )


def _known(name: str, known: Mapping[str, object], wanted: Iterable[str]) -> None:
    for one in wanted:
        if one not in known:
            raise DefinitionError(
                f"{name} names {one}, which is not defined; expected one of "
                f"{', '.join(sorted(known))}. Define it or correct the name."
            )
