"""The sweep: what nobody needs goes, what anybody needs stays (fault row 23)."""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake.catalog import ensure_all, open_catalog
from lake.maintenance import sweep as module
from lake.maintenance.compaction import compact
from lake.maintenance.expiry import expire
from lake.maintenance.policy import load_policy
from lake.maintenance.sweep import SweepRefusedError, sweep
from lake.settings import load_settings

REC = "bronze.rec_events"
H = datetime(2026, 11, 16, 10, tzinfo=UTC)
GRACE = load_policy().orphan_grace


def swept(kept, *, marked=True, **given):
    """Sweep as of a moment at which everything written so far is past the graces.

    marked: an earlier sweep, longer ago than the reader grace, saw the same orphans.
    """
    now = given.pop("now", datetime.now(UTC) + GRACE + timedelta(hours=3))
    landing = given.pop("landing", kept.box.settings.landing.as_uri())
    if marked:
        earlier = now - load_policy().reader_grace
        sweep(kept.box.catalog, load_policy(), landing, earlier, **{**given, "dry_run": False})
    return sweep(kept.box.catalog, load_policy(), landing, now, **given)


def compacted(kept, policy_with):
    """A table whose small files were replaced and whose history is expired: they are orphans."""
    kept.load(H, H)
    old = kept.box.live_files(REC)
    policy = policy_with(keep_snapshots=1, min_files=2).of(REC)
    now = datetime.now(UTC) + timedelta(days=1)
    compact(kept.box.catalog, REC, policy, now)
    expire(kept.box.catalog, REC, policy, frozenset(), now)
    return old


def test_orphans_go_and_every_row_stays(kept, policy_with):
    orphans = compacted(kept, policy_with)
    left_over = Path(next(iter(orphans))).with_name("of-a-killed-ingest.parquet")
    left_over.write_bytes(b"half a file")
    orphans.add(str(left_over))
    before, landed = kept.rows(), sorted(kept.box.settings.landing.rglob("*"))
    dry = swept(kept, dry_run=True)
    assert orphans <= kept.all_files()
    report = swept(kept)
    assert (report.orphans, report.orphan_bytes) == (dry.orphans, dry.orphan_bytes)
    assert not orphans & kept.all_files()
    assert kept.rows() == before
    assert sorted(kept.box.settings.landing.rglob("*")) == landed
    assert swept(kept).orphans == 0
    assert kept.run().changes == ()
    kept.load()
    assert kept.box.count(REC) == 9


def test_a_file_younger_than_the_grace_stays_by_the_clock_of_the_store(kept, policy_with):
    (orphan, *_) = compacted(kept, policy_with)
    now = datetime.now(UTC) + timedelta(days=30)
    seconds = (now - GRACE).timestamp()
    os.utime(orphan, (seconds, seconds))
    report = {t.identifier: t for t in swept(kept, now=now - timedelta(seconds=1)).tables}[REC]
    assert (report.young, Path(orphan).exists()) == (1, True)
    swept(kept, now=now + load_policy().reader_grace)
    assert not Path(orphan).exists()


def test_an_orphan_waits_until_nobody_can_read_it_any_more(kept, policy_with):
    (orphan, *_) = compacted(kept, policy_with)
    kept.age_files(timedelta(days=300))  # its age is no measure: it was live a moment ago
    now = datetime.now(UTC)
    grace = load_policy().reader_grace
    first = swept(kept, marked=False, now=now)
    assert (first.orphans, first.waiting > 0) == (0, True)
    assert swept(kept, marked=False, now=now + grace - timedelta(minutes=1)).orphans == 0
    assert Path(orphan).exists()
    last = swept(kept, marked=False, now=now + grace + timedelta(seconds=1))
    assert (last.orphans, last.waiting) == (first.waiting, 0)
    assert not Path(orphan).exists()


def test_a_grace_shorter_than_the_longest_run_is_refused(kept):
    files = kept.all_files()
    for grace in (timedelta(0), load_policy().longest_run - timedelta(seconds=1)):
        with pytest.raises(SweepRefusedError, match="expected at least the longest run"):
            swept(kept, grace=grace)
    assert kept.all_files() == files
    swept(kept, grace=load_policy().longest_run)


