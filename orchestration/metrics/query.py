"""A question about a metric, as SQL over the published marts.

Belongs here: which mart answers, and the SQL. Does not: what a metric is (registry), conditions
(where), running it (orchestration.commands.metric). Names in the SQL come from the definitions and
values are quoted; percentiles come from the macro that the marts use, read from the dbt project.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

import jinja2

from lake.reads import quote_identifier, quote_literal
from orchestration.metrics.registry import SMALL_BELOW, TIMES, Mart, Metric, Registry
from orchestration.metrics.where import Condition
from orchestration.settings import DBT_PROJECT

Grain = Literal["5m", "hour", "day", "month", "total"]
Against = Literal["last-week", "others"]
GRAINS: dict[Grain, int] = {"5m": 300, "hour": 3600, "day": 86_400, "month": TIMES["month"]}
_WEEK = timedelta(days=7)


class QuestionError(ValueError):
    """A question that no mart answers; the message says what can be asked."""


@dataclass(frozen=True)
class Question:
    """What is asked: a metric by dimensions and grain, over [since, until), where a condition."""

    metric: Metric
    by: tuple[str, ...] = ()
    grain: Grain = "total"
    where: Condition | None = None
    since: datetime | None = None
    until: datetime | None = None
    against: Against | None = None


@dataclass(frozen=True)
class Answerable:
    """A question with the mart that answers it and the SQL."""

    question: Question
    mart: Mart
    sql: str


def answerable(registry: Registry, question: Question) -> Answerable:
    """Return the SQL of a question over the coarsest mart that can answer it."""
    _judge(question)
    mart = _choose(registry, question)
    return Answerable(question, mart, _Sql(registry, question, mart).text())


def _judge(question: Question) -> None:
    if question.against == "others" and "cdn" not in question.by:
        raise QuestionError("--against others compares CDNs; expected cdn in --by.")
    if question.against == "last-week" and question.grain not in ("5m", "hour", "day"):
        raise QuestionError(
            f"--against last-week needs a grain that a week is made of; found {question.grain}, "
            "expected --grain 5m, hour or day."
        )
    if question.since and question.until and question.until <= question.since:
        raise QuestionError("--until is not after --since; expected a half-open interval.")
    if question.metric.kind == "rate" and question.grain == "total":
        if question.since is None or question.until is None:
            raise QuestionError(
                f"{question.metric.name} is per second; expected --grain, or --since and --until."
            )
        return


def _choose(registry: Registry, question: Question) -> Mart:
    wanted = set(question.by) | (question.where.names if question.where else set())
    able = [m for m in registry.marts.values() if _holds(m, question.metric)]
    fitting = [
        m
        for m in able
        if wanted <= set(m.grain[1:])
        and m.seconds <= GRAINS.get(question.grain, TIMES["month"])
        and all(_lies_on(m, t) for t in (question.since, question.until))
    ]
    if not fitting:
        ways = "; ".join(f"{', '.join(m.grain[1:])} by {m.time}" for m in able)
        raise QuestionError(
            f"no mart has {question.metric.name} by {', '.join(sorted(wanted)) or 'nothing'} at "
            f"grain {question.grain} between the given instants; expected among: {ways or 'none'}."
        )
    return min(fitting, key=lambda m: (-m.seconds, len(m.grain)))


def _holds(mart: Mart, metric: Metric) -> bool:
    if metric.kind == "percentile":
        return mart.has_buckets
    if mart.has_buckets or (metric.kind == "peak_rate" and mart.seconds != GRAINS["5m"]):
        return False
    return set(metric.terms.values()) <= set(mart.measures)


def _lies_on(mart: Mart, instant: datetime | None) -> bool:
    if instant is None:
        return True
    if mart.time == "month":
        return instant == instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return instant.timestamp() % mart.seconds == 0


@dataclass(frozen=True)
class _Sql:
    """The SQL of one question over one mart."""

    registry: Registry
    question: Question
    mart: Mart

    def text(self) -> str:
        """Return the whole query."""
        against = self.question.against
        if against is None:
            return f"{self._answer(self._rows())}\norder by {self._order()}"
        other = self._rows(_WEEK) if against == "last-week" else self._others()
        keys = self._keys()
        joined = " and ".join(f"ours.{k} is not distinct from other.{k}" for k in keys) or "true"
        name = quote_identifier(self.question.metric.name)
        label = "last_week" if against == "last-week" else "other_cdns"
        small = ""
        if self._count():
            both = f"ours.n < {SMALL_BELOW} or coalesce(other.n, 0) < {SMALL_BELOW}"
            small = f",\n    ours.n, coalesce(other.n, 0) as n_{label}, {both} as is_small"
        listed = "".join(f"ours.{k}, " for k in keys)
        return (
            f"with ours as (\n{self._answer(self._rows())}\n), other as (\n"
            f"{self._answer(other)}\n)\n"
            f"select {listed}ours.{name}, other.{name} as {label},\n"
            f"    ours.{name} - other.{name} as difference{small}\n"
            f"from ours left join other on {joined}\norder by {self._order()}"
        )

    def _order(self) -> str:
        return ", ".join(str(i + 1) for i in range(len(self._keys()))) or "1"

    def _keys(self) -> list[str]:
        period = ["period"] if self.question.grain != "total" else []
        return [*period, *(quote_identifier(d) for d in self.question.by)]

    def _rows(self, later: timedelta = timedelta(0)) -> str:
        """Return the rows of the mart that are asked for; `later`: rows of that much earlier."""
        time = quote_identifier(self.mart.time)
        shown = f"{time} + interval '{later.days} days'" if later else time
        conditions = [self.question.where.sql] if self.question.where else []
        for instant, sign in ((self.question.since, ">="), (self.question.until, "<")):
            if instant is not None:
                conditions.append(f"{time} {sign} {self._literal(instant - later)}")
        if self.question.metric.kind == "percentile":
            conditions.append(f"measure = {quote_literal(self.question.metric.terms['measure'])}")
            if self.question.metric.only:
                conditions.append(self.question.metric.only)
        period = ""
        if self.question.grain != "total":
            unit = "minute" if self.question.grain == "5m" else self.question.grain
            period = f", date_trunc('{unit}', {shown}) as period"
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"select *{period} from gold.{self.mart.name}{where}"

    def _others(self) -> str:
        """Return for each CDN the rows of all others, under its name."""
        rows = self._rows()
        return (
            "select rows.* exclude (cdn), cdns.cdn from "
            f"({rows}) as rows join (select distinct cdn from ({rows})) as cdns "
            "on rows.cdn <> cdns.cdn"
        )

    def _literal(self, instant: datetime) -> str:
        if self.mart.time == "month":
            return f"date '{instant.date().isoformat()}'"
        return f"timestamptz '{instant.astimezone(UTC).isoformat()}'"

    def _count(self) -> str:
        """Return the count that tells a small group; none for plain sums."""
        terms = self.question.metric.terms
        if self.question.metric.kind in ("ratio", "complement"):
            return terms.get("count", terms["denominator"])
        return "n" if self.question.metric.kind == "percentile" else ""

    def _answer(self, rows: str) -> str:
        """Return the metric by the keys, from rows of the mart."""
        metric, keys = self.question.metric, self._keys()
        if metric.kind == "percentile":
            inner = _macros().bucket_percentiles(
                f"({rows}) as chosen", keys, {metric.name: metric.percent}, "n"
            )
            listed = "".join(f"{k}, " for k in keys)
            return (
                f"select {listed}{quote_identifier(metric.name)}, n, n < {SMALL_BELOW} as is_small "
                f"from (\n{inner}\n) as found"
            )
        listed = "".join(f"{k}, " for k in keys)
        grouped = f"\ngroup by {', '.join(keys)}" if keys else ""
        name = quote_identifier(metric.name)
        small = ""
        if self._count():
            n = f"cast(sum({self._count()}) as bigint)"
            small = f", {n} as n, {n} < {SMALL_BELOW} as is_small"
        source = f"({rows}) as chosen"
        if metric.kind == "peak_rate":
            slot = quote_identifier(self.mart.time)
            inside = ", ".join([*keys, slot])
            source = (
                f"(select {inside}, sum({metric.terms['amount']}) as amount "
                f"from {source} group by {inside}) as slots"
            )
        return f"select {listed}{self._value()} as {name}{small}\nfrom {source}{grouped}"

    def _value(self) -> str:
        metric = self.question.metric
        part, whole = metric.terms.get("numerator", ""), metric.terms.get("denominator", "")
        quotient = f"cast(sum({part}) as double) / nullif(sum({whole}), 0)"
        if metric.kind == "ratio":
            return quotient if metric.scale == 1 else f"{metric.scale} * {quotient}"
        if metric.kind == "complement":
            return f"1 - {quotient}"
        if metric.kind == "peak_rate":
            return f"max(cast(amount as double)) * 8 / {GRAINS['5m']}"
        measure = self.registry.measures[metric.terms["amount"]]
        total = f"cast(sum({quote_identifier(measure.sql_name)}) as {measure.type})"
        if metric.kind == "sum":
            return total
        return f"cast({total} as double) * 8 / {self._seconds()}"

    def _seconds(self) -> str:
        question = self.question
        if question.grain == "total" and question.since and question.until:
            return str(int((question.until - question.since).total_seconds()))
        if question.grain == "month":
            return "epoch(period + interval '1 month' - period)"
        return str(GRAINS[question.grain])


@cache
def _macros() -> Any:
    """Return the macros of buckets, as dbt compiles them into the marts."""
    text = (DBT_PROJECT / "macros" / "buckets.sql").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=False).from_string(text).module  # noqa: S701 (SQL)
