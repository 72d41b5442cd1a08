"""The ingest: what is new in landing becomes loaded, held, replaced, duplicate or rejected.

One call handles one bronze table: list, stage, audit, settle, commit; again until nothing
changes. Any number of workers may do so at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lake.audit import AuditReport, CheckResult, DeliveryAudit, check_results_table
from lake.batches import Manifest
from lake.catalog import table_of
from lake.commit import (
    Handles,
    LostRaceError,
    commit_batch,
    complete_pending,
    open_handles,
    write_data_file,
)
from lake.crash import crashpoint
from lake.deliveries import (
    Delivery,
    Target,
    Verdict,
    changed,
    record,
    settle,
    to_arrow,
)
from lake.formats import family_of
from lake.landing import GoneError, LandedObject, Landing
from lake.ledger import Ledger
from lake.protection import Protection
from lake.records import CHECK_RESULTS, DELIVERIES, REJECTS, Record
from lake.source import Source
from lake.staging import Staged, Stager

BATCH_DELIVERIES = 64
BATCH_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Progress:
    """How far an ingest is."""

    deliveries_done: int
    deliveries_total: int
    lines: int


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did: changes of the ledger, and what the audit said."""

    changes: tuple[Delivery, ...]
    results: tuple[CheckResult, ...]
    completed_batches: int

    @property
    def by_state(self) -> dict[str, int]:
        """Return the number of changes by new state."""
        counts: dict[str, int] = {}
        for d in self.changes:
            counts[d.state] = counts.get(d.state, 0) + 1
        return dict(sorted(counts.items()))


@dataclass
class Ingest:
    """Everything an ingest of one bronze table needs."""

    catalog: Catalog
    landing: Landing
    sources: Mapping[str, Source]
    record: Record
    audit: DeliveryAudit
    protection: Protection
    now: datetime
    workers: int = 2
    progress: Callable[[Progress], None] = lambda _: None
    _changes: list[Delivery] = field(default_factory=list)
    _results: list[CheckResult] = field(default_factory=list)

    def run(self, released: Iterable[str] = ()) -> IngestReport:
        """Ingest everything new; released: held deliveries that go in whatever the audit said."""
        completed = complete_pending(self.catalog)
        mine = {s.name: s for s in self.sources.values() if self._table(s) == self._name}
        new = self._unknown(mine)
        crashpoint("listed")
        total, done, lines = len(new), 0, 0
        for batch in _batches(new):
            lines += self._batch(mine, batch, frozenset())
            done += len(batch)
            self.progress(Progress(done, total, lines))
        # also without anything new: heals what a race or a release left to do
        self._batch(mine, [], frozenset(released))
        return IngestReport(tuple(self._changes), tuple(self._results), completed)

    @property
    def _name(self) -> str:
        return self.record.identifier

    @staticmethod
    def _table(source: Source) -> str:
        return family_of(source.format).record.identifier

    def _unknown(self, mine: Mapping[str, Source]) -> list[tuple[Source, LandedObject]]:
        """List landing and keep what the ledger does not know, oldest first."""
        found = {
            o.delivery_id(source.name): (source, o)
            for source in mine.values()
            for o in self.landing.list(source.landing.prefix, source.landing.suffix)
        }
        with Ledger(table_of(self.catalog, DELIVERIES)) as ledger:
            new = [found[i] for i in ledger.unknown(list(found))]
        return sorted(new, key=lambda pair: (pair[1].last_modified, pair[1].key))

    def _batch(
        self,
        mine: Mapping[str, Source],
        objects: Sequence[tuple[Source, LandedObject]],
        released: frozenset[str],
    ) -> int:
        """Stage, judge and commit one batch; return the lines read."""
        handles = open_handles(self.catalog, self.record)
        with (
            Ledger(handles.ledger) as ledger,
            Stager(
                self.landing, handles.bronze, self.sources, self.protection, self.now, self.workers
            ) as stager,
        ):
            staged = stager.stage_all(objects, ledger.passed)
            try:
                crashpoint("staged")
                report = self._judge(staged)
                crashpoint("audited")
            except BaseException:
                stager.discard(staged)
                raise
            judged = [_with_verdict(s, report.failures) for s in staged]
            held = [s for s in judged if s.delivery.verdict == "held"]
            stager.discard(held)
            judged = [s.without_files() if s in held else s for s in judged]
            self._settle_until_quiet(mine, judged, report, released, stager)
        return sum(s.delivery.lines or 0 for s in staged)

    def _judge(self, staged: Sequence[Staged]) -> AuditReport:
        """Hand what was read to the audit; a twin of passed content has its verdict already."""
        subjects = [s.subject() for s in staged if s.delivery.lines is not None and not s.is_twin]
        if not subjects:
            return AuditReport(())
        report = self.audit(subjects)
        report.require_judged([s.delivery_id for s in subjects])
        return report

    def _settle_until_quiet(
        self,
        mine: Mapping[str, Source],
        staged: Sequence[Staged],
        report: AuditReport,
        released: frozenset[str],
        stager: Stager,
    ) -> None:
        by_id = {s.delivery.delivery_id: s for s in staged}
        results = report.results
        while True:
            handles = open_handles(self.catalog, self.record)
            ledger = self._known(handles, by_id, released)
            changes = _plan(mine, ledger, by_id, released)
            if not changes:
                break
            batch = uuid.uuid4().hex
            try:
                changes = stager.read_again(changes, by_id)
                manifest = self._write(handles, batch, changes, by_id, results, ledger)
                commit_batch(self.catalog, handles, manifest)
            except LostRaceError:
                continue
            except GoneError as err:
                stager.discard(self._not_loaded(by_id.values()))
                raise GoneError(
                    f"{err}. Its rows are wanted now (released, or the only copy left of its "
                    "content): put the object back into landing and run the ingest again."
                ) from err
            rows = [record(d, t, batch, self.now) for d, t in changes]
            self._changes += rows
            self._results += results
            results = ()
        stager.discard(self._not_loaded(by_id.values()))

    def _known(
        self, handles: Handles, staged: Mapping[str, Staged], released: frozenset[str]
    ) -> dict[str, Delivery]:
        """Return what the ledger knows of the deliveries at hand and what hangs together with them.

        With nothing at hand, what does not stand for itself alone: it is settled once a run.
        """
        with Ledger(handles.ledger) as ledger:
            at_hand = ledger.related((s.delivery for s in staged.values()), released)
            return at_hand if staged else {**ledger.repeated(), **at_hand}

    def _not_loaded(self, staged: Iterable[Staged]) -> list[Staged]:
        """Return what this ingest did not commit: nobody else can reference its files."""
        loaded = {c.delivery_id for c in self._changes if c.state == "loaded"}
        return [s for s in staged if s.delivery.delivery_id not in loaded]

    def _write(
        self,
        handles: Handles,
        batch: str,
        changes: Sequence[tuple[Delivery, Target]],
        staged: Mapping[str, Staged],
        results: Sequence[CheckResult],
        ledger: Mapping[str, Delivery],
    ) -> Manifest:
        """Write the files of a batch and return its manifest."""
        files: dict[str, list[str]] = {}
        loading = [d for d, t in changes if t.state == "loaded" and not d.is_loaded]
        bronze = [f.uri for d in loading for f in staged[d.delivery_id].files]
        if bronze:
            files[self._name] = bronze
        rejects = _reject_rows(changes, staged, ledger, batch, self.now)
        if rejects.num_rows:
            files[REJECTS.identifier] = [write_data_file(handles.rejects, rejects, batch)]
        if results:
            rows = check_results_table(results, batch, self.now)
            files[CHECK_RESULTS.identifier] = [write_data_file(handles.check_results, rows, batch)]
        recorded = to_arrow(record(d, t, batch, self.now) for d, t in changes)
        files[DELIVERIES.identifier] = [write_data_file(handles.ledger, recorded, batch)]
        removed = [d.delivery_id for d, t in changes if t.state != "loaded" and d.is_loaded]
        return Manifest(batch, self._name, files, removed, [d.delivery_id for d in loading])


