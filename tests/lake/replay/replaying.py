"""A replay of a lake box after its source file or its parser changed.

Belongs here: the change, the replay and that another one does nothing. Does not: what moves.
"""

from __future__ import annotations

from datetime import timedelta

import lake.ingest
from lake.ledger import Ledger
from lake.records import REC_EVENTS
from lake.replay import Replay
from lake.selection import Selection
from lake.versions import hour_versions

from ..rec_feed import no_strays

NARROW, WIDE = timedelta(0), timedelta(hours=2)


def with_late(box, late: timedelta, **changes):
    """Change the source file of the recommendation events."""
    source = box.sources["rec_events"]
    period = source.period.model_copy(update={"late": late})
    changed = source.model_copy(update={"period": period, **changes})
    box.sources = {**box.sources, "rec_events": changed}


def replay(box, selection=None, *, is_dry: bool = False, record=REC_EVENTS, **changes):
    box.now += timedelta(seconds=1)
    one = box.ingest_of(record)
    given = {
        f: getattr(one, f)
        for f in ("catalog", "landing", "sources", "record", "audit", "protection", "now")
    }
    return Replay(**{**given, **changes}).run(selection or Selection(), is_dry=is_dry)


def versions(box) -> dict:
    with Ledger(box.catalog.load_table("ops.deliveries")) as ledger:
        return {hour.hour: v for (_, hour), v in hour_versions(ledger).items()}


def nothing_more(box, selection=None) -> None:
    """Assert that the same replay again, and an ingest, leave every table as it is."""
    before = box.snapshots()
    report = replay(box, selection)
    assert report.changes == ()
    assert set(report.by_outcome) <= {"same"}
    assert box.run().changes == ()
    assert box.snapshots() == before
    no_strays(box)


def new_parser(monkeypatch) -> None:
    family = type(lake.ingest.family_of("rec_events"))
    monkeypatch.setattr(family, "version", 99, raising=False)
    monkeypatch.setattr(family, "parser_version", property(lambda self: "rec_events/99"))
