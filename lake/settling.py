"""Settling: what was read becomes commits, until nothing changes any more.

Each round plans on the ledger as it is and commits on exactly that; who loses a race, or gets no
answer, looks again. Every round can be cut off anywhere and begun anew by anybody.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pyiceberg.catalog import Catalog

from lake.audit import AuditReport, CheckResult, check_results_table
from lake.batches import Manifest
from lake.commit import Handles, LostRaceError, commit_batch, open_handles, write_data_file
from lake.deliveries import Delivery, Target, record, same_facts, to_arrow
from lake.landing import GoneError, LandedObject
from lake.ledger import Books
from lake.outcome import ATTEMPTS, UNSURE, is_passing, pause
from lake.plan import Plan, make_plan, reject_rows, with_verdict
from lake.readings import Reading, Readings
from lake.records import CHECK_RESULTS, DELIVERIES, REJECTS, Record
from lake.source import Source
from lake.staging import Staged, Stager

Judge = Callable[[Sequence[Staged]], AuditReport]


@dataclass(frozen=True)
class Gone:
    """A delivery whose rows are wanted and whose object is not in landing any more."""

    delivery_id: str
    source: str
    key: str
    reason: str


@dataclass
class Settler:
    """Settles what a stager read of one bronze table.

    sources: the feeds of the table, by name. judge: the audit of staged deliveries. changes and
    results: what was committed so far. gone: what could not be read; it stays as it is.
    """

    catalog: Catalog
    record: Record
    sources: Mapping[str, Source]
    stager: Stager
    judge: Judge
    now: datetime
    books: Books
    readings: Readings = field(default_factory=Readings)
    changes: list[Delivery] = field(default_factory=list)
    results: list[CheckResult] = field(default_factory=list)
    gone: dict[str, Gone] = field(default_factory=dict)
    _staged: dict[str, Staged] = field(default_factory=dict)
    _judged: tuple[CheckResult, ...] = ()
    _unanswered: dict[str, tuple[list[Delivery], list[str]]] = field(default_factory=dict)
    _in_bronze: set[str] = field(default_factory=set)
    _may_delete: bool = True

    def settle(
        self, staged: Sequence[Staged], results: Sequence[CheckResult], released: frozenset[str]
    ) -> None:
        """Commit what follows from what was read; afterwards nothing is left to change.

        released: held deliveries that go in whatever the audit said. Files that were not
        committed are deleted, unless an answer is missing: then the sweep knows better.
        """
        self._staged = {s.delivery.delivery_id: s for s in staged}
        self._judged = tuple(results)
        attempt = 0
        try:
            while True:
                try:
                    if not self._round(released):
                        return
                except UNSURE as err:
                    if not is_passing(err) or attempt + 1 == ATTEMPTS:
                        raise
                    pause(attempt)
                    attempt += 1
        finally:
            if self._may_delete:
                self.stager.discard(self._not_loaded())

    def preview(self, staged: Sequence[Staged]) -> list[tuple[Delivery, Target]]:
        """Return what settling would change now; commits nothing and deletes the files."""
        self._staged = {s.delivery.delivery_id: s for s in staged}
        try:
            handles = open_handles(self.catalog, self.record)
            plan, _ = self._plan(handles, frozenset())
            return list(plan.changes)
        finally:
            self.stager.discard(self._staged.values())

    def _round(self, released: frozenset[str]) -> bool:
        """Plan and commit once; tell whether there may be more to do."""
        handles = open_handles(self.catalog, self.record)
        plan, ledger = self._plan(handles, released)
        self._take_answers(ledger)
        if not plan.changes:
            return False
        if not self._read_missing(plan):
            return True
        batch = uuid.uuid4().hex
        rows = [record(d, t, batch, self.now) for d, t in plan.changes]
        manifest = self._write(handles, batch, plan, rows, ledger)
        self._may_delete = False  # until it is known what became of the commit
        try:
            commit_batch(self.catalog, handles, manifest)
        except LostRaceError:
            self._may_delete = not self._unanswered
            return True
        except UNSURE:
            self._unanswered[batch] = rows, manifest.loaded
            raise
        self._may_delete = not self._unanswered
        self._committed(rows, manifest.loaded)
        return True

    def _plan(self, handles: Handles, released: frozenset[str]) -> tuple[Plan, dict[str, Delivery]]:
        """Plan on the deliveries at hand and what hangs together with them.

        With nothing at hand, on what does not stand for itself alone: it is settled once a run.
        """
        read_again = [
            replace(r.staged.delivery, delivery_id=i, content_id=c)
            for r in self.readings.readings
            for i, c in r.members.items()
        ]
        seeds = [*(s.delivery for s in self._staged.values()), *read_again]
        book = self.books.at(handles.ledger)
        ledger = book.related(seeds, [*released, *(d.delivery_id for d in read_again)])
        if not seeds:
            ledger = {**book.repeated(), **ledger}
        amendment = self.readings.amendment(handles, ledger)
        present = {i: d for i, d in ledger.items() if i not in self.gone}
        staged = {i: s for i, s in self._staged.items() if i not in self.gone}
        plan = make_plan(self.sources, present, staged, released - self.gone.keys(), amendment)
        return plan, ledger

    def _read_missing(self, plan: Plan) -> bool:
        """Read what is to be loaded and has no files; False where that changes the plan."""
        is_as_planned = True
        for d in plan.loading:
            staged = self._staged.get(d.delivery_id)
            if staged is not None and not staged.must_be_read:
                continue
            found = LandedObject(d.key, d.etag, d.size_bytes, d.last_modified)
            try:
                again = self.stager.stage(self.sources[d.source], found, lambda _: None)
            except GoneError as err:
                self.gone[d.delivery_id] = Gone(d.delivery_id, d.source, d.key, str(err))
                is_as_planned = False
                continue
            if same_facts(again.delivery, d):
                self._staged[d.delivery_id] = replace(again, delivery=d)
            else:
                self._read_anew(again)
                is_as_planned = False
        return is_as_planned

    def _read_anew(self, again: Staged) -> None:
        """Take a reading that says something else than the last one: it is judged like a new one.

        It happens when rows come back into bronze after the parser or the source changed.
        """
        report = self.judge([again])
        judged = with_verdict(again, report.failures)
        self._judged += report.results
        d = judged.delivery
        self._staged[d.delivery_id] = judged
        self.readings.readings.append(Reading(judged, {d.delivery_id: d.content_id}))

    def _write(
        self,
        handles: Handles,
        batch: str,
        plan: Plan,
        rows: Sequence[Delivery],
        ledger: Mapping[str, Delivery],
    ) -> Manifest:
        """Write the files of a batch and return its manifest."""
        files: dict[str, list[str]] = {}
        loading = [d.delivery_id for d in plan.loading]
        bronze = [f.uri for i in loading for f in self._staged[i].files]
        if bronze:
            files[self.record.identifier] = bronze
        rejects = reject_rows(plan, self._staged, ledger, batch, self.now)
        if rejects.num_rows:
            files[REJECTS.identifier] = [write_data_file(handles.rejects, rejects, batch)]
        checked = self._results_of(rows)
        if checked:
            checks = check_results_table(checked, batch, self.now)
            files[CHECK_RESULTS.identifier] = [
                write_data_file(handles.check_results, checks, batch)
            ]
        files[DELIVERIES.identifier] = [write_data_file(handles.ledger, to_arrow(rows), batch)]
        return Manifest(
            batch,
            self.record.identifier,
            files,
            plan.removed(ledger),
            loading,
            sorted(plan.amendment.cleared),
        )

    def _take_answers(self, ledger: Mapping[str, Delivery]) -> None:
        """Count what an unanswered commit turns out to have done."""
        for batch, (rows, loaded) in list(self._unanswered.items()):
            if any(r.delivery_id in ledger and ledger[r.delivery_id].batch_id == batch
                   for r in rows):  # fmt: skip
                del self._unanswered[batch]
                self._committed(rows, loaded)

    def _committed(self, rows: Sequence[Delivery], loaded: Sequence[str]) -> None:
        checked = self._results_of(rows)
        self.changes += rows
        self.results += checked
        self._in_bronze.update(loaded)
        self._judged = tuple(r for r in self._judged if r not in checked)

    def _results_of(self, rows: Sequence[Delivery]) -> list[CheckResult]:
        """Return what the audit said of these deliveries, as far as it is not committed yet."""
        ids = {d.delivery_id for d in rows}
        return [r for r in self._judged if r.subject in ids]

    def _not_loaded(self) -> Iterable[Staged]:
        """Return what was not committed: nobody else can reference its files."""
        return [s for i, s in self._staged.items() if i not in self._in_bronze]
