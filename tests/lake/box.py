"""A lake in a temporary folder: landing, SQLite catalog, the ingest, and looks into its tables.

Belongs here: how a test gets a lake and reads it. Does not: what is expected of it.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from lake.audit import AuditReport, CheckResult, DeliverySubject
from lake.catalog import ensure_all, open_catalog
from lake.deliveries import Delivery, read_ledger
from lake.ingest import Ingest, IngestReport
from lake.landing import FolderLanding
from lake.ledger import Ledger
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.reads import relation_sql
from lake.records import CDN_REQUESTS, REC_EVENTS, Record
from lake.settings import LakeSettings
from lake.source import Source
from lake.versions import Partition, hour_versions

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROTECTION = Protection(Keyring.of(b"a key of the tests"))


@dataclass
class TrivialAudit:
    """Passes every delivery but those whose key holds a word; remembers what it judged."""

    refuse: str | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, subjects: Sequence[DeliverySubject]) -> AuditReport:
        self.seen += [s.key for s in subjects]
        return AuditReport(
            tuple(
                CheckResult(
                    layer="delivery",
                    suite="tests",
                    check_name="word",
                    subject=s.delivery_id,
                    severity="critical",
                    is_passed=self.refuse is None or self.refuse not in s.key,
                    observed=s.key,
                    expected="no such word",
                )
                for s in subjects
            )
        )


@dataclass
class LakeBox:
    """A lake of its own: landing, SQLite catalog and the ingest of every bronze table."""

    settings: LakeSettings
    sources: Mapping[str, Source]
    protection: Protection = PROTECTION
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.settings.landing.mkdir(parents=True, exist_ok=True)
        self.catalog = open_catalog(self.settings)
        ensure_all(self.catalog)
        self.audit = TrivialAudit()

    def land(self, key: str, data: bytes, at: datetime = NOW, *, packed: bool = True) -> Path:
        path = self.settings.landing / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
        os.utime(path, ns=(int(at.timestamp()) * 10**9,) * 2)
        return path

    def ingest_of(self, record: Record, **changes: Any) -> Ingest:
        given: dict[str, Any] = {
            "catalog": self.catalog,
            "landing": FolderLanding(self.settings.landing),
            "sources": self.sources,
            "record": record,
            "audit": self.audit,
            "protection": self.protection,
            "now": self.now,
        }
        return Ingest(**{**given, **changes})

    def run(self, *records: Record, released: Sequence[str] = (), **changes: Any) -> IngestReport:
        self.now += timedelta(seconds=1)
        reports = [
            self.ingest_of(r, **changes).run(released)
            for r in records or (CDN_REQUESTS, REC_EVENTS)
        ]
        return replace(reports[0], changes=tuple(c for r in reports for c in r.changes))

    def sql(self, query: str, *identifiers: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            relations = [f"({relation_sql(self.catalog.load_table(i))})" for i in identifiers]
            return connection.execute(query.format(*relations)).fetchall()

    def rows(self, identifier: str, *, leave_out: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        gone = f"exclude ({', '.join(leave_out)})" if leave_out else ""
        return self.sql(f"select * {gone} from {{}} order by all", identifier)

    def count(self, identifier: str) -> int:
        return int(self.sql("select count(*) from {}", identifier)[0][0])

    def snapshots(self) -> dict[str, int]:
        return {
            ".".join(i): len(self.catalog.load_table(i).metadata.snapshots)
            for space in self.catalog.list_namespaces()
            for i in self.catalog.list_tables(space)
        }

    def versions(self) -> dict[Partition, str]:
        with Ledger(self.catalog.load_table("ops.deliveries")) as ledger:
            return hour_versions(ledger)

    def ledger(self) -> dict[str, Delivery]:
        return read_ledger(self.catalog)

    def states(self) -> dict[tuple[str, datetime], str]:
        return {(d.key, d.last_modified): d.state for d in self.ledger().values()}

    def by_key(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for d in sorted(self.ledger().values(), key=lambda d: d.order):
            found.setdefault(d.key, []).append(d.state)
        return found

    def data_files(self, identifier: str) -> set[str]:
        folder = self.settings.warehouse / identifier.replace(".", "/") / "data"
        return {str(p) for p in folder.rglob("*.parquet")} if folder.exists() else set()

    def live_files(self, identifier: str) -> set[str]:
        table = self.catalog.load_table(identifier)
        return {t.file.file_path.removeprefix("file://") for t in table.scan().plan_files()}
