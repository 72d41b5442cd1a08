"""Audits: what lake/ and orchestration/ call. Every way of not judging blocks like a failure.

Belongs here: putting profile, suite and judge together, failing closed. Does not: rules, SQL or
what a verdict leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from pyiceberg.types import NestedField

from expectations.declared import declared_columns, declared_suite, watched_columns
from expectations.deliveries import Connect, connect_memory, profile_deliveries
from expectations.judge import judge
from expectations.profiles import (
    MART_TABLES,
    Family,
    ProfileRow,
    profile_days,
    profile_hours,
    profile_months,
)
from expectations.rules import DELIVERIES_FILE, MARTS_FILE, load_rules
from lake.audit import AuditReport, BrokenAuditError, CheckResult, DeliveryAudit, DeliverySubject
from lake.source import Source

_PROFILES = {"billing": "months.billing", "rollup": "days.rollup"}


@contextmanager
def _fail_closed(what: str) -> Iterator[None]:
    """Turn whatever goes wrong into a BrokenAuditError; its text holds names only.

    Messages of DuckDB and GX quote values of the data, so they stay in the chained cause.
    """
    try:
        yield
    except BrokenAuditError:
        raise
    # an audit that raised must block whatever it raised: this is the one place to catch it all
    except Exception as error:
        raise BrokenAuditError(
            f"the audit of {what} raised {type(error).__name__}; expected a verdict. Nothing "
            "unjudged is let through: see the chained error, mend its cause and run again."
        ) from error


def _require_unique(subjects: Sequence[str], what: str) -> None:
    if not subjects:
        raise BrokenAuditError(
            f"the audit of {what} was given no subjects; expected at least one. Do not ask for "
            "a verdict on nothing."
        )
    if len(set(subjects)) != len(subjects):
        raise BrokenAuditError(
            f"the audit of {what} was given {len(subjects)} subjects, {len(set(subjects))} of "
            "them different; expected each once. Remove the repetitions."
        )


def _report(
    layer: str, rules_file: Path, profile: str, rows: Sequence[ProfileRow], subjects: Sequence[str]
) -> AuditReport:
    """Judge profile rows and require a result of every suite for every subject."""
    suites = load_rules(rules_file).of_profile(profile)
    report = AuditReport(judge(layer, suites, rows) if rows else ())
    report.require_judged(subjects)
    expected = sum(len(s.rules) for s in suites) * len(subjects)
    if len(report.results) != expected:
        raise BrokenAuditError(
            f"profile {profile} gave {len(report.results)} results; expected {expected}, one per "
            "rule and subject. Look at expectations/judge.py."
        )
    return report


def delivery_audit(
    fields_by_table: Mapping[str, Sequence[NestedField]],
    *,
    connect: Connect = connect_memory,
    rules_file: Path = DELIVERIES_FILE,
    sources: Mapping[str, Source] | None = None,
) -> DeliveryAudit:
    """Return the audit that lake/ runs on staged deliveries.

    sources: by name; what they declare of their values is judged besides the rules of the file.

    fields_by_table: bronze table -> Iceberg fields of its schema. connect: DuckDB connection that
    can open the staged URIs (the caller registers a file system for S3).
    """

    def audit(subjects: Sequence[DeliverySubject]) -> AuditReport:
        with _fail_closed("staged deliveries"):
            _require_unique([s.delivery_id for s in subjects], "staged deliveries")
            by_table: dict[str, list[DeliverySubject]] = {}
            for subject in subjects:
                by_table.setdefault(subject.table_name, []).append(subject)
            unknown = sorted(set(by_table) - set(fields_by_table))
            if unknown:
                raise BrokenAuditError(
                    f"no schema for tables {unknown}; expected one of {sorted(fields_by_table)}. "
                    "Give delivery_audit the fields of every bronze table."
                )
            results: list[CheckResult] = []
            for table, alike in by_table.items():
                given = {s: d for s in {one.source for one in alike}
                         if (d := (sources or {}).get(s)) is not None}  # fmt: skip
                columns, watched = (
                    sorted({c for d in given.values() for c in which(d)})
                    for which in (declared_columns, watched_columns)
                )
                rows = profile_deliveries(
                    table, fields_by_table[table], alike, connect, columns, watched
                )
                ids = [s.delivery_id for s in alike]
                results += _report("delivery", rules_file, table, rows, ids).results
                for name, source in sorted(given.items()):
                    results += _as_declared(source, [r for r in rows if r.source == name])
            return AuditReport(tuple(results))

    return audit


def _as_declared(source: Source, rows: Sequence[ProfileRow]) -> tuple[CheckResult, ...]:
    """Judge deliveries of a source by what its file implies."""
    suite = declared_suite(source)
    if suite is None:
        return ()
    found = judge("delivery", [suite], rows)
    if len(found) != len(rows) * len(suite.rules):
        raise BrokenAuditError(
            f"the declared rules of source {source.name} gave {len(found)} results; expected "
            f"{len(rows) * len(suite.rules)}, one per rule and delivery. Look at "
            "expectations/judge.py."
        )
    return found


@contextmanager
def _build_file(path: Path, tables: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open dbt's build file read-only, briefly, and require its marts."""
    if not path.is_file():
        raise BrokenAuditError(
            "dbt's build file is missing; expected it where the refresh wrote it. Run the "
            "refresh of these partitions again."
        )
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
        missing = sorted(set(tables) - {str(name) for (name,) in found})
        if missing:
            raise BrokenAuditError(
                f"dbt's build file lacks the marts {missing}; expected {list(tables)}. Build "
                "them before they are judged."
            )
        yield connection


