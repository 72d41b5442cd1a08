"""Freshness: how old the newest event of each feed and the newest hour of each mart is."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg
from pyiceberg.catalog import Catalog

from lake.audit import AuditReport, check_results_table
from lake.catalog import table_of
from lake.commit import append_rows
from lake.formats import family_of
from lake.ledger import Ledger
from lake.publish import MARTS, last_release
from lake.reads import connect, relation_sql
from lake.records import CHECK_RESULTS, DELIVERIES, Record
from lake.source import Source
from orchestration.assets.ingest import asset_key
from orchestration.resources import Clock, Lake


def newest_events(catalog: Catalog, sources: Iterable[Source]) -> dict[str, datetime | None]:
    """Return the newest accepted event of each feed, None for one that never delivered."""
    newest: dict[str, datetime | None] = {s.name: None for s in sources}
    with Ledger(table_of(catalog, DELIVERIES)) as ledger:
        latest = ledger.ask(
            "select source, max(event_time_max) from ({current}) where state = 'loaded' "
            "group by all"
        )
    for source, at in latest:
        if source in newest and at is not None:
            newest[source] = at.astimezone(UTC)
    return newest


def newest_hours(catalog: Catalog) -> dict[str, datetime | None]:
    """Return the start of the newest released hour of each hourly mart; None: never released."""
    shown = last_release(catalog)
    newest: dict[str, datetime | None] = {m.gold: None for m in MARTS if m.unit == "hour"}
    with connect(catalog) as connection:
        for mart in MARTS:
            if mart.unit == "hour" and shown is not None and mart.gold in shown.marts:
                relation = relation_sql(catalog.load_table(mart.gold), shown.marts[mart.gold])
                row = connection.execute(
                    f"select date_trunc('hour', max({mart.partition_by})) from ({relation})"
                ).fetchone()
                newest[mart.gold] = row[0].astimezone(UTC) if row and row[0] else None
    return newest


def judge(
    catalog: Catalog, latest: Mapping[str, datetime | None], now: datetime, run_id: str
) -> AuditReport:
    """Judge freshness and keep the results in ops.check_results."""
    from expectations.sla import judge_freshness

    report = judge_freshness(latest, now, names=list(latest))
    append_rows(catalog, CHECK_RESULTS, check_results_table(report.results, run_id, now))
    return report


def freshness_check(record: Record, sources: Iterable[Source]) -> dg.AssetChecksDefinition:
    """Return the check that every feed of a bronze table meets its freshness objective."""
    feeds = [s for s in sources if family_of(s.format).record.identifier == record.identifier]

    @dg.asset_check(
        asset=asset_key(record),
        name="events_fresh",
        description="the newest event of every feed is younger than its objective (sla.yaml)",
    )
    def events_fresh(
        context: dg.AssetCheckExecutionContext, lake: Lake, clock: Clock
    ) -> dg.AssetCheckResult:
        catalog = lake.catalog()
        report = judge(catalog, newest_events(catalog, feeds), clock.now(), context.run.run_id)
        return _result(report)

    return events_fresh


def marts_freshness_check() -> dg.AssetChecksDefinition:
    """Return the check that the newest published hour of every mart meets its objective."""

    @dg.asset_check(
        asset=dg.AssetKey(["gold", "traffic_5m"]),
        name="hours_fresh",
        description="the newest published hour of every mart is younger than its objective",
    )
    def hours_fresh(
        context: dg.AssetCheckExecutionContext, lake: Lake, clock: Clock
    ) -> dg.AssetCheckResult:
        catalog = lake.catalog()
        report = judge(catalog, newest_hours(catalog), clock.now(), context.run.run_id)
        return _result(report)

    return hours_fresh


def _result(report: AuditReport) -> dg.AssetCheckResult:
    late = [r for r in report.results if not r.is_passed]
    critical = any(r.severity == "critical" for r in late)
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        metadata={
            "late": dg.MetadataValue.json(
                [f"{r.subject}: expected {r.expected}, found {r.observed}" for r in late]
            ),
            "judged": len(report.results),
        },
    )
