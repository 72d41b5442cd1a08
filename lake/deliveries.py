"""Deliveries: what the ledger knows of each object version, and which of them count.

`settle` is the whole rule of replacement and duplication, as a pure function of the facts: the
order in which versions were seen does not enter, but for one thing that rows do not show, namely
which of several deliveries of the same content carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lake.catalog import table_of
from lake.reads import connect, relation_sql
from lake.records import DELIVERIES

State = Literal["held", "loaded", "replaced", "duplicate", "rejected"]
Verdict = Literal["passed", "held", "released", "rejected"]


@dataclass(frozen=True)
class HourRows:
    """Accepted rows of a delivery in one hour of event time."""

    hour: datetime
    rows: int


@dataclass(frozen=True)
class Delivery:
    """One object version with its facts, verdict and state: a row of ops.deliveries.

    change_no 0 and state "rejected" stand for a version that is not in the ledger yet.
    """

    delivery_id: str
    change_no: int
    changed_at: datetime
    batch_id: str
    source: str
    table_name: str
    key: str
    etag: str
    size_bytes: int
    last_modified: datetime
    state: State
    verdict: Verdict
    reason: str | None
    other_delivery_id: str | None
    content_id: str
    content_sha256: str
    parser_version: str
    period_start: datetime | None
    period_end: datetime | None
    lines: int | None
    accepted: int | None
    rejected: int | None
    header: int | None
    blank: int | None
    event_time_min: datetime | None
    event_time_max: datetime | None
    lateness_s: int | None
    hours: tuple[HourRows, ...]
    unknown_fields: tuple[str, ...] = ()
    geo_version: str | None = None
    rows_id: str | None = None

    @property
    def is_loaded(self) -> bool:
        """Tell whether its rows are in bronze."""
        return self.change_no > 0 and self.state == "loaded"

    @property
    def is_loadable(self) -> bool:
        """Tell whether its content may be in bronze."""
        return self.verdict in ("passed", "released")

    @property
    def order(self) -> tuple[datetime, str]:
        """Return what orders the versions of a key."""
        return self.last_modified, self.etag


@dataclass(frozen=True)
class Target:
    """The state a delivery should be in, the delivery that explains it, and what else to say."""

    state: State
    other_delivery_id: str | None = None
    note: str | None = None


def settle(deliveries: Iterable[Delivery]) -> dict[str, Target]:
    """Return the state each delivery of one source should be in.

    Of each key the newest loadable version counts; a held or refused one does not displace it.
    Of equal contents one delivery is loaded: the one that already is, else the earliest.
    """
    known = list(deliveries)
    current: dict[str, Delivery] = {}
    for d in known:
        best = current.get(d.key)
        if d.is_loadable and (best is None or best.order < d.order):
            current[d.key] = d
    carriers = _carriers(known, current)
    return {d.delivery_id: _target(d, current.get(d.key), carriers) for d in known}


def _carriers(known: list[Delivery], current: Mapping[str, Delivery]) -> dict[str, Delivery]:
    """Return for each wanted content the delivery that is to carry it."""
    wanted: dict[str, list[Delivery]] = {}
    for d in current.values():
        wanted.setdefault(d.content_id, []).append(d)
    loaded: dict[str, list[Delivery]] = {}
    for d in known:
        if d.is_loaded and d.is_loadable and d.content_id in wanted:
            loaded.setdefault(d.content_id, []).append(d)
    return {
        content: min(loaded.get(content) or candidates, key=lambda d: (*d.order, d.key))
        for content, candidates in wanted.items()
    }


def _target(d: Delivery, current: Delivery | None, carriers: Mapping[str, Delivery]) -> Target:
    carrier = carriers.get(d.content_id)
    if d.is_loadable and carrier is not None and carrier.delivery_id == d.delivery_id:
        return Target("loaded")
    if current is not None and current.delivery_id != d.delivery_id:
        if d.is_loadable and d.content_id == current.content_id:
            return Target("duplicate", carriers[d.content_id].delivery_id)
        if d.order < current.order:
            return Target("replaced", current.delivery_id)
    if d.is_loadable:
        return Target("duplicate", carriers[d.content_id].delivery_id)
    return Target("held" if d.verdict == "held" else "rejected")


def changed(d: Delivery, target: Target) -> bool:
    """Tell whether the ledger must record a change."""
    return d.change_no == 0 or (d.state, d.other_delivery_id) != (
        target.state,
        target.other_delivery_id,
    )


def record(d: Delivery, target: Target, batch_id: str, at: datetime) -> Delivery:
    """Return the next row of a delivery's history."""
    reason = d.reason
    if target.state == "replaced":
        reason = f"a later version of {d.key} counts"
    elif target.state == "duplicate":
        reason = "the same content is loaded already"
    elif target.state == "loaded":
        reason = d.reason if d.verdict == "released" else None
    if target.note:
        reason = f"{target.note}; {reason}" if reason else target.note
    return replace(
        d,
        change_no=d.change_no + 1,
        changed_at=at,
        batch_id=batch_id,
        state=target.state,
        other_delivery_id=target.other_delivery_id,
        reason=reason,
    )


