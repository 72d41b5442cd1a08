"""What the audit holds stays out until it is released or replaced; a broken one lets nothing in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lake.audit import AuditReport, BrokenAuditError
from lake.records import REC_EVENTS

from ..rec_feed import REC, T0, bronze_snapshots, events, ids, key_of, no_strays


def test_a_held_delivery_stays_out_and_its_neighbours_go_in(box, make):
    box.land(key_of(1), events(make, 1), T0)
    box.land(key_of(666), events(make, 2, bad=1), T0)
    box.audit.refuse = "666"
    assert box.run(REC_EVENTS).by_state == {"held": 1, "loaded": 1}
    assert ids(box) == ["e-1"]
    held = next(d for d in box.ledger().values() if d.state == "held")
    assert "expected no such word" in str(held.reason)
    no_strays(box)
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


def test_a_held_version_does_not_displace_the_loaded_one(box, make):
    box.land(key_of(666), events(make, 1), T0)
    box.run(REC_EVENTS)
    box.audit.refuse = "666"
    before = bronze_snapshots(box)
    box.land(key_of(666), events(make, 2), T0 + timedelta(hours=1))
    assert box.run(REC_EVENTS).by_state == {"held": 1}
    assert bronze_snapshots(box) == before
    assert ids(box) == ["e-1"]


def test_a_release_lets_a_held_delivery_in(box, make):
    box.land(key_of(666), events(make, 1, 2), T0)
    box.audit.refuse = "666"
    box.run(REC_EVENTS)
    (held,) = box.ledger()
    report = box.run(REC_EVENTS, released=[held])
    assert report.by_state == {"loaded": 1}
    assert ids(box) == ["e-1", "e-2"]
    assert box.ledger()[held].verdict == "released"
    assert "released by hand" in str(box.ledger()[held].reason)
    assert box.run(REC_EVENTS, released=[held]).changes == ()
    no_strays(box)


def test_a_held_delivery_is_replaced_by_a_better_one(box, make):
    path = box.land(key_of(666), events(make, 1), T0)
    box.audit.refuse = "666"
    box.run(REC_EVENTS)
    box.audit.refuse = None
    path.unlink()
    box.land(key_of(666), events(make, 1, 2), T0 + timedelta(hours=1))
    assert box.run(REC_EVENTS).by_state == {"loaded": 1, "replaced": 1}
    assert ids(box) == ["e-1", "e-2"]


def test_a_release_of_what_is_gone_is_reported_and_changes_nothing(box, make):
    path = box.land(key_of(666), events(make, 1), T0)
    box.audit.refuse = "666"
    box.run(REC_EVENTS)
    (held,) = box.ledger()
    path.unlink()
    before = box.snapshots()
    report = box.run(REC_EVENTS, released=[held])
    assert [(g.delivery_id, g.key) for g in report.gone] == [(held, key_of(666))]
    assert box.snapshots() == before
    no_strays(box)


def test_one_that_is_gone_does_not_stop_the_others(box, make):
    """Of three releases one has lost its object: two go in, and what is new beside them."""
    paths = [box.land(key_of(666 + n), events(make, n), T0) for n in range(3)]
    box.audit.refuse = "66"
    box.run(REC_EVENTS)
    held = sorted(box.ledger())
    paths[1].unlink()
    box.land(key_of(1), events(make, 9), T0)
    report = box.run(REC_EVENTS, released=held)
    assert report.by_state == {"loaded": 3}
    assert [g.key for g in report.gone] == [key_of(667)]
    assert ids(box) == ["e-0", "e-2", "e-9"]
    assert box.by_key()[key_of(667)] == ["held"]
    no_strays(box)


def raising(_subjects):
    raise ZeroDivisionError("the suite is broken")


@pytest.mark.parametrize(
    ("audit", "error"),
    [(raising, ZeroDivisionError), (lambda _: AuditReport(()), BrokenAuditError)],
    ids=["raises", "judges nothing"],
)
def test_a_broken_audit_blocks_and_leaves_nothing(box, make, audit, error):
    box.land(key_of(1), events(make, 1), T0)
    before = box.snapshots()
    with pytest.raises(error):
        box.run(REC_EVENTS, audit=audit)
    assert box.snapshots() == before
    assert box.data_files(REC) == set()
    assert box.run(REC_EVENTS).by_state == {"loaded": 1}
