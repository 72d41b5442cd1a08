"""A replay beside an ingest and beside another replay."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lake.records import REC_EVENTS

from ..rec_feed import T0, assert_lines_add_up, events, ids, key_of
from .replaying import NARROW, WIDE, nothing_more, replay, with_late

POINTS = ("listed", "staged", "audited", "manifest_written", "deliveries_committed",
          "bronze_committed", "rejects_committed")  # fmt: skip


@pytest.mark.parametrize("at", POINTS)
def test_a_replay_beside_an_ingest_and_another_replay(box, make, monkeypatch, at):
    """While one replay is at a point, another runs, and an ingest with a copy and a new version."""
    with_late(box, NARROW)
    box.land(key_of(1), events(make, 0, 1, 2, late=1, bad=1), T0)
    box.land(key_of(2), events(make, 3, 4, late=1), T0)
    box.run(REC_EVENTS)
    with_late(box, WIDE)
    calls: list[int] = []

    def other() -> None:
        replay(box)
        box.land(key_of(3), events(make, 0, 1, 2, late=1, bad=1), T0)
        box.land(key_of(2), events(make, 4, 5), T0 + timedelta(hours=1))
        box.run(REC_EVENTS)

    def hook(name: str) -> None:
        if name == at and not calls:
            calls.append(1)
            other()

    for module in ("lake.replay", "lake.ingest", "lake.commit"):
        monkeypatch.setattr(f"{module}.crashpoint", hook)
    replay(box)
    assert calls
    box.run(REC_EVENTS)
    assert ids(box) == ["e-0", "e-1", "e-2", "e-4", "e-5"]
    assert_lines_add_up(box)
    nothing_more(box)
    history = box.sql("select delivery_id, change_no from {}", "ops.deliveries")
    assert len(history) == len(set(history))
