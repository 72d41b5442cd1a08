"""Weir's candidates of the ingest benchmark: with and without checks, with and without translation.

Each function runs in a fresh process, see benchmarks.harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Job
from benchmarks.setup import (
    import_what_runs,
    keys_of,
    settings_of,
    source_and_layout,
    source_of,
    total_records,
)

if TYPE_CHECKING:
    from lake.audit import AuditReport, DeliveryAudit, DeliverySubject
    from lake.records import Record
    from lake.source import Source

_NOW = datetime(2026, 11, 17, tzinfo=UTC)


def weir(manifest: str, home: str) -> Job:
    """Gzip to committed bronze: exact quarantine, canonical columns, privacy; audits pass."""
    return _ingest(manifest, home, _pass_everything)


def weir_checked(manifest: str, home: str) -> Job:
    """Do the same with the audit that the pipeline has."""
    from expectations.runner import delivery_audit
    from lake.audit import DeliverySubject
    from lake.catalog import ensure_all, open_catalog
    from lake.records import BRONZE, RECORDS

    catalog = open_catalog(settings_of(home))
    ensure_all(catalog)
    fields = {r.identifier: list(catalog.load_table(r.identifier).schema().fields) for r in BRONZE}
    audit = delivery_audit(fields)
    # Great Expectations takes seconds to import and set up, once a process: that is set-up
    for table in (r.identifier for r in RECORDS.values() if r in BRONZE):
        audit([DeliverySubject("none", "", table, "", (), 0, 0, 0, 0, 0, {}, None, None)])
    return _ingest(manifest, home, audit)


def weir_raw(manifest: str, home: str) -> Job:
    """Do the same as `weir` with the columns as the vendor has them."""
    from benchmarks.logs import load_logs
    from benchmarks.rawfamily import RawColumns
    from lake.formats import FAMILIES, family_of
    from lake.records import RECORDS

    logs = load_logs(Path(manifest))
    source, layout = source_and_layout(logs)
    raw = RawColumns(family_of(source.format), layout, keys_of(logs))
    FAMILIES[raw.name] = raw
    RECORDS[raw.record.identifier] = raw.record
    renamed = source.model_copy(update={"format": raw.name})
    return _ingest(manifest, home, _pass_everything, renamed, raw.record)


def _ingest(
    manifest: str,
    home: str,
    audit: DeliveryAudit,
    source: Source | None = None,
    record: Record | None = None,
) -> Job:
    """Return an ingest of one source as orchestration puts it together."""
    from benchmarks.logs import load_logs
    from lake.catalog import ensure_all, open_catalog, table_of
    from lake.formats import family_of
    from lake.ingest import Ingest
    from lake.landing import FolderLanding
    from lake.protection import Protection
    from lake.pseudonyms import Keyring
    from lake.reads import relation_sql
    from lake.records import REJECTS

    import_what_runs()
    logs = load_logs(Path(manifest))
    settings = settings_of(home)
    source = source or source_of(logs.family)
    record = record or family_of(source.format).record
    catalog = open_catalog(settings)
    ensure_all(catalog)
    table_of(catalog, record)
    job = Ingest(
        catalog=catalog,
        landing=FolderLanding(logs.landing),
        sources={source.name: source},
        record=record,
        audit=audit,
        protection=Protection(Keyring.of(b"benchmark")),
        now=_NOW,
    )

    def run() -> None:
        job.run()

    def outcome() -> dict[str, Any]:
        import duckdb

        rejects = relation_sql(table_of(catalog, REJECTS))
        with duckdb.connect() as connection:
            rows = connection.execute(f"select key, line from ({rejects}) order by all").fetchall()
        found: dict[str, list[int]] = {key: [] for key in logs.malformed}
        for key, line in rows:
            found.setdefault(key, []).append(line)
        return {
            "rows": total_records(table_of(catalog, record)),
            "malformed": sum(map(len, found.values())),
            "is_exact": found == {key: list(lines) for key, lines in logs.malformed.items()},
        }

    return Job(run, outcome)


def _pass_everything(subjects: Sequence[DeliverySubject]) -> AuditReport:
    from lake.audit import AuditReport, CheckResult

    return AuditReport(
        tuple(
            CheckResult("delivery", "none", "none", s.delivery_id, "warning", True, None, None)
            for s in subjects
        )
    )
