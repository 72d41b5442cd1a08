"""The plan of a batch: which deliveries change, to what, and which rejected lines that records.

Pure functions of the ledger and of what was read; they touch no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from lake.deliveries import Delivery, Target, Verdict, changed, settle
from lake.records import REJECTS
from lake.rejects import RejectedLine
from lake.staging import Staged

Change = tuple[Delivery, Target]


@dataclass(frozen=True)
class Amendment:
    """What reading them again changes of deliveries that the ledger knows.

    deliveries: by id, with the new facts and the ledger's state; only those that differ.
    notes: by id, what happened, for people. swapped: loaded ones whose rows go and come again.
    cleared: deliveries whose rejected lines go. rejects: by id, the lines that come instead.
    """

    deliveries: Mapping[str, Delivery] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    swapped: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()
    rejects: Mapping[str, Sequence[RejectedLine]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The changes of one batch, and the amendment they come with."""

    changes: Sequence[Change]
    amendment: Amendment

    @property
    def loading(self) -> list[Delivery]:
        """Return the deliveries whose rows come into bronze."""
        return [
            d
            for d, t in self.changes
            if t.state == "loaded" and (not d.is_loaded or d.delivery_id in self.amendment.swapped)
        ]

    def removed(self, ledger: Mapping[str, Delivery]) -> list[str]:
        """Return the deliveries whose rows leave bronze; those without a row are not named."""
        return [
            d.delivery_id
            for d, t in self.changes
            if d.is_loaded
            and (t.state != "loaded" or d.delivery_id in self.amendment.swapped)
            and ledger[d.delivery_id].accepted
        ]


def make_plan(
    sources: Iterable[str],
    ledger: Mapping[str, Delivery],
    staged: Mapping[str, Staged],
    released: frozenset[str],
    amendment: Amendment,
) -> Plan:
    """Return every delivery of the sources whose row in the ledger must change."""
    everything = {**ledger, **amendment.deliveries}
    for delivery_id, s in staged.items():
        everything.setdefault(delivery_id, s.delivery)
    for delivery_id in released:
        d = everything.get(delivery_id)
        if d is not None and d.verdict == "held":
            everything[delivery_id] = replace(
                d, verdict="released", reason=f"released by hand; was held: {d.reason}"
            )
    changes: list[Change] = []
    for name in sources:
        of_source = {i: d for i, d in everything.items() if d.source == name}
        targets = settle(of_source.values())
        for i, d in of_source.items():
            is_judged_anew = i in ledger and ledger[i].verdict != d.verdict
            if changed(d, targets[i]) or is_judged_anew or i in amendment.deliveries:
                changes.append((d, replace(targets[i], note=amendment.notes.get(i))))
    return Plan(changes, amendment)


def with_verdict(staged: Staged, failures: Mapping[str, str]) -> Staged:
    """Return it with what the audit said: held where its id is among the failures."""
    d = staged.delivery
    verdict: Verdict = d.verdict
    reason = d.reason
    if d.delivery_id in failures:
        verdict, reason = "held", failures[d.delivery_id]
    return replace(staged, delivery=replace(d, verdict=verdict, reason=reason))


def reject_rows(
    plan: Plan,
    staged: Mapping[str, Staged],
    ledger: Mapping[str, Delivery],
    batch: str,
    now: datetime,
) -> pa.Table:
    """Return the rejected lines of new contents: once per content, however often it came."""
    seen = {d.content_id for d in ledger.values() if d.lines is not None}
    rows: list[dict[str, object]] = []
    for d, _ in plan.changes:
        lines = plan.amendment.rejects.get(d.delivery_id)
        if lines is None:
            if d.change_no > 0 or d.delivery_id not in staged or d.content_id in seen:
                continue
            seen.add(d.content_id)
            lines = staged[d.delivery_id].rejects
        fixed = {
            "delivery_id": d.delivery_id,
            "source": d.source,
            "key": d.key,
            "parser_version": d.parser_version,
            "batch_id": batch,
            "rejected_at": now,
        }
        rows += [{**fixed, **vars(r)} for r in lines]
    return pa.Table.from_pylist(rows, schema=REJECTS.arrow)