def _batches(
    objects: Sequence[tuple[Source, LandedObject]],
) -> Iterable[list[tuple[Source, LandedObject]]]:
    batch: list[tuple[Source, LandedObject]] = []
    size = 0
    for pair in objects:
        if batch and (len(batch) >= BATCH_DELIVERIES or size + pair[1].size_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(pair)
        size += pair[1].size_bytes
    if batch:
        yield batch


def _with_verdict(staged: Staged, failures: Mapping[str, str]) -> Staged:
    d = staged.delivery
    verdict: Verdict = d.verdict
    reason = d.reason
    if d.delivery_id in failures:
        verdict, reason = "held", failures[d.delivery_id]
    return replace(staged, delivery=replace(d, verdict=verdict, reason=reason))


def _plan(
    mine: Mapping[str, Source],
    ledger: Mapping[str, Delivery],
    staged: Mapping[str, Staged],
    released: frozenset[str],
) -> list[tuple[Delivery, Target]]:
    """Return every delivery whose state must change, with the state it should have."""
    everything = dict(ledger)
    for delivery_id, s in staged.items():
        everything.setdefault(delivery_id, s.delivery)
    for delivery_id in released:
        d = everything.get(delivery_id)
        if d is not None and d.verdict == "held":
            everything[delivery_id] = replace(
                d, verdict="released", reason=f"released by hand; was held: {d.reason}"
            )
    changes: list[tuple[Delivery, Target]] = []
    for name in mine:
        of_source = {i: d for i, d in everything.items() if d.source == name}
        targets = settle(of_source.values())
        for i, d in of_source.items():
            if changed(d, targets[i]) or (i in ledger and ledger[i].verdict != d.verdict):
                changes.append((d, targets[i]))
    return changes


def _reject_rows(
    changes: Sequence[tuple[Delivery, Target]],
    staged: Mapping[str, Staged],
    ledger: Mapping[str, Delivery],
    batch: str,
    now: datetime,
) -> pa.Table:
    """Return the rejected lines of new contents: once per content, however often it came."""
    seen = {d.content_id for d in ledger.values() if d.lines is not None}
    rows: list[dict[str, object]] = []
    for d, _ in changes:
        if d.change_no > 0 or d.delivery_id not in staged or d.content_id in seen:
            continue
        seen.add(d.content_id)
        fixed = {
            "delivery_id": d.delivery_id,
            "source": d.source,
            "key": d.key,
            "parser_version": d.parser_version,
            "batch_id": batch,
            "rejected_at": now,
        }
        rows += [{**fixed, **vars(r)} for r in staged[d.delivery_id].rejects]
    return pa.Table.from_pylist(rows, schema=REJECTS.arrow)
