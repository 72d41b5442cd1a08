"""Which deliveries a replay reads again, and which of them have to be looked at together.

Pure functions of the ledger; they touch no table and no object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake.deliveries import Delivery
from lake.source import Source
from lake.staging import content_id

#: states a replay can be asked for; the others hang on one of these
STATES = ("held", "rejected", "loaded")


@dataclass(frozen=True)
class Selection:
    """Conditions that must all hold; an empty one does not count.

    reasons: why lines were rejected, or the first word of why a delivery is held or refused.
    since, until: half-open, in event time: the delivery has events in it; where none is known, its
    nominal period or else its arrival is. states: without any, what may have something to gain:
    held and refused deliveries, and loaded ones with rejected lines.
    """

    sources: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    delivery_ids: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, d: Delivery, line_reasons: frozenset[str]) -> bool:
        """Tell whether a delivery is meant; line_reasons: why lines of its content were rejected.

        Not meant are those that do not count by themselves: replaced ones and duplicates.
        """
        if d.state not in (self.states or STATES):
            return False
        if not self.states and not self.delivery_ids and d.state == "loaded" and not d.rejected:
            return False
        why = line_reasons | _words(d)
        return (
            (not self.sources or d.source in self.sources)
            and (not self.delivery_ids or d.delivery_id in self.delivery_ids)
            and (not self.reasons or bool(self.reasons & why))
            and self._touches(d)
        )

    def _touches(self, d: Delivery) -> bool:
        if d.hours:
            spans = [(h.hour, h.hour + timedelta(hours=1)) for h in d.hours]
        elif d.period_start is not None and d.period_end is not None:
            spans = [(d.period_start, d.period_end)]
        else:
            spans = [(d.last_modified, d.last_modified + timedelta(microseconds=1))]
        return any(
            (self.since is None or end > self.since) and (self.until is None or start < self.until)
            for start, end in spans
        )


def _words(d: Delivery) -> frozenset[str]:
    """Return the first word of every reason a held or refused delivery has."""
    if d.state not in ("held", "rejected") or not d.reason:
        return frozenset()
    return frozenset(part.split(":")[0].strip() for part in d.reason.split("; "))


@dataclass(frozen=True)
class Group:
    """Deliveries of one content, by what their names declare now: one reading speaks for all.

    readers: whom to read, in order of preference; only the carrier where the content is loaded.
    """

    content_id: str
    source: Source
    members: tuple[Delivery, ...]
    readers: tuple[Delivery, ...]

    @property
    def is_loaded(self) -> bool:
        """Tell whether its rows are in bronze."""
        return any(d.is_loaded for d in self.members)


def groups_of(
    selected: Iterable[Delivery], ledger: Mapping[str, Delivery], sources: Mapping[str, Source]
) -> list[Group]:
    """Return the selected deliveries with every other one of their content.

    Content is taken as the source declares it now and as the ledger had it: a changed period of
    the source may part what was a duplicate, or join what was not.
    """
    chosen = list(selected)
    before = {d.content_id for d in chosen}
    bytes_of = {(d.source, d.content_sha256) for d in chosen}
    near = [
        (d, content_id(sources[d.source], d.key, d.content_sha256))
        for d in ledger.values()
        if (d.source, d.content_sha256) in bytes_of
    ]
    after = {now for d, now in near if d.content_id in before}
    found: dict[str, list[Delivery]] = {}
    for d, now in near:
        if d.content_id in before or now in after:
            found.setdefault(now, []).append(d)
    groups = []
    for content, members in found.items():
        ordered = sorted(members, key=lambda d: (*d.order, d.key), reverse=True)
        carriers = [d for d in ordered if d.is_loaded]
        readers = carriers[-1:] or ordered
        groups.append(Group(content, sources[members[0].source], tuple(ordered), tuple(readers)))
    return sorted(groups, key=lambda g: (*g.readers[0].order, g.readers[0].key))
