"""Compaction: few sorted files, the same rows, and never at a writer's cost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from lake.ledger import Ledger
from lake.maintenance import compaction
from lake.maintenance.compaction import RowsChangedError, compact, due
from lake.maintenance.metadata import merge_manifests, size_of
from lake.records import REC_EVENTS
from lake.versions import hour_versions

BRONZE_TABLE = "bronze.rec_events"
H = datetime(2026, 11, 16, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def of(policy_with):
    return lambda identifier=BRONZE_TABLE, **changes: policy_with(**{"min_files": 3, **changes}).of(
        identifier
    )


def read(uri):
    return pq.read_table(uri.removeprefix("file://"))


def versions_of(kept):
    with Ledger(kept.table("ops.deliveries")) as ledger:
        return hour_versions(ledger)


def files_by_hour(kept):
    found = {}
    for task in kept.table().scan().plan_files():
        found.setdefault(task.file.partition[0], []).append(task.file)
    return found


def test_closed_hours_become_one_sorted_file_with_the_same_rows(kept, of):
    kept.load(*[H] * 5, *[H + HOUR] * 3)
    before, versions = kept.rows(), versions_of(kept)
    done = compact(kept.box.catalog, BRONZE_TABLE, of(), NOW)
    assert (done.partitions, done.files_before, done.files_after, done.rows) == (2, 8, 2, 24)
    assert kept.rows() == before
    assert versions_of(kept) == versions
    for (file,) in files_by_hour(kept).values():
        rows = read(file.file_path).select(["user_key", "event_time"]).to_pylist()
        assert rows == sorted(rows, key=lambda r: (r["user_key"], r["event_time"]))
    assert compact(kept.box.catalog, BRONZE_TABLE, of(), NOW).partitions == 0


def test_open_hours_and_hours_with_few_files_are_left(kept, of):
    kept.load(*[H] * 2, *[H + HOUR] * 3)
    grace = of().closed_after
    ends = H + 2 * HOUR
    assert due(kept.table(), of(), ends + grace - timedelta(seconds=1)) == []
    ((*files,),) = due(kept.table(), of(), ends + grace)
    assert len(files) == 3


def test_files_that_are_large_already_are_left(kept, of):
    kept.load(*[H] * 3, rows=4)
    assert due(kept.table(), of(target_rows=5), NOW) == []
    assert len(due(kept.table(), of(target_rows=6), NOW)) == 1


def test_a_large_partition_is_cut_into_files_of_about_the_wanted_rows(kept, of, monkeypatch):
    monkeypatch.setattr(compaction, "_BATCH_ROWS", 4)
    kept.load(*[H] * 6, rows=3)
    before = kept.rows()
    compact(kept.box.catalog, BRONZE_TABLE, of(target_rows=8), NOW)
    ((*files,),) = files_by_hour(kept).values()
    assert sorted(f.record_count for f in files) == [2, 8, 8]
    assert kept.rows() == before


def test_what_may_not_stand_in_statistics_stands_in_none(kept, of):
    kept.load(*[H] * 3)
    compact(kept.box.catalog, BRONZE_TABLE, of(), NOW)
    ((file,),) = files_by_hour(kept).values()
    schema = kept.table().schema()
    allowed = {schema.find_field(c).field_id for c in REC_EVENTS.stats}
    assert set(file.lower_bounds) == allowed
    group = pq.read_metadata(file.file_path.removeprefix("file://")).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {c.path_in_schema for c in columns if c.is_stats_set} == set(REC_EVENTS.stats)


def test_ledger_tables_are_compacted_too(kept, of):
    kept.load(*[H] * 3, apart=True)
    before = kept.rows()
    for identifier in ("ops.deliveries", "ops.rejects", "ops.check_results"):
        done = compact(kept.box.catalog, identifier, of(identifier), NOW)
        assert (done.files_before, done.files_after) == (3, 1)
    assert kept.rows() == before
    assert kept.run().changes == ()


def test_a_replacement_after_compaction_takes_exactly_its_rows(kept, of):
    kept.load(H, H, H, H)
    compact(kept.box.catalog, BRONZE_TABLE, of(), NOW)
    old = {d.key: d.delivery_id for d in kept.box.ledger().values()}
    before = kept.rows()[BRONZE_TABLE]
    kept.land(H, rows=2, name="rec_events/2.gz", at=kept.box.now + HOUR)
    kept.run()
    gone = old["rec_events/2.gz"]
    assert kept.box.by_key()["rec_events/2.gz"] == ["replaced", "loaded"]
    ids = [d for (d,) in kept.box.sql("select delivery_id from {}", BRONZE_TABLE)]
    assert gone not in ids
    assert len(ids) == 3 * 3 + 2
    after = kept.rows()[BRONZE_TABLE]
    assert {r for r in before if gone not in r} <= set(after)


def test_a_writer_that_comes_between_loses_nothing_and_compaction_still_happens(kept, of):
    kept.load(*[H] * 4)

    def meanwhile():
        kept.load(H, H + HOUR)

    done = compact(kept.box.catalog, BRONZE_TABLE, of(), NOW, written=meanwhile)
    assert (done.partitions, done.given_up) == (1, 0)
    assert sorted(map(len, files_by_hour(kept).values())) == [1, 2]
    assert len(kept.box.rows(BRONZE_TABLE)) == 18
    assert kept.box.data_files(BRONZE_TABLE) >= kept.box.live_files(BRONZE_TABLE)


def test_a_replacement_that_comes_between_wins_over_compaction(kept, of):
    kept.load(*[H] * 4, *[H + HOUR] * 3)
    written = set()

    def meanwhile():
        written.update(kept.box.data_files(BRONZE_TABLE))
        kept.land(H, rows=1, name="rec_events/2.gz", at=kept.box.now + HOUR)
        kept.run()

    done = compact(kept.box.catalog, BRONZE_TABLE, of(), NOW, written=meanwhile)
    assert (done.partitions, done.given_up) == (1, 1)  # the other hour is compacted
    assert len(kept.box.rows(BRONZE_TABLE)) == 3 * 3 + 1 + 9
    thrown_away = {f for f in written if "compacted" in f} - kept.box.live_files(BRONZE_TABLE)
    assert thrown_away
    assert not thrown_away & kept.box.data_files(BRONZE_TABLE)


def test_a_live_second_writer_and_compaction_together_keep_every_row(kept, of):
    kept.load(*[H] * 3)
    stop = threading.Event()
    other = type(kept)(type(kept.box)(kept.box.settings, kept.box.sources), kept.make, 100)

    def write():
        for n in range(4):
            other.load(H)
            if n % 2:
                other.land(H, rows=1, name="rec_events/1.gz", at=other.box.now + HOUR)
                other.run()
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    rounds = 0
    while not stop.is_set():
        rounds += compact(kept.box.catalog, BRONZE_TABLE, of(min_files=2), NOW).partitions
    writer.join()
    assert rounds
    loaded = [d for d in kept.box.ledger().values() if d.state == "loaded"]
    by_delivery = kept.box.sql("select delivery_id, count(*) from {} group by all", BRONZE_TABLE)
    assert dict(by_delivery) == {d.delivery_id: d.accepted for d in loaded}


def test_rows_that_do_not_add_up_are_not_committed(kept, of, monkeypatch):
    kept.load(*[H] * 3)
    before, files = kept.rows(), kept.box.data_files(BRONZE_TABLE)
    original = compaction.files_sql
    monkeypatch.setattr(
        compaction, "files_sql", lambda fields, uris: original(fields, list(uris)[:2])
    )
    with pytest.raises(RowsChangedError, match="read 6 rows from 3 files; expected 9"):
        compact(kept.box.catalog, BRONZE_TABLE, of(), NOW)
    assert kept.rows() == before
    assert kept.box.data_files(BRONZE_TABLE) == files


def test_many_manifests_become_one(kept, of):
    kept.load(*[H + n * HOUR for n in range(4)], apart=True)
    table = kept.table()
    with table.transaction() as tx:
        tx.set_properties({"commit.manifest.min-count-to-merge": "2"})
    before = kept.rows()
    few = of(max_manifests=3)
    assert merge_manifests(kept.box.catalog, BRONZE_TABLE, few, dry_run=True) == 3
    assert merge_manifests(kept.box.catalog, BRONZE_TABLE, few) == 3
    assert size_of(kept.table()).manifests == 1
    assert merge_manifests(kept.box.catalog, BRONZE_TABLE, few) == 0
    assert kept.rows() == before
