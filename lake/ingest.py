"""The ingest: what is new in landing becomes loaded, held, replaced, duplicate or rejected.

One call handles one bronze table: list, stage, audit, settle. Any number of workers may do so at
once. How what was read becomes commits is lake/settling.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyiceberg.catalog import Catalog

from lake.audit import AuditReport, CheckResult, DeliveryAudit
from lake.catalog import table_of
from lake.commit import complete_pending, open_handles
from lake.crash import crashpoint
from lake.deliveries import Delivery
from lake.formats import family_of
from lake.landing import LandedObject, Landing
from lake.ledger import Books
from lake.offers import new_objects
from lake.plan import with_verdict
from lake.protection import Protection
from lake.records import DELIVERIES, Record
from lake.settling import Gone, Settler
from lake.source import Source
from lake.staging import Staged, Stager

BATCH_DELIVERIES = 64
BATCH_BYTES = 512 * 1024 * 1024
Objects = Sequence[tuple[Source, LandedObject]]


@dataclass(frozen=True)
class Progress:
    """How far an ingest is."""

    deliveries_done: int
    deliveries_total: int
    lines: int


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did: changes of the ledger, and what the audit said.

    gone: deliveries whose rows are wanted (released, or the only copy left of their content) and
    whose object is not in landing any more; they stay as they are. vanished: keys that were
    listed and then not there as that version; the next listing takes up whatever is there now.
    """

    changes: tuple[Delivery, ...]
    results: tuple[CheckResult, ...]
    completed_batches: int
    gone: tuple[Gone, ...] = ()
    vanished: tuple[str, ...] = ()

    @property
    def by_state(self) -> dict[str, int]:
        """Return the number of changes by new state."""
        counts: dict[str, int] = {}
        for d in self.changes:
            counts[d.state] = counts.get(d.state, 0) + 1
        return dict(sorted(counts.items()))


def sources_of(sources: Mapping[str, Source], record: Record) -> dict[str, Source]:
    """Return the feeds that go to a bronze table."""
    return {
        s.name: s
        for s in sources.values()
        if family_of(s.format).record.identifier == record.identifier
    }


def judge(audit: DeliveryAudit, staged: Sequence[Staged]) -> AuditReport:
    """Hand what was read to the audit; a twin of passed content has its verdict already."""
    subjects = [s.subject() for s in staged if s.delivery.lines is not None and not s.is_twin]
    if not subjects:
        return AuditReport(())
    report = audit(subjects)
    report.require_judged([s.delivery_id for s in subjects])
    return report


def batches(objects: Objects) -> Iterator[Objects]:
    """Split objects into batches of bounded number and size."""
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
    _gone: dict[str, Gone] = field(default_factory=dict)
    _vanished: list[str] = field(default_factory=list)

    def run(
        self, released: Iterable[str] = (), hinted: Sequence[str] | None = None
    ) -> IngestReport:
        """Ingest everything new; released: held deliveries that go in whatever the audit said.

        hinted: keys to look up instead of listing landing; what they do not name, and what was
        not there yet, is left to the next listing.
        """
        completed = complete_pending(self.catalog)
        mine = sources_of(self.sources, self.record)
        with Books() as books:
            ledger = books.at(table_of(self.catalog, DELIVERIES))
            new = new_objects(self.landing, mine.values(), ledger, hinted)
            crashpoint("listed")
            total, done, lines = len(new), 0, 0
            for batch in batches(new):
                lines += self._batch(mine, batch, frozenset(), books)
                done += len(batch)
                self.progress(Progress(done, total, lines))
            # also without anything new: heals what a race or a release left to do
            self._batch(mine, [], frozenset(released), books)
        return IngestReport(
            tuple(self._changes),
            tuple(self._results),
            completed,
            tuple(self._gone.values()),
            tuple(self._vanished),
        )

    def _batch(
        self,
        mine: Mapping[str, Source],
        objects: Objects,
        released: frozenset[str],
        books: Books,
    ) -> int:
        """Stage, judge and commit one batch; return the lines read."""
        handles = open_handles(self.catalog, self.record)
        with Stager(
            self.landing, handles.bronze, self.sources, self.protection, self.now, self.workers
        ) as stager:
            staged = stager.stage_all(objects, books.at(handles.ledger).passed)
            self._vanished += [o.key for o in stager.vanished]
            try:
                crashpoint("staged")
                report = judge(self.audit, staged)
                crashpoint("audited")
            except BaseException:
                stager.discard(staged)
                raise
            judged = [with_verdict(s, report.failures) for s in staged]
            held = [s for s in judged if s.delivery.verdict == "held"]
            stager.discard(held)
            judged = [s.without_files() if s in held else s for s in judged]
            settler = Settler(
                self.catalog,
                self.record,
                mine,
                stager,
                lambda s: judge(self.audit, s),
                self.now,
                books,
            )
            settler.settle(judged, report.results, released)
        self._changes += settler.changes
        self._results += settler.results
        self._gone |= settler.gone
        return sum(s.delivery.lines or 0 for s in staged)
