"""A lost catalog (fault row 22): every table again as it was, and never a commit that lost."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from lake.catalog import LostCatalogError, ensure_all, ensure_table, open_catalog
from lake.maintenance.backup import BackupError, back_up, backups_of, io_of, read_backup
from lake.maintenance.recovery import RecoveryError, Version, ends_of, rebuild

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHEMA = Schema(NestedField(1, "n", LongType(), required=False))
T = "gold.t"


def lose_catalog(kept):
    """Delete the catalog and open an empty one."""
    (kept.box.settings.home / "catalog.db").unlink()
    kept.box.catalog = open_catalog(kept.box.settings)


@pytest.fixture
def t(kept):
    """A table of four commits that forgets its versions after three."""
    table = ensure_table(
        kept.box.catalog,
        T,
        SCHEMA,
        properties={
            "commit.retry.num-retries": "0",
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "3",
        },
    )
    for n in range(4):
        table.append(pa.table({"n": [n]}))
    return table


def numbers(kept):
    return sorted(n for (n,) in kept.box.sql("select n from {}", T))


def lose_race(kept, cleans_up=True):
    """Write metadata that the catalog then refuses; without cleaning up as if killed there."""
    loser = kept.table(T)
    winner = kept.table(T)
    original = kept.box.catalog._write_metadata
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    with pytest.MonkeyPatch.context() as patch:

        def meanwhile(metadata, io, metadata_path):
            original(metadata, io, metadata_path)
            patch.undo()
            if not cleans_up:
                patch.setattr(_SnapshotProducer, "_clean_all_uncommitted", lambda _: None)
            winner.append(pa.table({"n": [100]}))

        patch.setattr(SqlCatalog, "_write_metadata", staticmethod(meanwhile))
        with pytest.raises(CommitFailedException):
            loser.append(pa.table({"n": [-1]}))


def test_everything_is_as_it_was_and_goes_on(kept):
    kept.load(apart=True)
    kept.load(apart=True)
    before, wanted = kept.rows(), kept.table().metadata_location
    for path in Path(kept.box.settings.warehouse).rglob("*.metadata.json"):
        seconds = random.Random(path.name).uniform(1e9, 1.7e9)
        os.utime(path, (seconds, seconds))
    lose_catalog(kept)
    found = {r.identifier: r for r in rebuild(kept.box.catalog)}
    assert found["bronze.rec_events"].metadata_location == wanted
    assert found["bronze.rec_events"].rows == 6
    assert kept.rows() == before
    assert kept.run().changes == ()
    kept.load()
    assert kept.box.count("bronze.rec_events") == 9


def test_a_lost_catalog_is_noticed_before_new_tables_hide_the_old(kept):
    kept.load()
    files = kept.all_files()
    lose_catalog(kept)
    with pytest.raises(LostCatalogError, match="rebuild-catalog"):
        ensure_all(kept.box.catalog)
    assert kept.all_files() == files
    rebuild(kept.box.catalog)
    ensure_all(kept.box.catalog)


def test_a_catalog_with_tables_is_left_alone_unless_told(kept, t):
    with pytest.raises(RecoveryError, match="--replace"):
        rebuild(kept.box.catalog)
    before = numbers(kept)
    assert T in [r.identifier for r in rebuild(kept.box.catalog, replace=True)]
    assert numbers(kept) == before


def test_a_dry_run_registers_nothing(kept, t):
    lose_catalog(kept)
    assert T in [r.identifier for r in rebuild(kept.box.catalog, dry_run=True)]
    assert kept.box.catalog.list_namespaces() == []


def test_an_empty_warehouse_says_what_was_looked_for(kept):
    empty = replace(kept.box.settings, warehouse=kept.box.settings.home / "other")
    (kept.box.settings.home / "catalog.db").unlink()
    with pytest.raises(RecoveryError, match="WEIR_WAREHOUSE"):
        rebuild(open_catalog(empty))


@pytest.mark.parametrize("commits_after", [0, 1, 5])
def test_a_commit_that_lost_its_race_never_wins(kept, t, commits_after):
    lose_race(kept)
    for n in range(commits_after):
        kept.table(T).append(pa.table({"n": [200 + n]}))
    wanted, rows = kept.table(T).metadata_location, numbers(kept)
    assert -1 not in rows
    lose_catalog(kept)
    (found,) = [r for r in rebuild(kept.box.catalog) if r.identifier == T]
    assert found.metadata_location == wanted
    assert numbers(kept) == rows
    assert len(found.passed_over) >= 1


def test_two_whole_commits_at_the_very_end_are_a_person_s_decision(kept, t):
    lose_race(kept, cleans_up=False)
    committed = kept.table(T).metadata_location
    lose_catalog(kept)
    with pytest.raises(RecoveryError, match="2 files may be its newest commit") as err:
        rebuild(kept.box.catalog)
    assert committed in str(err.value)
    assert "--take gold.t=" in str(err.value)
    assert kept.box.catalog.list_namespaces() == []
    rebuild(kept.box.catalog, take={T: committed.rsplit("/", 1)[-1]})
    assert kept.table(T).metadata_location == committed


def test_a_lost_race_that_was_killed_is_no_question_once_the_table_went_on(kept, t):
    lose_race(kept, cleans_up=False)
    kept.table(T).append(pa.table({"n": [300]}))
    rows = numbers(kept)
    lose_catalog(kept)
    rebuild(kept.box.catalog)
    assert numbers(kept) == rows


def test_a_newest_commit_whose_files_are_gone_gives_way_to_the_one_before(kept, t):
    before = numbers(kept)
    previous = kept.table(T).metadata_location
    kept.table(T).append(pa.table({"n": [9]}))
    last = kept.table(T)
    (added,) = [
        task.file.file_path
        for task in last.scan().plan_files()
        if task.file.file_path not in {x.file.file_path for x in t.scan().plan_files()}
    ]
    Path(added.removeprefix("file://")).unlink()
    lose_catalog(kept)
    rebuild(kept.box.catalog)
    assert kept.table(T).metadata_location == previous
    assert numbers(kept) == before


def test_a_choice_that_is_none_is_refused(kept, t):
    lose_catalog(kept)
    with pytest.raises(RecoveryError, match=r"has no metadata file nonsense"):
        rebuild(kept.box.catalog, take={T: "nonsense"})


def test_two_histories_in_one_folder_are_a_person_s_decision(kept, t, monkeypatch):
    from lake import catalog as catalog_module

    first = kept.table(T).metadata_location
    lose_catalog(kept)
    monkeypatch.setattr(catalog_module, "_refuse_lost_history", lambda *_: None)
    ensure_table(kept.box.catalog, T, SCHEMA).append(pa.table({"n": [1]}))
    lose_catalog(kept)
    with pytest.raises(RecoveryError, match="history of 2 tables"):
        rebuild(kept.box.catalog)
    rebuild(kept.box.catalog, take={T: first})
    assert numbers(kept) == [0, 1, 2, 3]


class _Metadata:
    """What `ends_of` looks at."""

    def __init__(self, uri, log, sequence):
        self.uri, self.last_sequence_number, self.last_updated_ms = uri, sequence, sequence
        self.metadata_log = [type("E", (), {"metadata_file": u}) for u in log]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_newest_commit_is_among_the_ends_and_alone_once_the_table_went_on(data):
    """Chains with any number of lost races, any memory, any files deleted that no longer count."""
    memory = data.draw(st.integers(2, 6), label="versions remembered")
    chain = [Version("v0", _Metadata("v0", [], 0))]
    losers = []
    for n in range(1, data.draw(st.integers(1, 15), label="commits") + 1):
        base = chain[-1]
        log = [*(e.metadata_file for e in base.metadata.metadata_log), base.uri][-memory:]
        grows = data.draw(st.booleans(), label="commit adds a snapshot")
        sequence = base.metadata.last_sequence_number + grows
        if data.draw(st.booleans(), label="a commit loses to this one"):
            uri = f"lost{n}"
            losers.append(Version(uri, _Metadata(uri, log, base.metadata.last_sequence_number + 1)))
        chain.append(Version(f"v{n}", _Metadata(f"v{n}", log, sequence)))
        chain[-1].metadata.last_updated_ms = 10 * n
        if losers and losers[-1].uri == f"lost{n}":
            losers[-1].metadata.last_updated_ms = 10 * n + data.draw(st.integers(-1, 1))
    kept = {chain[-1].uri, *(e.metadata_file for e in chain[-1].metadata.metadata_log)}
    on_disk = [v for v in chain if v.uri in kept] + losers
    found = {v.uri for v in ends_of(data.draw(st.permutations(on_disk)))}
    assert chain[-1].uri in found
    at_the_end = {v.uri for v in losers if v.uri == f"lost{len(chain) - 1}"}
    assert found - {chain[-1].uri} <= at_the_end


# --- backup ----------------------------------------------------------------------------------


def test_backups_name_every_table_and_only_the_newest_are_kept(kept):
    for day in range(4):
        uri = back_up(kept.box.catalog, 3, NOW + timedelta(days=day))
    assert len(backups_of(kept.box.catalog)) == 3
    assert backups_of(kept.box.catalog)[-1] == uri
    backup = read_backup(io_of(kept.box.catalog), uri)
    tables = {e.identifier: e.metadata_location for e in backup.tables}
    assert tables["ops.deliveries"] == kept.table("ops.deliveries").metadata_location
    assert back_up(kept.box.catalog, 3, NOW + timedelta(days=3)) == uri  # again is once


def test_a_rebuild_from_a_backup_finds_what_was_committed_since(kept):
    kept.load()
    uri = back_up(kept.box.catalog, 3, NOW)
    kept.load()
    before = kept.rows()
    backup = read_backup(io_of(kept.box.catalog), uri)
    lose_catalog(kept)
    rebuild(kept.box.catalog, backup=backup)
    assert kept.rows() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"tables": [1]})])
def test_a_file_that_is_no_backup_is_refused(kept, text):
    path = kept.box.settings.home / "file.json"
    path.write_text(text)
    with pytest.raises(BackupError, match="is no backup of a catalog"):
        read_backup(io_of(kept.box.catalog), path.as_uri())
