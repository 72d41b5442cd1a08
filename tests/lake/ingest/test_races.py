"""Two workers on one landing: each is stopped at a point while the other runs."""

from __future__ import annotations

from datetime import timedelta

import pytest

import lake.ingest
from lake.commit import LostRaceError
from lake.records import REC_EVENTS

from ..rec_feed import REC, T0, events, ids, key_of, no_strays


def interleave(monkeypatch, at: str, other) -> list[int]:
    """Run another worker once, when the first one reaches a point."""
    calls: list[int] = []

    def hook(name: str) -> None:
        if name == at and not calls:
            calls.append(1)
            other()

    monkeypatch.setattr(lake.ingest, "crashpoint", hook)
    monkeypatch.setattr("lake.commit.crashpoint", hook)
    return calls


POINTS = (
    "listed",
    "staged",
    "audited",
    "manifest_written",
    "deliveries_committed",
    "bronze_committed",
    "rejects_committed",
)


@pytest.mark.parametrize("at", POINTS)
def test_two_workers_on_the_same_delivery_load_it_once(box, make, monkeypatch, at):
    box.land(key_of(1), events(make, 1, 2, bad=1), T0)
    calls = interleave(monkeypatch, at, lambda: box.run(REC_EVENTS))
    box.run(REC_EVENTS)
    assert calls
    assert ids(box) == ["e-1", "e-2"]
    assert box.count("ops.rejects") == 1
    assert [d.change_no for d in box.ledger().values()] == [1]
    no_strays(box)
    assert box.live_files(REC) <= box.data_files(REC)


@pytest.mark.parametrize("at", POINTS)
def test_two_workers_on_different_deliveries_lose_nothing(box, make, monkeypatch, at):
    def other() -> None:
        box.land(key_of(2), events(make, 3, bad=1), T0)
        box.land(key_of(3), events(make, 1, 2, bad=1), T0)
        box.run(REC_EVENTS)

    box.land(key_of(1), events(make, 1, 2, bad=1), T0)
    calls = interleave(monkeypatch, at, other)
    box.run(REC_EVENTS)
    assert calls
    assert ids(box) == ["e-1", "e-2", "e-3"]
    assert box.count("ops.rejects") == 2
    assert sorted(d.state for d in box.ledger().values()) == ["duplicate", "loaded", "loaded"]
    no_strays(box)
    assert box.live_files(REC) <= box.data_files(REC)


@pytest.mark.parametrize("at", POINTS[:-1])
def test_a_replacement_that_arrives_meanwhile_wins(box, make, monkeypatch, at):
    def other() -> None:
        box.land(key_of(1), events(make, 3), T0 + timedelta(hours=1))
        box.run(REC_EVENTS)

    box.land(key_of(1), events(make, 1, 2), T0)
    calls = interleave(monkeypatch, at, other)
    box.run(REC_EVENTS)
    assert calls
    assert ids(box) == ["e-3"]
    no_strays(box)


def test_a_lost_race_is_told_apart_from_a_broken_commit(box, make):
    handles = lake.ingest.open_handles(box.catalog, REC_EVENTS)
    box.land(key_of(1), events(make, 1), T0)
    box.run(REC_EVENTS)
    from lake.commit import _strict

    with pytest.raises(LostRaceError):
        _strict(handles.ledger, sorted(box.data_files("ops.deliveries")), [], {})
    assert ids(box) == ["e-1"]
