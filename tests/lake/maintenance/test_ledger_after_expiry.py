"""Fault row 24: snapshots go, the ledger stays: what was delivered is known, batches are done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lake.batches import last_batch
from lake.commit import complete_pending, pending_batch

TABLES = ("bronze.rec_events", "ops.rejects", "ops.check_results", "ops.deliveries")


def expire_all_but_current(box, *identifiers):
    """Expire with pyiceberg itself, whatever the policy would have kept."""
    for identifier in identifiers:
        table = box.catalog.load_table(identifier)
        current = table.current_snapshot()
        gone = [s.snapshot_id for s in table.metadata.snapshots if s != current]
        if gone:
            table.maintenance.expire_snapshots().by_ids(gone).commit()


@pytest.fixture
def loaded(box, make):
    """Five deliveries in five batches, each with a line that is rejected."""
    for n in range(5):
        box.land(f"rec_events/{n}.gz", content(make, n))
        box.run()
    return box


def content(make, n):
    return make.file("rec_events", [make.numbered("rec_events", n), b"nonsense"])


def everything(box):
    return {t: box.rows(t) for t in TABLES}


@pytest.mark.parametrize("expired", [TABLES, ("ops.deliveries",), TABLES[:3]], ids=len)
def test_all_snapshots_but_the_current_expired_and_all_delivered_again_loads_nothing(
    loaded, make, expired
):
    before = everything(loaded)
    expire_all_but_current(loaded, *expired)
    later = loaded.now + timedelta(days=400)
    for n in range(5):
        loaded.land(f"rec_events/{n}.gz", content(make, n))  # the same names
    report = loaded.run()
    assert (report.changes, report.completed_batches) == ((), 0)
    assert everything(loaded) == before
    for n in range(5):
        loaded.land(f"rec_events/again-{n}.gz", content(make, n), later)  # other names
        loaded.land(f"rec_events/{n}.gz", content(make, n), later)  # the same, with another time
    report = loaded.run()
    assert {d.state for d in report.changes} == {"duplicate"}
    assert {t: loaded.rows(t) for t in TABLES[:3]} == {t: before[t] for t in TABLES[:3]}
    assert len(loaded.rows("bronze.rec_events")) == 5


@pytest.mark.parametrize("expired", [TABLES, ("ops.deliveries",), TABLES[:3]], ids=len)
def test_a_batch_that_is_done_stays_done_whatever_was_expired(loaded, expired):
    expire_all_but_current(loaded, *expired)
    assert pending_batch(loaded.catalog) is None
    assert complete_pending(loaded.catalog) == 0


@pytest.mark.parametrize("identifier", TABLES[:3])
def test_rows_tell_where_somebody_else_rewrote_a_table_and_expired_its_history(loaded, identifier):
    table = loaded.catalog.load_table(identifier)
    rows = table.scan().to_arrow()
    table.overwrite(rows)  # an engine that names no batch
    before = everything(loaded)
    expire_all_but_current(loaded, identifier)
    assert last_batch(loaded.catalog.load_table(identifier)) is None
    assert complete_pending(loaded.catalog) == 0
    assert everything(loaded) == before
