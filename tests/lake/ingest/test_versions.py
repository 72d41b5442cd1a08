"""Another version of a key: the later one takes the place of the earlier, whichever came first."""

from __future__ import annotations

from datetime import timedelta

from lake.records import REC_EVENTS

from ..rec_feed import REC, T0, bronze_snapshots, events, ids, key_of, no_strays


def test_a_replacement_is_one_snapshot_and_makes_the_hours_stale(box, make):
    box.land(key_of(1), events(make, 1, 2, 3), T0)
    box.land(key_of(9, hour=11), events(make, 9, hour=11), T0)
    box.run(REC_EVENTS)
    before, versions = bronze_snapshots(box), box.versions()
    box.land(key_of(1), events(make, 3, 4), T0 + timedelta(hours=1))
    assert box.run(REC_EVENTS).by_state == {"loaded": 1, "replaced": 1}
    assert ids(box) == ["e-3", "e-4", "e-9"]
    table = box.catalog.load_table(REC)
    manifests = [s.summary.get("weir.manifest") for s in table.metadata.snapshots[before:]]
    assert len(set(manifests)) == 1
    now = box.versions()
    changed = {start.hour for (_, start) in now if now[_, start] != versions[_, start]}
    assert changed == {10}


def test_readers_never_see_the_replacement_half_done(box, make):
    """Delete and append are two snapshots of one commit: the catalog's pointer moves once."""
    box.land(key_of(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    log = len(box.catalog.load_table(REC).metadata.metadata_log)
    box.land(key_of(1), events(make, 3), T0 + timedelta(hours=1))
    box.run(REC_EVENTS)
    assert len(box.catalog.load_table(REC).metadata.metadata_log) == log + 1


def test_an_older_version_seen_later_changes_nothing(box, make):
    path = box.land(key_of(1), events(make, 3), T0 + timedelta(hours=1))
    box.run(REC_EVENTS)
    before = bronze_snapshots(box)
    path.unlink()
    box.land(key_of(1), events(make, 1, 2), T0)
    assert box.run(REC_EVENTS).by_state == {"replaced": 1}
    assert bronze_snapshots(box) == before
    assert ids(box) == ["e-3"]
    no_strays(box)


def test_a_version_without_a_good_line_empties_its_delivery(box, make):
    box.land(key_of(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    box.land(key_of(1), b"nonsense\n\n", T0 + timedelta(hours=1))
    report = box.run(REC_EVENTS)
    assert report.by_state == {"loaded": 1, "replaced": 1}
    assert ids(box) == []
    assert box.versions() == {}
    assert len(box.audit.seen) == 2
