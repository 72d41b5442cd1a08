"""A batch that writes every table, and that it is in each of them once.

Belongs here: what is ingested, and what must be there in the end. Does not: the fault between.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from pyiceberg.table.snapshots import ancestors_of
from sqlalchemy.exc import OperationalError

from lake.batches import BATCH_KEY
from lake.records import REC_EVENTS

from ..rec_feed import REC, T0, events, key_of

TABLES = (REC, "ops.rejects", "ops.check_results", "ops.deliveries")


def prepare(box, make) -> None:
    """One loaded delivery, and then its replacement and a new one with a rejected line."""
    box.land(key_of(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    box.land(key_of(1), events(make, 2, 3), T0 + timedelta(hours=1))
    box.land(key_of(2), events(make, 4, bad=1), T0)


def all_is_there_once(box) -> None:
    rows = box.sql("select event_id from {} order by all", REC)
    assert [r[0] for r in rows] == ["e-2", "e-3", "e-4"]
    assert box.count("ops.rejects") == 1
    history = box.sql("select delivery_id, change_no from {}", "ops.deliveries")
    assert len(history) == len(set(history)) == 4
    for name in TABLES:
        table = box.catalog.load_table(name)
        batches = Counter(
            (s.summary[BATCH_KEY], s.summary.operation)
            for s in ancestors_of(table.current_snapshot(), table.metadata)
            if s.summary and BATCH_KEY in s.summary.additional_properties
        )
        assert max(batches.values()) == 1
        assert box.live_files(name) <= box.data_files(name)
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


def dropped() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))