def test_what_an_unfinished_batch_needs_stays_however_old(kept, monkeypatch):
    from lake import commit

    kept.load()
    kept.land()

    def cut(*_):
        raise CutError

    with monkeypatch.context() as patch:
        patch.setattr(commit, "complete", cut)
        with pytest.raises(CutError):
            kept.run()
    assert swept(kept).orphans == 0
    assert kept.run().completed_batches == 1
    assert kept.box.count(REC) == 6
    assert kept.box.count("ops.rejects") == 2


class CutError(Exception):
    pass


def test_a_commit_that_comes_between_the_look_and_the_delete_keeps_its_files(
    kept, policy_with, monkeypatch
):
    """As bad as it gets: files far past the grace are committed while the sweep holds them."""
    kept.load()
    kept.age_files(timedelta(days=30))
    table = kept.table()
    (live,) = kept.box.live_files(REC)
    late = Path(live).with_name("late.parquet")
    shutil.copy2(live, late)
    original = module._Sweep._old_orphans

    def meanwhile(self, *given):
        for chunk in original(self, *given):
            if any(f.uri.endswith("late.parquet") for f in chunk):
                table.add_files([late.as_uri()], check_duplicate_files=False)
            yield chunk

    monkeypatch.setattr(module._Sweep, "_old_orphans", meanwhile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swept(kept)
    assert late.exists()
    assert kept.box.count(REC) == 6


def test_sweeps_and_writers_at_once_lose_nothing(kept, policy_with):
    kept.load(H, H)
    done = threading.Event()

    def write():
        try:
            for _ in range(3):
                kept.load()
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    mine = type(kept)(type(kept.box)(kept.box.settings, kept.box.sources), kept.make)
    policy = policy_with(keep_snapshots=1, min_files=2).of(REC)
    rounds = 0
    while not done.is_set():
        now = datetime.now(UTC) + timedelta(hours=1, minutes=50)  # of a grace of two hours
        compact(mine.box.catalog, REC, policy, now)
        swept(mine, now=now, grace=load_policy().longest_run)
        rounds += 1
    writer.join()
    assert rounds
    assert kept.box.count(REC) == 15
    assert kept.run().changes == ()


def test_nothing_outside_the_warehouse_is_touched(kept, tmp_path):
    kept.load()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs.parquet").write_bytes(b"theirs")
    link = Path(kept.table().location().removeprefix("file://")) / "data" / "link"
    link.symlink_to(outside)
    with pytest.raises(SweepRefusedError, match="links that lead out of it"):
        swept(kept, now=datetime.now(UTC) + timedelta(days=30))
    assert (outside / "theirs.parquet").exists()
    link.unlink()
    folder = Path(kept.box.settings.warehouse) / "ops" / "of_somebody"
    folder.mkdir()
    (folder / "file").write_bytes(b"theirs")
    report = swept(kept)
    assert report.unknown == (folder.as_uri(),)
    assert (folder / "file").exists()


@pytest.mark.parametrize("landing", ["warehouse", "warehouse/bronze", "."])
def test_landing_and_warehouse_in_each_other_are_refused(kept, landing):
    where = (kept.box.settings.home / landing).as_uri()
    with pytest.raises(SweepRefusedError, match="lie in each other"):
        swept(kept, landing=where)


def test_the_history_of_a_lost_catalog_is_not_taken_for_orphans(kept, monkeypatch):
    kept.load()
    files = kept.all_files()
    (kept.box.settings.home / "catalog.db").unlink()
    from lake import catalog as catalog_module

    monkeypatch.setattr(catalog_module, "_refuse_lost_history", lambda *_: None)
    kept.box.catalog = open_catalog(load_settings({}, home=kept.box.settings.home))
    ensure_all(kept.box.catalog)
    with pytest.raises(SweepRefusedError, match="rebuild-catalog"):
        swept(kept)
    assert files <= kept.all_files()
