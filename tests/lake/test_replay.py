"""A replay after a fix: what now parses moves, what is the same stays, twice is once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import lake.ingest
from lake.ledger import Ledger
from lake.limits import Limits
from lake.records import CDN_REQUESTS, REC_EVENTS
from lake.replay import Replay
from lake.selection import Selection
from lake.versions import hour_versions

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
REC, CDN = "bronze.rec_events", "bronze.cdn_requests"
NARROW, WIDE = timedelta(0), timedelta(hours=2)


def key_of(n: int, hour: int = 10) -> str:
    return f"rec_events/dt=2026-11-16/hour={hour}/rec-1-{n}.ndjson.gz"


def events(make, *numbers: int, hour: int = 10, late: int = 0, bad: int = 0) -> bytes:
    """`late` of them lie an hour after the period of a file of this hour."""
    at = 1794823205123 + (hour - 10) * 3_600_000
    lines = [
        make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": at + (n < late) * 3_600_000})
        for n in numbers
    ]
    return make.file("rec_events", [*lines, *([b"nonsense"] * bad)])


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


def ids(box) -> list[str]:
    return [r[0] for r in box.sql("select event_id from {} order by all", REC)]


def versions(box) -> dict:
    with Ledger(box.catalog.load_table("ops.deliveries")) as ledger:
        return {hour.hour: v for (_, hour), v in hour_versions(ledger).items()}


def no_strays(box) -> None:
    for identifier in (REC, CDN):
        table = box.catalog.load_table(identifier)
        if table.current_snapshot() is not None:
            known = table.inspect.all_files()["file_path"].to_pylist()
            assert box.data_files(identifier) <= {str(p).removeprefix("file://") for p in known}


def nothing_more(box, selection=None) -> None:
    """Assert that the same replay again, and an ingest, leave every table as it is."""
    before = box.snapshots()
    report = replay(box, selection)
    assert report.changes == ()
    assert set(report.by_outcome) <= {"same"}
    assert box.run().changes == ()
    assert box.snapshots() == before
    no_strays(box)


def lines_add_up(box) -> None:
    """Assert I1 and I5: rows of bronze and rejected lines are those the ledger speaks of."""
    for d in box.ledger().values():
        if d.lines is not None:
            assert d.lines == d.accepted + d.rejected + d.header + d.blank
    loaded = [d for d in box.ledger().values() if d.is_loaded]
    assert sum(d.accepted for d in loaded) == box.count(REC) + box.count(CDN)
    contents = {d.content_id: d.rejected or 0 for d in box.ledger().values()}
    assert box.count("ops.rejects") == sum(contents.values())


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
    lines_add_up(box)
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
    lines_add_up(box)
    nothing_more(box)


def test_the_same_bytes_after_a_new_parser_are_no_news(box, make, monkeypatch):
    box.land(key_of(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    new_parser(monkeypatch)
    box.land(key_of(2), events(make, 1, 2), T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert ids(box) == ["e-1", "e-2"]


def new_parser(monkeypatch) -> None:
    family = type(lake.ingest.family_of("rec_events"))
    monkeypatch.setattr(family, "version", 99, raising=False)
    monkeypatch.setattr(family, "parser_version", property(lambda self: "rec_events/99"))


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
    lines_add_up(box)
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
    lines_add_up(box)
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
    lines_add_up(box)


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
    lines_add_up(box)


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
    lines_add_up(box)
    nothing_more(box)


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
    lines_add_up(box)
    nothing_more(box)
    history = box.sql("select delivery_id, change_no from {}", "ops.deliveries")
    assert len(history) == len(set(history))
