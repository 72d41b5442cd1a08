"""The replay: what is in the ledger is read again, after a fix.

A new parser, a changed source file, other caps, keys or geo files: what they make of the same
bytes takes the place of what was made before, delivery by delivery, each in one transaction.
A replay that reads the same again changes nothing. Rows that readers have are given up only for
a reading that passed its audit and accepts at least as many lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pyiceberg.catalog import Catalog

from lake.audit import DeliveryAudit
from lake.catalog import table_of
from lake.commit import complete_pending, open_handles
from lake.crash import crashpoint
from lake.deliveries import Delivery, read_ledger, record
from lake.ingest import BATCH_BYTES, BATCH_DELIVERIES, Progress, judge, sources_of
from lake.landing import LandedObject, Landing
from lake.ledger import Books
from lake.plan import with_verdict
from lake.protection import Protection
from lake.readings import Reading
from lake.reads import connect, relation_sql
from lake.records import REJECTS, Record
from lake.selection import Group, Selection, groups_of
from lake.settling import Settler
from lake.source import Source
from lake.staging import Staged, Stager

#: moved: its rows are in now and were not; changed: read otherwise than before; same: nothing
#: changed; kept: the new reading is worse than what is loaded; gone: not in landing any more
Outcome = Literal["moved", "changed", "same", "kept", "gone"]


@dataclass(frozen=True)
class Replayed:
    """One content that was read again: before, after (where it differs) and what came of it."""

    outcome: Outcome
    before: Delivery
    after: Delivery | None
    reason: str | None = None


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did, or would do.

    changes: rows of the ledger. hours: those whose marts became stale.
    """

    is_dry: bool
    replayed: tuple[Replayed, ...]
    changes: tuple[Delivery, ...]
    hours: tuple[datetime, ...]

    @property
    def by_outcome(self) -> dict[str, int]:
        """Return the number of contents by outcome."""
        counts: dict[str, int] = {}
        for r in self.replayed:
            counts[r.outcome] = counts.get(r.outcome, 0) + 1
        return dict(sorted(counts.items()))


