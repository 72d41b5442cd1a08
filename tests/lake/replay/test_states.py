"""A replay of what is held, refused, released, gone or read better before."""

from __future__ import annotations

from lake.limits import Limits
from lake.records import REC_EVENTS
from lake.selection import Selection

from ..rec_feed import T0, assert_lines_add_up, events, ids, key_of, no_strays
from .replaying import NARROW, WIDE, nothing_more, replay, with_late


def test_held_deliveries_are_judged_again(box, make):
    box.land(key_of(666), events(make, 1, bad=1), T0)
    box.land(key_of(667), events(make, 2), T0)
    box.audit.refuse = "66"
    box.run(REC_EVENTS)
    assert replay(box).by_outcome == {"same": 2}
    box.audit.refuse = "667"
    report = replay(box, Selection(states=frozenset(["held"])))
    assert report.by_outcome == {"moved": 1, "same": 1}
    assert ids(box) == ["e-1"]
    assert box.by_key() == {key_of(666): ["loaded"], key_of(667): ["held"]}
    assert_lines_add_up(box)
    nothing_more(box)


def test_refused_files_are_read_again_under_other_caps(box, make):
    with_late(box, NARROW, limits=Limits(max_inflated_bytes=100))
    box.land(key_of(1), events(make, 1, 2, 3), T0)
    box.land(key_of(2), events(make, 1, 2, 3), T0)
    box.run(REC_EVENTS)
    assert {d.state for d in box.ledger().values()} == {"rejected"}
    assert replay(box).by_outcome == {"same": 1}
    with_late(box, NARROW, limits=Limits())
    report = replay(box)
    assert report.by_outcome == {"moved": 1}
    assert ids(box) == ["e-1", "e-2", "e-3"]
    assert sorted(d.state for d in box.ledger().values()) == ["duplicate", "loaded"]
    assert_lines_add_up(box)
    nothing_more(box)


def test_a_worse_reading_does_not_take_loaded_rows_away(box, make):
    box.land(key_of(1), events(make, 0, 1, 2, late=1), T0)
    with_late(box, WIDE)
    box.run(REC_EVENTS)
    loaded = Selection(states=frozenset(["loaded"]))
    before = box.snapshots()
    with_late(box, NARROW)
    report = replay(box, loaded)
    assert report.by_outcome == {"kept": 1}
    assert "2 lines, 3 are loaded" in report.replayed[0].reason
    box.audit.refuse = "rec-1"
    with_late(box, WIDE)
    assert replay(box, loaded).by_outcome == {"kept": 1}
    box.audit.refuse = None
    with_late(box, WIDE, limits=Limits(max_inflated_bytes=100))
    assert replay(box, loaded).by_outcome == {"kept": 1}
    assert box.snapshots() == before
    no_strays(box)
    with_late(box, NARROW, limits=Limits())
    assert replay(box, loaded, takes_fewer=True).by_outcome == {"changed": 1}
    assert ids(box) == ["e-1", "e-2"]
    assert_lines_add_up(box)


def test_what_is_gone_from_landing_is_reported_and_stays(box, make):
    with_late(box, NARROW)
    path = box.land(key_of(1), events(make, 0, 1, late=1), T0)
    box.land(key_of(2), events(make, 0, 2, 3, late=1), T0)
    box.run(REC_EVENTS)
    path.unlink()
    with_late(box, WIDE)
    report = replay(box)
    assert report.by_outcome == {"changed": 1, "gone": 1}
    assert ids(box) == ["e-0", "e-1", "e-2", "e-3"]
    assert_lines_add_up(box)


def test_a_release_survives_a_replay(box, make):
    with_late(box, NARROW)
    box.land(key_of(666), events(make, 0, 1, late=1), T0)
    box.audit.refuse = "666"
    box.run(REC_EVENTS)
    (held,) = box.ledger()
    box.run(REC_EVENTS, released=[held])
    with_late(box, WIDE)
    assert replay(box).by_outcome == {"changed": 1}
    assert ids(box) == ["e-0", "e-1"]
    assert box.ledger()[held].verdict == "released"
    assert_lines_add_up(box)
    nothing_more(box)
