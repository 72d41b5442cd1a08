"""Expiry: what a reader, a release or a restart may need stays; the rest leaves the metadata."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from lake.catalog import ensure_table, table_of
from lake.commit import complete_pending
from lake.maintenance.expiry import _kept_by_age, expirable, expire, pins_of_releases
from lake.maintenance.run import all_tables, upkeep
from lake.records import RELEASES

T0 = datetime(2026, 11, 20, tzinfo=UTC)
SCHEMA = Schema(NestedField(1, "n", LongType(), required=False))


def minutes(n):
    return timedelta(minutes=n)


def a_day_later():
    """Snapshots carry the machine's clock: the day after is told from it."""
    return datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def gold(box):
    """A gold table with six snapshots."""
    table = ensure_table(box.catalog, "gold.traffic_5m", SCHEMA)
    for n in range(6):
        table.append(pa.table({"n": [n]}))
    return table


def ids(table):
    return [s.snapshot_id for s in table.metadata.snapshots]


@pytest.mark.parametrize(("at", "kept"), [(0, 5), (119, 5), (121, 4), (130, 3), (500, 2)])
def test_a_snapshot_is_kept_until_its_successor_is_older_than_the_grace(policy_with, at, kept):
    policy = policy_with(keep_snapshots=2, snapshot_minutes=120).of("x.y")
    line = [
        SimpleNamespace(timestamp_ms=(T0 + minutes(offset)).timestamp() * 1000)
        for offset in (25, 20, 5, 0, -60)
    ]
    assert _kept_by_age(line, policy, T0 + minutes(at)) == kept


def test_old_snapshots_go_and_the_newest_stay(box, gold, policy_with):
    policy = policy_with(keep_snapshots=2).of("gold.traffic_5m")
    now = datetime.now(UTC)
    assert expire(box.catalog, "gold.traffic_5m", policy, frozenset(), now) == 0
    later = a_day_later()
    dry = expire(box.catalog, "gold.traffic_5m", policy, frozenset(), later, dry_run=True)
    assert dry == 4
    assert len(ids(box.catalog.load_table("gold.traffic_5m"))) == 6
    assert expire(box.catalog, "gold.traffic_5m", policy, frozenset(), later) == 4
    assert ids(box.catalog.load_table("gold.traffic_5m")) == ids(gold)[-2:]
    assert box.count("gold.traffic_5m") == 6


def test_pinned_and_named_snapshots_stay_whatever_their_age(box, gold, policy_with):
    policy = policy_with(keep_snapshots=1).of("gold.traffic_5m")
    first, second, third, *_, last = ids(gold)
    gold.manage_snapshots().create_tag(third, "invoice").commit()
    gold = box.catalog.load_table("gold.traffic_5m")
    gone = expirable(gold, policy, frozenset({first}), a_day_later())
    assert set(ids(gold)) - set(gone) == {first, third, last}
    assert second in gone


def release_row(number, at, snapshot):
    return {
        "release_no": number,
        "released_at": at,
        "refresh_id": f"r{number}",
        "marts": [{"mart": "gold.traffic_5m", "snapshot_id": snapshot}],
    }


def test_the_current_release_and_those_superseded_within_the_grace_are_pinned(box, gold):
    _, second, third, *_ = ids(gold)
    releases = [release_row(n, T0 + minutes(60 * n), s) for n, s in enumerate(ids(gold)[:3], 1)]
    table_of(box.catalog, RELEASES).append(pa.Table.from_pylist(releases, schema=RELEASES.arrow))

    def pins(now):
        return pins_of_releases(box.catalog, None, minutes(30), now)["gold.traffic_5m"]

    assert pins(T0 + minutes(180)) == {second, third}
    assert pins(T0 + minutes(211)) == {third}
    assert pins(T0 + timedelta(days=900)) == {third}


def test_a_race_with_a_commit_or_another_expiry_costs_neither(box, gold, policy_with, monkeypatch):
    policy = policy_with(keep_snapshots=1).of("gold.traffic_5m")
    later, calls = a_day_later(), []
    from lake.maintenance import expiry

    original = expiry.expirable

    def meanwhile(*arguments):
        found = original(*arguments)
        if not calls:
            calls.append(1)
            box.catalog.load_table("gold.traffic_5m").append(pa.table({"n": [7]}))
            expire(box.catalog, "gold.traffic_5m", policy, frozenset(), later)
        return found

    monkeypatch.setattr(expiry, "expirable", meanwhile)
    expire(box.catalog, "gold.traffic_5m", policy, frozenset(), later)
    assert len(ids(box.catalog.load_table("gold.traffic_5m"))) == 1
    assert box.count("gold.traffic_5m") == 7


def test_upkeep_of_everything_then_all_delivered_again_loads_nothing(kept, policy_with):
    kept.load(apart=True)
    kept.load(apart=True)
    policy = policy_with(keep_snapshots=1, min_files=2)
    before = kept.rows()
    reports = upkeep(kept.box.catalog, policy, a_day_later())
    assert [r.identifier for r in reports] == all_tables(kept.box.catalog)
    assert all(r.after.snapshots <= 1 for r in reports)
    assert kept.rows() == before
    for path in (kept.box.settings.landing / "rec_events").iterdir():
        (path.parent / f"again-{path.name}").write_bytes(path.read_bytes())
    assert {d.state for d in kept.run().changes} == {"duplicate"}
    assert complete_pending(kept.box.catalog) == 0
    bronze = "bronze.rec_events"
    assert kept.rows()[bronze] == before[bronze]


def test_upkeep_of_a_cut_batch_first_completes_it(kept, policy_with, monkeypatch):
    from lake import commit

    kept.load()
    kept.land()
    with monkeypatch.context() as patch:
        patch.setattr(commit, "complete", cut)  # decided, and nothing after
        with pytest.raises(CutError):
            kept.run()
    assert kept.box.count("bronze.rec_events") == 3
    upkeep(kept.box.catalog, policy_with(keep_snapshots=1, min_files=2), a_day_later())
    assert kept.box.count("bronze.rec_events") == 6
    assert kept.run().changes == ()


class CutError(Exception):
    pass


def cut(*_):
    raise CutError


def test_a_dry_run_of_upkeep_writes_nothing(kept, policy_with):
    kept.load(apart=True)
    kept.load(apart=True)
    files = kept.all_files()
    policy = policy_with(keep_snapshots=1, min_files=2)
    reports = {
        r.identifier: r for r in upkeep(kept.box.catalog, policy, a_day_later(), dry_run=True)
    }
    assert kept.all_files() == files
    assert reports["bronze.rec_events"].compaction.files_before == 2
    assert reports["ops.deliveries"].snapshots_expired == 1
