"""Landing to bronze: one asset a bronze table, and the feeds and ledgers around it."""

from collections.abc import Sequence

import dagster as dg

from lake.ingest import IngestReport
from lake.records import BRONZE, COUNTERS, OPS, Record
from lake.source import Source
from orchestration.resources import Clock, Lake

_OWNERS = {
    "bronze.cdn_requests": ["team:delivery"],
    "bronze.rec_events": ["team:recommendation"],
    "bronze.player_events": ["team:delivery"],
    "bronze.experiment_assignments": ["team:recommendation"],
    "bronze.items": ["team:recommendation"],
    "bronze.creators": ["team:recommendation"],
    "bronze.vendor_usage": ["team:delivery"],
    "bronze.vendor_invoices": ["team:finance"],
    "bronze.producer_rosters": ["team:data"],
    "bronze.capacities": ["team:delivery"],
}

#: group and documentation of a table that no source feeds, by whether it is one of counters
_UNFED = {True: ("counters", "vendor-counters.md"), False: ("feeds", "player-events.md")}


def asset_key(record: Record) -> dg.AssetKey:
    """Return the asset key of a table."""
    return dg.AssetKey([record.namespace, record.name])


def landing_specs(sources: Sequence[Source]) -> list[dg.AssetSpec]:
    """Return one external asset a feed."""
    return [
        dg.AssetSpec(
            ["landing", s.name],
            description=s.description,
            owners=[s.owner],
            group_name="landing",
            kinds={"file"},
            metadata={"prefix": s.landing.prefix, "format": s.format},
        )
        for s in sources
    ]


def ledger_specs() -> list[dg.AssetSpec]:
    """Return the ops tables, which the other assets write along the way."""
    return [
        dg.AssetSpec(
            asset_key(r),
            description=r.doc,
            owners=["team:data"],
            group_name="ops",
            kinds={"iceberg"},
            deps=[asset_key(b) for b in BRONZE],
        )
        for r in OPS
    ]


def unfed_specs(records: Sequence[Record]) -> list[dg.AssetSpec]:
    """Return the tables that are there and that no source feeds."""
    return [
        dg.AssetSpec(
            asset_key(r),
            description=f"{r.doc}. No source feeds it; see docs/{_UNFED[r in COUNTERS][1]}.",
            owners=_OWNERS[r.identifier],
            group_name=_UNFED[r in COUNTERS][0],
            kinds={"iceberg"},
        )
        for r in records
    ]


def ingest_asset(record: Record, sources: Sequence[Source]) -> dg.AssetsDefinition:
    """Return the asset that brings every new delivery of its feeds into one bronze table."""
    key = asset_key(record)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(["landing", s.name]) for s in sources],
        description=f"{record.doc}. Every line of every delivery is accounted for in ops.",
        owners=_OWNERS[record.identifier],
        group_name="bronze",
        kinds={"iceberg", "python"},
        pool=f"ingest_{record.name}",
        check_specs=[
            dg.AssetCheckSpec(
                "lines_accounted",
                asset=key,
                blocking=True,
                description="lines = accepted + rejected + header + blank, for every delivery read",
            ),
            dg.AssetCheckSpec(
                "deliveries_audited",
                asset=key,
                description="no delivery of this run was held; a held one waits, others went in",
            ),
        ],
    )
    def bronze(context: dg.AssetExecutionContext, lake: Lake, clock: Clock) -> dg.MaterializeResult:  # type: ignore[type-arg]
        report = lake.ingest(record, clock.now())
        context.log.info("changes by state: %s", report.by_state)
        return dg.MaterializeResult(metadata=_metadata(report), check_results=_checks(report))

    return bronze


def _metadata(report: IngestReport) -> dict[str, int]:
    loaded = [d for d in report.changes if d.state == "loaded"]
    return {
        "deliveries": len(report.changes),
        "batches_completed_after_a_cut": report.completed_batches,
        "vanished_since_listing": len(report.vanished),
        "gone_from_landing": len(report.gone),
        "lines": sum(d.lines or 0 for d in loaded),
        "accepted": sum(d.accepted or 0 for d in loaded),
        "rejected": sum(d.rejected or 0 for d in loaded),
        **{f"now_{state}": n for state, n in report.by_state.items()},
    }


def _checks(report: IngestReport) -> list[dg.AssetCheckResult]:
    held = [d for d in report.changes if d.state == "held"]
    warned = [r for r in report.results if not r.is_passed and r.severity == "warning"]
    unknown: dict[str, set[str]] = {}
    for d in report.changes:
        if d.unknown_fields:
            unknown.setdefault(d.source, set()).update(d.unknown_fields)
    wrong = [
        d.delivery_id
        for d in report.changes
        if d.lines is not None
        and d.lines != (d.accepted or 0) + (d.rejected or 0) + (d.header or 0) + (d.blank or 0)
    ]
    return [
        dg.AssetCheckResult(
            check_name="lines_accounted",
            passed=not wrong,
            metadata={"deliveries": len(report.changes), "wrong": wrong[:20]},
        ),
        dg.AssetCheckResult(
            check_name="deliveries_audited",
            passed=not held,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "judgements": len(report.results),
                "held": dg.MetadataValue.json({d.delivery_id: d.reason for d in held[:20]}),
                "warnings": dg.MetadataValue.json(
                    [f"{r.subject}: {r.check_name}, found {r.observed}" for r in warned[:20]]
                ),
                "fields_no_rule_names": dg.MetadataValue.json(
                    {source: sorted(names) for source, names in sorted(unknown.items())}
                ),
                "remedy": "weir status --held; then weir release <delivery> or a new delivery",
            },
        ),
    ]
