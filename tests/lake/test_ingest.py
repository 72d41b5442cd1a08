"""The ingest over a real catalog: once each, in any order, by any number of workers."""

from __future__ import annotations

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import lake.ingest
from lake.audit import AuditReport, BrokenAuditError, CheckResult
from lake.commit import LostRaceError
from lake.landing import GoneError
from lake.records import CDN_REQUESTS, REC_EVENTS
from simulator import ALL_INCIDENTS, Scenario, simulate

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
REC, CDN = "bronze.rec_events", "bronze.cdn_requests"
LEFT_OUT = ("delivery_id", "source_line", "ingested_at")


def key_of(n: int, hour: int = 10) -> str:
    return f"rec_events/dt=2026-11-16/hour={hour}/rec-1-{n}.ndjson.gz"


def events(make, *numbers: int, hour: int = 10, bad: int = 0) -> bytes:
    at = 1794823205123 + (hour - 10) * 3_600_000
    lines = [make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": at}) for n in numbers]
    return make.file("rec_events", [*lines, *([b"nonsense"] * bad)])


def ids(box) -> list[str]:
    return [r[0] for r in box.sql("select event_id from {} order by all", REC)]


def bronze_snapshots(box) -> int:
    return box.snapshots()[REC]


def no_strays(box) -> None:
    """Assert that the folder holds no file that no snapshot knows."""
    table = box.catalog.load_table(REC)
    known = {
        str(path).removeprefix("file://")
        for path in table.inspect.all_files()["file_path"].to_pylist()
    }
    assert box.data_files(REC) <= known


def test_lines_become_rows_rejects_and_a_delivery(box, make):
    box.land(key_of(1), events(make, 1, 2, 3, bad=2), T0)
    report = box.run(REC_EVENTS)
    assert report.by_state == {"loaded": 1}
    assert ids(box) == ["e-1", "e-2", "e-3"]
    (d,) = box.ledger().values()
    assert (d.lines, d.accepted, d.rejected, d.header, d.blank) == (5, 3, 2, 0, 0)
    assert [(h.hour.hour, h.rows) for h in d.hours] == [(10, 3)]
    assert d.period_start == T0.replace(hour=10)
    assert d.lateness_s == 3600
    assert box.sql("select line, reason from {} order by line", "ops.rejects") == [
        (4, "invalid_json"),
        (5, "invalid_json"),
    ]
    assert box.count("ops.check_results") == 1


def test_a_second_ingest_makes_no_snapshot_anywhere(box, make):
    box.land(key_of(1), events(make, 1, bad=1), T0)
    box.land("cloudflare/20261116/x.log.gz", make.file("cloudflare_logpush", [b"{}"]), T0)
    box.run()
    before = box.snapshots()
    assert box.run().changes == ()
    assert box.snapshots() == before


@pytest.mark.parametrize("name", [key_of(1), key_of(2)], ids=["same name", "other name"])
def test_a_duplicate_adds_no_row_and_no_snapshot_to_bronze(box, make, name):
    box.land(key_of(1), events(make, 1, 2, bad=1), T0)
    box.run(REC_EVENTS)
    before, rejects = bronze_snapshots(box), box.count("ops.rejects")
    box.land(name, events(make, 1, 2, bad=1), T0 + timedelta(hours=1))
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert bronze_snapshots(box) == before
    assert box.count("ops.rejects") == rejects
    assert ids(box) == ["e-1", "e-2"]
    assert len(box.audit.seen) == 1


def test_duplicates_within_one_batch_are_loaded_once(box, make):
    for n in range(3):
        box.land(key_of(n), events(make, 1, 2), T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 2, "loaded": 1}
    assert ids(box) == ["e-1", "e-2"]
    no_strays(box)


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


def test_content_without_rows_is_audited_once(box):
    box.land(key_of(1), b"nonsense\n", T0)
    box.run(REC_EVENTS)
    box.land(key_of(2), b"nonsense\n", T0)
    assert box.run(REC_EVENTS).by_state == {"duplicate": 1}
    assert box.audit.seen == [key_of(1)]
    assert box.count("ops.rejects") == 1


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


class Flaky:
    """A landing whose second object cannot be read."""

    def __init__(self, landing, error: Exception) -> None:
        self._landing = landing
        self._error = error

    def list(self, prefix: str, suffix: str):
        return self._landing.list(prefix, suffix)

    def open(self, found):
        if found.key == key_of(2):
            raise self._error
        return self._landing.open(found)


def test_an_error_in_one_delivery_leaves_no_file_of_the_others(box, make):
    for n in range(1, 5):
        box.land(key_of(n), events(make, n), T0)
    flaky = Flaky(box.ingest_of(REC_EVENTS).landing, PermissionError("no"))
    with pytest.raises(PermissionError):
        box.run(REC_EVENTS, landing=flaky)
    assert box.data_files(REC) == set()
    assert box.run(REC_EVENTS).by_state == {"loaded": 4}


def test_an_object_that_vanished_is_left_for_the_next_listing(box, make):
    for n in (1, 2):
        box.land(key_of(n), events(make, n), T0)
    flaky = Flaky(box.ingest_of(REC_EVENTS).landing, GoneError("gone"))
    assert box.run(REC_EVENTS, landing=flaky).by_state == {"loaded": 1}
    assert box.run(REC_EVENTS).by_state == {"loaded": 1}
    assert ids(box) == ["e-1", "e-2"]


HOSTILE = (
    "it's.gz",
    'say "hello".gz',
    "two words.gz",
    "line\nfeed.gz",
    "'; drop table x; --.gz",
    "\u202egz.exe.gz",
    "a*b?[c].gz",
    "..gz",
    "100%.gz",
    "%2e%2e.gz",
    "üñí.gz",
    "back\\slash.gz",
    "\udcff\udcfe.gz",
)


def test_hostile_names_are_names(box, make):
    for n, name in enumerate(HOSTILE):
        box.land(f"rec_events/{name}", events(make, n), T0)
    box.run(REC_EVENTS)
    visible = [n for n in HOSTILE if not n.startswith(".")]
    assert len(ids(box)) == len(visible)
    assert {d.state for d in box.ledger().values()} == {"loaded"}
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


# --- order -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan():
    return simulate(
        Scenario(
            seed=5, start=datetime(2026, 11, 16, tzinfo=UTC), hours=2, lines=2_000,
            incidents=ALL_INCIDENTS,
        )
    )  # fmt: skip


def outcome(box):
    """Everything but lineage and times; rejects by the content they are in."""
    rejects = box.sql(
        "select d.content_id, r.line, r.byte_offset, r.raw_sha256, r.reason from {} r "
        "join (select distinct delivery_id, content_id from {}) d using (delivery_id) order by all",
        "ops.rejects",
        "ops.deliveries",
    )
    hours = {key[1] for key in box.versions()}
    contents = Counter(d.content_id for d in box.ledger().values() if d.is_loaded)
    rows = {t: Counter(map(repr, box.rows(t, leave_out=LEFT_OUT))) for t in (CDN, REC)}
    return rows, rejects, hours, contents


@pytest.fixture(scope="module")
def arrivals(plan):
    return [one for one in plan.arrivals if one.at is not None]


def in_waves(box, arrivals, seed: int) -> None:
    """Deliver every version once, in a random order and in waves, some of them again."""
    order = list(arrivals)
    rng = random.Random(seed)
    rng.shuffle(order)
    while order:
        wave, seen = [], set()
        for one in list(order):
            if one.key not in seen and len(wave) < len(arrivals) // 3:
                wave.append(one)
                seen.add(one.key)
                order.remove(one)
        again = [o for o in rng.sample(arrivals, 4) if o.key not in seen and o not in order]
        for one in [*wave, *again]:
            box.land(one.key, one.data, one.at, packed=False)
        box.run()


def assert_lines_add_up(box) -> None:
    for d in box.ledger().values():
        if d.lines is not None:
            assert d.lines == d.accepted + d.rejected + d.header + d.blank
            assert d.accepted == sum(h.rows for h in d.hours)
    loaded = sum(d.accepted or 0 for d in box.ledger().values() if d.is_loaded)
    assert loaded == box.count(CDN) + box.count(REC)
    distinct = {d.content_id: d.rejected or 0 for d in box.ledger().values()}
    assert box.count("ops.rejects") == sum(distinct.values())


def test_any_order_of_arrival_gives_the_same_lake(arrivals, box_in):
    found = []
    for seed in (1, 2):
        box = box_in(f"seed-{seed}")
        in_waves(box, arrivals, seed)
        found.append(outcome(box))
        assert_lines_add_up(box)
        before = box.snapshots()
        assert box.run().changes == ()
        assert box.snapshots() == before
    assert found[0] == found[1]


def hold_a_third(subjects) -> AuditReport:
    """Hold by the content alone, as a verdict must depend on nothing else."""
    return AuditReport(
        tuple(
            CheckResult(
                "delivery", "tests", "third", s.delivery_id, "critical", s.accepted % 3 > 0,
                str(s.accepted), "no multiple of three",
            )
            for s in subjects
        )
    )  # fmt: skip


def release(box, arrivals, held) -> None:
    """Let held versions in; what was overwritten meanwhile is delivered again for it."""
    versions = {(one.key, one.at): one for one in arrivals}
    for found in held:
        one = versions[found.key, found.last_modified]
        box.land(one.key, one.data, one.at, packed=False)
        box.run(released=[found.delivery_id])


def held_of(box) -> list:
    return sorted(
        (d for d in box.ledger().values() if d.state == "held"), key=lambda d: d.delivery_id
    )


def with_company(box) -> None:
    """Run two workers on the same landing at once, each with handles of its own."""
    others = [replace(box), replace(box)]
    for other in others:
        other.audit = box.audit
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda other: other.run(), others))
    box.now = max(o.now for o in others)


