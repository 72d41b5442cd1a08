"""A replay after a fix: what now parses moves, what is the same stays, twice is once."""

from __future__ import annotations

from lake.records import CDN_REQUESTS, REC_EVENTS
from lake.selection import Selection

from ..rec_feed import CDN, REC, T0, assert_lines_add_up, events, ids, key_of, no_strays
from .replaying import NARROW, WIDE, new_parser, nothing_more, replay, versions, with_late


def test_rejected_lines_that_now_parse_move_into_bronze(box, make):
    with_late(box, NARROW)
    box.land(key_of(1), events(make, 0, 1, 2, 3, late=2, bad=1), T0)
    box.land(key_of(9, 14), events(make, 9, hour=14), T0)
    box.run(REC_EVENTS)
    assert ids(box) == ["e-2", "e-3", "e-9"]
    before = versions(box)
    with_late(box, WIDE)
    log = len(box.catalog.load_table(REC).metadata.metadata_log)
    report = replay(box)
    assert report.by_outcome == {"changed": 1}
    assert ids(box) == ["e-0", "e-1", "e-2", "e-3", "e-9"]
    # one transaction: the catalog's pointer moved once
    assert len(box.catalog.load_table(REC).metadata.metadata_log) == log + 1
    assert box.sql("select line, reason from {}", "ops.rejects") == [(5, "invalid_json")]
    (d,) = [d for d in box.ledger().values() if d.key == key_of(1)]
    assert (d.change_no, d.state, d.accepted, d.rejected) == (2, "loaded", 4, 1)
    assert "replayed" in d.reason
    assert "before 2" in d.reason
    after = versions(box)
    assert {h for h in after if after[h] != before.get(h)} == {10, 11}
    assert [h.hour for h in report.hours] == [10, 11]
    assert_lines_add_up(box)
    nothing_more(box)


def test_a_dry_run_says_the_same_and_changes_nothing(box, make):
    with_late(box, NARROW)
    box.land(key_of(1), events(make, 0, 1, 2, late=2), T0)
    box.run(REC_EVENTS)
    with_late(box, WIDE)
    before = box.snapshots()
    dry = replay(box, is_dry=True)
    assert box.snapshots() == before
    no_strays(box)
    real = replay(box)
    assert dry.by_outcome == real.by_outcome == {"changed": 1}
    assert [(d.delivery_id, d.state, d.accepted) for d in dry.changes] == [
        (d.delivery_id, d.state, d.accepted) for d in real.changes
    ]
    assert dry.hours == real.hours


def test_a_replay_that_reads_the_same_changes_nothing(box, make):
    box.land(key_of(1), events(make, 1, 2, bad=2), T0)
    box.land(key_of(2), events(make, 1, 2, bad=2), T0)
    box.run(REC_EVENTS)
    nothing_more(box, Selection(states=frozenset(["loaded"])))


def test_a_duplicate_is_not_promoted_when_its_carrier_is_read_again(box, make):
    with_late(box, NARROW)
    for n in (1, 2, 3):
        box.land(key_of(n), events(make, 0, 1, 2, late=1), T0)
    box.run(REC_EVENTS)
    with_late(box, WIDE)
    replay(box)
    assert ids(box) == ["e-0", "e-1", "e-2"]
    assert sorted(d.state for d in box.ledger().values()) == ["duplicate", "duplicate", "loaded"]
    assert {d.accepted for d in box.ledger().values()} == {3}
    assert_lines_add_up(box)
    nothing_more(box)


def test_the_same_bytes_after_a_new_parser_are_no_news(box, make, monkeypatch):
    box.land(key_of(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    new_parser(monkeypatch)
    box.land(key_of(2), events(make, 1, 2), T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert ids(box) == ["e-1", "e-2"]


def test_a_new_parser_version_reaches_rows_ledger_and_hours(box, make, monkeypatch):
    box.land(key_of(1), events(make, 1, 2, bad=1), T0)
    box.run(REC_EVENTS)
    before = versions(box)
    new_parser(monkeypatch)
    report = replay(box, Selection(states=frozenset(["loaded"])))
    assert report.by_outcome == {"changed": 1}
    assert box.sql("select distinct parser_version from {}", REC) == [("rec_events/99",)]
    assert {d.parser_version for d in box.ledger().values()} == {"rec_events/99"}
    assert versions(box) != before
    nothing_more(box, Selection(states=frozenset(["loaded"])))


def test_rows_that_differ_only_in_a_column_are_swapped_and_make_hours_stale(box, make):
    name = next(n for n, s in box.sources.items() if s.format == "cloudflare_logpush")
    prefix = box.sources[name].landing.prefix
    key = f"{prefix}20261116/20261116T090000Z_20261116T110000Z_a.log.gz"
    box.land(key, make.file("cloudflare_logpush", [make.line("cloudflare_logpush")]), T0)
    box.run(CDN_REQUESTS)
    before = versions(box)
    changed = box.sources[name].model_copy(update={"customers": {"vod.aurora.example": "nova"}})
    box.sources = {**box.sources, name: changed}
    loaded = Selection(states=frozenset(["loaded"]))
    assert replay(box, loaded, record=CDN_REQUESTS).by_outcome == {"changed": 1}
    assert box.sql("select customer from {}", CDN) == [("nova",)]
    assert versions(box) != before
    snapshots = box.snapshots()
    assert replay(box, loaded, record=CDN_REQUESTS).by_outcome == {"same": 1}
    assert box.snapshots() == snapshots


def test_a_changed_period_parts_what_was_a_duplicate(box, make):
    """Without a period two names say the same; with one, each has an hour of its own."""
    source = box.sources["rec_events"]
    box.sources = {**box.sources, "rec_events": source.model_copy(update={"period": None})}
    box.land(key_of(1, 10), events(make, 1, 2), T0)
    box.land(key_of(1, 11), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    assert sorted(d.state for d in box.ledger().values()) == ["duplicate", "loaded"]
    wide = source.period.model_copy(update={"early": WIDE, "late": WIDE})
    box.sources = {**box.sources, "rec_events": source.model_copy(update={"period": wide})}
    replay(box, Selection(states=frozenset(["loaded"])))
    assert {d.state for d in box.ledger().values()} == {"loaded"}
    assert ids(box) == ["e-1", "e-1", "e-2", "e-2"]
    nothing_more(box, Selection(states=frozenset(["loaded"])))
    box.sources = {**box.sources, "rec_events": source.model_copy(update={"period": None})}
    replay(box, Selection(states=frozenset(["loaded"])))
    assert ids(box) == ["e-1", "e-2"]