def _audit_marts(
    build_file: Path,
    family: str,
    subjects: Sequence[str],
    measure: Callable[[duckdb.DuckDBPyConnection], tuple[ProfileRow, ...]],
    rules_file: Path,
) -> AuditReport:
    profile = _PROFILES.get(family, f"hours.{family}")
    _require_unique(subjects, f"{profile} marts")
    with _build_file(build_file, MART_TABLES[family]) as connection:
        rows = measure(connection)
    return _report("mart", rules_file, profile, rows, subjects)


def _hour_subject(hour: datetime) -> str:
    if hour.tzinfo is None:
        raise BrokenAuditError(f"hour {hour.isoformat()} has no time zone; expected UTC hours.")
    utc = hour.astimezone(UTC)
    if (utc.minute, utc.second, utc.microsecond) != (0, 0, 0):
        raise BrokenAuditError(f"{utc.isoformat()} is no full hour; expected the hour's start.")
    return utc.isoformat()


def _month_subject(month: date) -> str:
    if isinstance(month, datetime) or month.day != 1:
        raise BrokenAuditError(
            f"{month.isoformat()} is no month; expected the date of a month's first day."
        )
    return month.isoformat()


def _day_subject(day: date) -> str:
    if isinstance(day, datetime):
        raise BrokenAuditError(f"{day.isoformat()} is an instant; expected a date.")
    return day.isoformat()


def audit_hours(
    build_file: Path,
    family: Family,
    hours: Sequence[datetime],
    *,
    rules_file: Path = MARTS_FILE,
) -> AuditReport:
    """Judge hours of a family's marts in dbt's build file; subjects are ISO hours in UTC."""
    with _fail_closed(f"{family} hours"):
        return _audit_marts(
            build_file,
            family,
            [_hour_subject(h) for h in hours],
            lambda connection: profile_hours(connection, family, hours),
            rules_file,
        )


def audit_days(
    build_file: Path, days: Sequence[date], *, rules_file: Path = MARTS_FILE
) -> AuditReport:
    """Judge days of the roll-ups; subjects are ISO dates, UTC."""
    with _fail_closed("rollup days"):
        return _audit_marts(
            build_file,
            "rollup",
            [_day_subject(d) for d in days],
            lambda connection: profile_days(connection, days),
            rules_file,
        )


def audit_months(
    build_file: Path, months: Sequence[date], *, rules_file: Path = MARTS_FILE
) -> AuditReport:
    """Judge months of the billing marts; subjects are ISO dates of their first days."""
    with _fail_closed("billing months"):
        return _audit_marts(
            build_file,
            "billing",
            [_month_subject(m) for m in months],
            lambda connection: profile_months(connection, months),
            rules_file,
        )