#: what reading a content gives, whatever the delivery that it came as
FACTS = (
    "content_sha256", "parser_version", "period_start", "period_end", "lines", "accepted",
    "rejected", "header", "blank", "event_time_min", "event_time_max", "hours", "unknown_fields",
    "geo_version",
)  # fmt: skip


def with_facts(d: Delivery, read: Delivery) -> Delivery:
    """Return a delivery with the facts of another of the same content."""
    found = {name: getattr(read, name) for name in FACTS}
    return replace(d, **found, lateness_s=lateness(d, read))


def same_facts(one: Delivery, other: Delivery) -> bool:
    """Tell whether two readings say the same of a content."""
    return all(getattr(one, name) == getattr(other, name) for name in FACTS)


def lateness(d: Delivery, read: Delivery) -> int | None:
    """Return how long after its period, or its latest event, an object arrived, seconds.

    None for an object that was refused.
    """
    if read.lines is None:
        return None
    due = read.period_end or read.event_time_max
    return int((d.last_modified - due).total_seconds()) if due else None


#: the current row of every delivery of a history
CURRENT = """
select * from ({history}) h
qualify row_number() over (partition by delivery_id order by change_no desc, changed_at desc) = 1
"""


def read_ledger(catalog: Catalog) -> dict[str, Delivery]:
    """Return the current row of every delivery, by id."""
    table = table_of(catalog, DELIVERIES)
    with connect(table) as connection:
        rows = connection.sql(CURRENT.format(history=relation_sql(table))).to_arrow_table()
    return deliveries_of(rows)


def history_of(catalog: Catalog, delivery_id: str) -> list[Delivery]:
    """Return every change of a delivery, in order."""
    table = table_of(catalog, DELIVERIES)
    with connect(table) as connection:
        rows = connection.sql(
            f"select * from ({relation_sql(table)}) where delivery_id = $1 order by change_no",
            params=[delivery_id],
        ).to_arrow_table()
    return [d for i in range(rows.num_rows) for d in deliveries_of(rows.slice(i, 1)).values()]


def deliveries_of(rows: pa.Table) -> dict[str, Delivery]:
    """Return rows of ops.deliveries by delivery id; one row a delivery."""
    found = {}
    for row in rows.to_pylist():
        hours = tuple(HourRows(**h) for h in row.pop("hours") or ())
        unknown = tuple(row.pop("unknown_fields") or ())
        found[row["delivery_id"]] = Delivery(**row, hours=hours, unknown_fields=unknown)
    return found


def to_arrow(deliveries: Iterable[Delivery]) -> pa.Table:
    """Return rows of ops.deliveries."""
    return pa.Table.from_pylist([asdict(d) for d in deliveries], schema=DELIVERIES.arrow)
