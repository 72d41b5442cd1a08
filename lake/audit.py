"""The hand-over to an audit: what is judged, and what comes back.

The lake knows no rules. It hands staged, uncommitted deliveries to a callable and obeys its
verdicts; expectations/ supplies the callable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from lake.records import CHECK_RESULTS


class BrokenAuditError(RuntimeError):
    """An audit that judged nothing, or raised: blocks like a failed one."""


@dataclass(frozen=True)
class DeliverySubject:
    """One staged delivery, as an audit sees it.

    files: URIs of uncommitted Parquet files (schema of the bronze table); may be empty.
    lines = accepted + rejected + header + blank. reject_reasons counts rejected by reason.
    period: nominal, half-open, None where the name declares none.
    """

    delivery_id: str
    source: str
    table_name: str
    key: str
    files: tuple[str, ...]
    lines: int
    accepted: int
    rejected: int
    header: int
    blank: int
    reject_reasons: Mapping[str, int]
    period_start: datetime | None
    period_end: datetime | None


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one expectation for one subject; a row of ops.check_results."""

    layer: str
    suite: str
    check_name: str
    subject: str
    severity: str
    is_passed: bool
    observed: str | None
    expected: str | None


@dataclass(frozen=True)
class AuditReport:
    """What an audit found; `failures` maps each failed subject to its reasons."""

    results: tuple[CheckResult, ...]

    @property
    def failures(self) -> dict[str, str]:
        """Return the subjects that failed a critical check, each with the reasons."""
        found: dict[str, list[str]] = {}
        for r in self.results:
            if not r.is_passed and r.severity == "critical":
                found.setdefault(r.subject, []).append(
                    f"{r.check_name}: expected {r.expected}, found {r.observed}"
                )
        return {subject: "; ".join(reasons) for subject, reasons in found.items()}

    def require_judged(self, subjects: Sequence[str]) -> None:
        """Raise BrokenAuditError unless every subject got at least one result."""
        missing = sorted(set(subjects) - {r.subject for r in self.results})
        if missing:
            raise BrokenAuditError(
                f"the audit judged {len(set(subjects)) - len(missing)} of {len(set(subjects))} "
                f"subjects; expected all, missing {missing[:3]}. Nothing unjudged is let through: "
                "look at the suite's profile query."
            )


#: judges staged deliveries; must give at least one result for each
DeliveryAudit = Callable[[Sequence[DeliverySubject]], AuditReport]


def check_results_table(
    results: Sequence[CheckResult], run_id: str, checked_at: datetime
) -> pa.Table:
    """Return results as an Arrow table of ops.check_results' schema.

    run_id: batch, refresh or run that the checks belong to. checked_at: an aware instant.
    """
    if checked_at.tzinfo is None:
        raise ValueError(
            f"checked_at {checked_at.isoformat()} has no time zone; expected an aware instant. "
            "Pass the run's clock in UTC."
        )
    instant = checked_at.astimezone(UTC)
    rows = [
        {
            "checked_at": instant,
            "run_id": run_id,
            "layer": r.layer,
            "suite": r.suite,
            "check_name": r.check_name,
            "subject": r.subject,
            "severity": r.severity,
            "is_passed": r.is_passed,
            "observed": r.observed,
            "expected": r.expected,
        }
        for r in results
    ]
    return pa.Table.from_pylist(rows, schema=CHECK_RESULTS.arrow)