@dataclass
class Replay:
    """Everything a replay of one bronze table needs.

    takes_fewer: let a reading that accepts fewer lines take the place of loaded rows.
    """

    catalog: Catalog
    landing: Landing
    sources: Mapping[str, Source]
    record: Record
    audit: DeliveryAudit
    protection: Protection
    now: datetime
    workers: int = 2
    takes_fewer: bool = False
    progress: Callable[[Progress], None] = lambda _: None
    _replayed: list[Replayed] = field(default_factory=list)
    _changes: list[Delivery] = field(default_factory=list)
    _ledger: Mapping[str, Delivery] = field(default_factory=dict)

    def run(self, selection: Selection, *, is_dry: bool = False) -> ReplayReport:
        """Read again what is selected and what hangs together with it; is_dry: only say it."""
        complete_pending(self.catalog)
        mine = sources_of(self.sources, self.record)
        self._ledger = {i: d for i, d in read_ledger(self.catalog).items() if d.source in mine}
        why = self._line_reasons()
        selected = [
            d
            for d in self._ledger.values()
            if selection.takes(d, why.get(d.content_id, frozenset()))
        ]
        groups = groups_of(selected, self._ledger, mine)
        crashpoint("listed")
        done = lines = 0
        for batch in _batches(groups):
            lines += self._batch(mine, batch, is_dry=is_dry)
            done += len(batch)
            self.progress(Progress(done, len(groups), lines))
        return ReplayReport(is_dry, tuple(self._replayed), tuple(self._changes), self._hours())

    def _line_reasons(self) -> dict[str, frozenset[str]]:
        """Return why lines were rejected, by content."""
        table = table_of(self.catalog, REJECTS)
        with connect(table) as connection:
            rows = relation_sql(table)
            found = connection.execute(
                f"select delivery_id, list(distinct reason) from ({rows}) group by all"
            ).fetchall()
        why: dict[str, frozenset[str]] = {}
        for delivery_id, reasons in found:
            if (d := self._ledger.get(delivery_id)) is not None:
                why[d.content_id] = why.get(d.content_id, frozenset()) | frozenset(reasons)
        return why

    def _batch(self, mine: Mapping[str, Source], groups: Sequence[Group], *, is_dry: bool) -> int:
        """Read, judge and settle some groups; return the lines read."""
        handles = open_handles(self.catalog, self.record)
        with (
            Stager(
                self.landing, handles.bronze, self.sources, self.protection, self.now, self.workers
            ) as stager,
            Books() as books,
        ):
            read = self._read(stager, groups)
            try:
                crashpoint("staged")
                report = judge(self.audit, list(read.values()))
                crashpoint("audited")
            except BaseException:
                stager.discard(read.values())
                raise
            settler = self._settler(mine, stager, books)
            taken: dict[str, Staged] = {}
            for group in groups:
                if group.content_id not in read:
                    continue
                staged = with_verdict(read[group.content_id], report.failures)
                if (worse := self._worse(group, staged)) is not None:
                    stager.discard([staged])
                    self._replayed.append(Replayed("kept", group.readers[0], None, worse))
                    continue
                taken[group.content_id] = staged
                members = {d.delivery_id: group.content_id for d in group.members}
                settler.readings.readings.append(Reading(staged, members))
            if is_dry:
                changes = settler.preview(list(taken.values()))
                after = [record(d, t, "", self.now) for d, t in changes]
            else:
                settler.settle(list(taken.values()), report.results, frozenset())
                after = settler.changes
        self._report([g for g in groups if g.content_id in taken], after)
        return sum(s.delivery.lines or 0 for s in read.values())

    def _settler(self, mine: Mapping[str, Source], stager: Stager, books: Books) -> Settler:
        return Settler(
            self.catalog, self.record, mine, stager, lambda s: judge(self.audit, s), self.now, books
        )

    def _read(self, stager: Stager, groups: Sequence[Group]) -> dict[str, Staged]:
        """Read one object of each group, by content; who has none left is reported."""
        read: dict[str, Staged] = {}
        waiting = {g.content_id: (g, list(g.readers)) for g in groups}
        while waiting:
            asked = {c: readers.pop(0) for c, (_, readers) in waiting.items()}
            objects = [(waiting[c][0].source, _object(d)) for c, d in asked.items()]
            found = {s.delivery.delivery_id: s for s in stager.stage_all(objects, lambda _: None)}
            for content, d in asked.items():
                readers = waiting[content][1]
                if d.delivery_id in found:
                    read[content] = found[d.delivery_id]
                elif not readers:
                    text = "its object is not in landing any more, or was overwritten"
                    self._replayed.append(Replayed("gone", d, None, text))
                else:
                    continue
                del waiting[content]
        return read

    def _worse(self, group: Group, staged: Staged) -> str | None:
        """Return why a reading must not take the place of what is there; None where it may."""
        new, old = staged.delivery, group.readers[0]
        if new.lines is None and any(d.lines is not None for d in group.members):
            return f"it would be refused now: {new.reason}"
        if not group.is_loaded or old.verdict == "released":
            return None
        if new.verdict == "held":
            return f"it would be held now: {new.reason}"
        if (new.accepted or 0) < (old.accepted or 0) and not self.takes_fewer:
            return f"it would accept {new.accepted} lines, {old.accepted} are loaded"
        return None

    def _report(self, groups: Sequence[Group], after: Sequence[Delivery]) -> None:
        """Say what came of each group; a change counts for the member that shows it best."""
        self._changes += after
        last = {d.delivery_id: d for d in after}
        for group in groups:
            changed = [d for d in group.members if d.delivery_id in last]
            moved = [d for d in changed if last[d.delivery_id].state == "loaded"]
            best = next(iter([*moved, *changed]), None)
            if best is None:
                self._replayed.append(Replayed("same", group.readers[0], None))
                continue
            new = last[best.delivery_id]
            is_moved = new.state == "loaded" and not group.is_loaded
            outcome: Outcome = "moved" if is_moved else "changed"
            self._replayed.append(Replayed(outcome, best, new, new.reason))

    def _hours(self) -> tuple[datetime, ...]:
        """Return the hours that rows left or came into."""
        hours = set()
        for d in self._changes:
            before = self._ledger.get(d.delivery_id)
            states = [x for x in (before, d) if x is not None and x.state == "loaded"]
            hours |= {h.hour for x in states for h in x.hours}
        return tuple(sorted(hours))


def _object(d: Delivery) -> LandedObject:
    return LandedObject(d.key, d.etag, d.size_bytes, d.last_modified)


def _batches(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Split groups into batches of bounded number and size, like those of an ingest."""
    batch: list[Group] = []
    size = 0
    for group in groups:
        more = group.readers[0].size_bytes
        if batch and (len(batch) >= BATCH_DELIVERIES or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(group)
        size += more
    if batch:
        yield batch