def in_waves_with_holds(box, arrivals, seed: int) -> None:
    """Deliver in random order to two workers; release some of what is held on the way."""
    rng = random.Random(seed)
    order = rng.sample(arrivals, len(arrivals))
    while order:
        wave = {one.key: one for one in order[: len(arrivals) // 4]}
        order = [one for one in order if wave.get(one.key) is not one]
        for one in wave.values():
            box.land(one.key, one.data, one.at, packed=False)
        with_company(box)
        held = held_of(box)
        release(box, arrivals, rng.sample(held, min(2, len(held))))
    while held := held_of(box):
        release(box, arrivals, held)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5])
def test_any_order_with_holds_and_releases_by_two_workers_gives_the_same_lake(
    seed, arrivals, box_in
):
    calm, box = box_in("calm"), box_in("held")
    in_waves(calm, arrivals, seed)
    box.audit = hold_a_third
    in_waves_with_holds(box, arrivals, seed)
    assert outcome(box) == outcome(calm)
    assert sum(d.verdict == "released" for d in box.ledger().values()) > 5
    assert_lines_add_up(box)


# --- races -----------------------------------------------------------------------------------


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


def test_the_manifest_lists_the_batch(box, make):
    box.land(key_of(1), events(make, 1, bad=1), T0)
    box.run(REC_EVENTS)
    snapshot = box.catalog.load_table(REC).current_snapshot()
    path = Path(str(snapshot.summary["weir.manifest"]).removeprefix("file://"))
    manifest = json.loads(path.read_text())
    assert manifest["batch_id"] == snapshot.summary["weir.batch-id"]
    assert set(manifest["files"]) == {REC, "ops.rejects", "ops.check_results", "ops.deliveries"}


def test_both_feeds_of_a_table_are_ingested_together(box, make):
    box.land(
        "cloudflare/x.log.gz",
        make.file("cloudflare_logpush", [make.line("cloudflare_logpush")]),
        T0,
    )
    box.land("cloudfront/x.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]), T0)
    box.run(CDN_REQUESTS)
    assert box.sql("select cdn from {} order by all", CDN) == [("cloudflare",), ("cloudfront",)]
