"""Freshness objectives, and whether feeds and marts keep them.

Belongs here: the promised ages and their judgement, in plain Python: a sensor asks every minute,
and one comparison does not need an expectations engine. Does not: alerts or error budgets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from expectations.rules import Severity, SuiteName, validated
from lake.audit import AuditReport, BrokenAuditError, CheckResult

SLA_FILE = Path(__file__).parent / "sla.yaml"


class Objective(BaseModel):
    """The newest event is at most `max_age_minutes` old, inclusive."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_age_minutes: Annotated[float, Field(gt=0)]
    owner: Annotated[str, Field(pattern=r"^[a-z]+:[a-z0-9_-]+$")]
    severity: Severity
    description: Annotated[str, Field(min_length=10)]


class SlaTable(BaseModel):
    """Objectives by feed or mart; `unlisted` holds for names without one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_ahead_minutes: Annotated[float, Field(ge=0)]
    objectives: Annotated[dict[SuiteName, Objective], Field(min_length=1)]
    unlisted: Objective

    def of(self, name: str) -> Objective:
        """Return the objective that a feed or mart is held to."""
        return self.objectives.get(name, self.unlisted)


@cache
def load_sla(path: Path = SLA_FILE) -> SlaTable:
    """Return the objectives, read once per process."""
    return validated(SlaTable, path)


def _judge_one(name: str, newest: datetime | None, now: datetime, table: SlaTable) -> CheckResult:
    objective = table.of(name)
    oldest = timedelta(minutes=objective.max_age_minutes)
    ahead = timedelta(minutes=table.max_ahead_minutes)
    if newest is not None and newest.tzinfo is None:
        raise BrokenAuditError(
            f"the newest instant of {name} has no time zone; expected an aware one in UTC."
        )
    age = None if newest is None else now - newest
    return CheckResult(
        layer="sla",
        suite="freshness",
        check_name="newest_is_fresh",
        subject=name,
        severity=objective.severity,
        is_passed=age is not None and -ahead <= age <= oldest,
        observed="never delivered" if age is None else f"{age / timedelta(minutes=1):.2f} min old",
        expected=f"between {-table.max_ahead_minutes:g} and {objective.max_age_minutes:g} min old",
    )


def judge_freshness(
    latest: Mapping[str, datetime | None],
    now: datetime,
    *,
    names: Sequence[str] | None = None,
    sla_file: Path = SLA_FILE,
) -> AuditReport:
    """Judge the age of the newest event of each feed or mart, both ends inclusive.

    latest: name -> newest accepted event or start of the newest published hour; None or absent:
    never delivered, which fails. names: what to judge; by default everything with an objective
    and everything in `latest`.
    """
    table = load_sla(sla_file)
    if now.tzinfo is None:
        raise BrokenAuditError("now has no time zone; expected an aware instant. Pass UTC.")
    wanted = sorted({*table.objectives, *latest} if names is None else set(names))
    if not wanted:
        raise BrokenAuditError("no feed to judge; expected at least one name.")
    report = AuditReport(tuple(_judge_one(n, latest.get(n), now, table) for n in wanted))
    report.require_judged(wanted)
    return report
