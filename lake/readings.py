"""What was read again, against what the ledger and the tables hold of it.

A reading belongs to a content: every delivery of that content gets its facts, so that none of them
says something else of the same bytes. Rows and rejected lines are compared as they are, line by
line; what is equal is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyiceberg.expressions import EqualTo, In
from pyiceberg.table import Table

from lake.commit import Handles
from lake.deliveries import Delivery, same_facts, with_facts
from lake.plan import Amendment
from lake.reads import connect, files_sql, quote_literal, relation_sql
from lake.rejects import RejectedLine
from lake.staging import Staged

#: column of a row that differs from one reading to the next of the same bytes
_UNSTABLE = "ingested_at"
_REJECT_COLUMNS = ("line", "byte_offset", "byte_length", "raw_sha256", "reason", "excerpt")


@dataclass(frozen=True)
class Reading:
    """A content read again: the delivery it was read as, judged, and the members it speaks for.

    members: content id by delivery id, as the names declare it now.
    """

    staged: Staged
    members: Mapping[str, str]

    @property
    def carrier(self) -> str:
        """Return the delivery whose rows the staged files are."""
        return self.staged.delivery.delivery_id


@dataclass
class Readings:
    """The readings of a run."""

    readings: list[Reading] = field(default_factory=list)
    _rows: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def amendment(self, handles: Handles, ledger: Mapping[str, Delivery]) -> Amendment:
        """Return what the readings change of a ledger; nothing where everything is as it was."""
        found = [self._amend(handles, ledger, r) for r in self.readings]
        return Amendment(
            {i: d for a in found for i, d in a.deliveries.items()},
            {i: n for a in found for i, n in a.notes.items()},
            frozenset(i for a in found for i in a.swapped),
            frozenset(i for a in found for i in a.cleared),
            {i: lines for a in found for i, lines in a.rejects.items()},
        )

    def _amend(
        self, handles: Handles, ledger: Mapping[str, Delivery], reading: Reading
    ) -> Amendment:
        read = reading.staged.delivery
        contents = {**reading.members}
        for d in ledger.values():  # copies that came since
            if d.source == read.source and d.content_id == read.content_id:
                contents.setdefault(d.delivery_id, d.content_id)
        members = {i: ledger[i] for i in contents if i in ledger}
        carrier = members.get(reading.carrier)
        is_here = carrier is not None and carrier.is_loaded
        if not is_here and any(d.is_loaded for d in members.values()):
            return Amendment()  # another worker gave the rows to another name: the next run sees
        new = {i: self._judged(replace(d, content_id=contents[i]), read)
               for i, d in members.items()}  # fmt: skip
        swapped: frozenset[str] = frozenset()
        if carrier is not None and carrier.is_loaded:
            digest = self._rows_differ(handles.bronze, carrier, reading.staged)
            if digest is not None:
                new[reading.carrier] = replace(new[reading.carrier], rows_id=digest)
                swapped = frozenset([reading.carrier])
        cleared, rejects = _rejects(handles.rejects, members, reading)
        touched = {i for i, d in new.items() if d != members[i]} | swapped | rejects.keys()
        return Amendment(
            {i: new[i] for i in touched},
            {i: _note(members[i], new[i]) for i in touched},
            swapped,
            cleared,
            rejects,
        )

    @staticmethod
    def _judged(d: Delivery, read: Delivery) -> Delivery:
        """Return a member with the reading's facts; a person's release stands."""
        new = with_facts(d, read)
        if d.verdict == "released" and read.verdict != "rejected":
            return new
        if d.verdict == read.verdict and same_facts(d, new):
            return new  # the same again: its words stay
        return replace(new, verdict=read.verdict, reason=read.reason)

    def _rows_differ(self, bronze: Table, d: Delivery, staged: Staged) -> str | None:
        """Return a digest of the new rows where bronze has others; looked up once a change."""
        key = (d.delivery_id, d.change_no)
        if key not in self._rows:
            self._rows[key] = rows_differ(bronze, d.delivery_id, [f.uri for f in staged.files])
        return self._rows[key]


def rows_differ(bronze: Table, delivery_id: str, uris: Sequence[str]) -> str | None:
    """Compare a delivery's rows in bronze with staged files, line by line.

    Returns None where they are equal but for the instant of the ingest, else a digest of the new
    rows that neither their order nor the instant changes.
    """
    old = relation_sql(bronze, row_filter=EqualTo("delivery_id", delivery_id))
    new = files_sql(bronze.schema().fields, uris)
    with connect(bronze) as connection:
        connection.execute(
            f"create view o as select * exclude ({_UNSTABLE}) from ({old}) "
            f"where delivery_id = {quote_literal(delivery_id)}"
        )
        connection.execute(f"create view n as select * exclude ({_UNSTABLE}) from ({new})")
        differ = connection.execute(
            "select count(*) from o full join n using (source_line) "
            "where o.delivery_id is null or n.delivery_id is null or o is distinct from n"
        ).fetchall()[0][0]
        if not differ:
            return None
        parts = connection.execute(
            "select count(*), sum(hash(n)::hugeint), bit_xor(hash(n)) from n"
        ).fetchall()[0]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _rejects(
    table: Table, members: Mapping[str, Delivery], reading: Reading
) -> tuple[frozenset[str], dict[str, Sequence[RejectedLine]]]:
    """Return whose rejected lines go and which come; nothing where they are the same."""
    if reading.staged.delivery.lines is None or not members:
        return frozenset(), {}
    found = known_rejects(table, members)
    wanted = sorted(tuple(getattr(r, c) for c in _REJECT_COLUMNS) for r in reading.staged.rejects)
    there = sorted(tuple(r[c] for c in _REJECT_COLUMNS) for r in found)
    if there == wanted:
        return frozenset(), {}
    cleared = frozenset(str(r["delivery_id"]) for r in found)
    owner = min(cleared) if cleared else min(members, key=lambda i: (*members[i].order, i))
    return cleared, {owner: reading.staged.rejects}


def known_rejects(table: Table, delivery_ids: Iterable[str]) -> list[dict[str, object]]:
    """Return the rejected lines that are recorded of deliveries: their id and what is compared."""
    if table.current_snapshot() is None:
        return []
    wanted = In("delivery_id", tuple(delivery_ids))
    rows = table.scan(row_filter=wanted, selected_fields=("delivery_id", *_REJECT_COLUMNS))
    return list(rows.to_arrow().to_pylist())


def _note(before: Delivery, after: Delivery) -> str:
    """Say what reading it again changed."""
    was = f"replayed, was {before.state}"
    if before.state in ("held", "rejected") and before.reason:
        was += f" ({before.reason})"
    if after.lines is not None:
        was += f": {after.accepted} of {after.lines} lines accepted"
        if before.lines is not None and before.accepted != after.accepted:
            was += f", before {before.accepted}"
    if before.parser_version != after.parser_version:
        was += f"; {before.parser_version} to {after.parser_version}"
    return was
