"""What a replay takes: by reason, source, time, state and delivery."""

from __future__ import annotations

from lake.records import REC_EVENTS
from lake.selection import Selection

from ..rec_feed import T0, events, key_of
from .replaying import NARROW, replay, with_late


def test_selection_by_reason_source_time_state_and_delivery(box, make):
    with_late(box, NARROW)
    box.land(key_of(1), events(make, 0, 1, late=1), T0)
    box.land(key_of(2, 11), events(make, 2, hour=11, bad=1), T0)
    box.land(key_of(666, 12), events(make, 3, hour=12), T0)
    box.audit.refuse = "666"
    box.run(REC_EVENTS)
    by_key = {d.key: d for d in box.ledger().values()}

    def taken(**conditions) -> set[str]:
        report = replay(box, Selection(**conditions), is_dry=True)
        return {r.before.key for r in report.replayed}

    everything = {key_of(1), key_of(2, 11), key_of(666, 12)}
    assert taken() == everything
    assert taken(sources=frozenset(["other"])) == set()
    assert taken(sources=frozenset(["rec_events"])) == everything
    assert taken(reasons=frozenset(["invalid_json"])) == {key_of(2, 11)}
    assert taken(reasons=frozenset(["word"])) == {key_of(666, 12)}
    assert taken(states=frozenset(["held"])) == {key_of(666, 12)}
    assert taken(since=T0.replace(hour=11)) == {key_of(2, 11), key_of(666, 12)}
    assert taken(until=T0.replace(hour=11)) == {key_of(1)}
    chosen = frozenset([by_key[key_of(2, 11)].delivery_id])
    assert taken(delivery_ids=chosen) == {key_of(2, 11)}
