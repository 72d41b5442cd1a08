"""Maintenance is killed at any point and run again: no row, no release, no batch is different."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lake.catalog import open_catalog
from lake.crash import MAINTENANCE_POINTS
from lake.maintenance.policy import load_policy
from lake.maintenance.sweep import sweep
from lake.reads import relation_sql
from lake.settings import load_settings

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
#: files carry the machine's clock
LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()
TABLES = ("bronze.rec_events", "ops.deliveries", "ops.rejects", "ops.check_results",
          "ops.refreshes", "ops.releases", "gold.engagement_hourly")  # fmt: skip


class Lab:
    """A home with hours to compact, history to expire and orphans to sweep, put back each time."""

    def __init__(self, folder: Path, worker) -> None:
        self.home, self._start, self._worker = folder / "home", folder / "start", worker
        for n, hours in enumerate([(10, 10, 10, 11), (12,), (13,)]):
            for i, hour in enumerate(hours):
                self._land(f"{n}-{i}", hour)
            worker.run(self.home, NOW + timedelta(minutes=n))
        table = self.catalog.load_table("bronze.rec_events")
        with table.transaction() as tx:
            tx.set_properties({"commit.manifest.min-count-to-merge": "2"})
        self._orphan().write_bytes(b"of an ingest that was killed")
        shutil.copytree(self.home, self._start)
        self.wanted, self.served = self.rows(), self.serving()

    def _land(self, name: str, hour: int) -> None:
        path = self.home / f"landing/rec_events/dt=2026-11-16/hour={hour}/rec-1-{name}.ndjson.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        at = int(T0.replace(hour=hour).timestamp() * 1000)
        lines = [
            json.dumps(
                {"event_id": f"{name}-{n}", "event_type": "play", "event_ts_ms": at + n,
                 "item_id": "i", "user_id": f"u-{n}"}
            )
            for n in range(4)
        ]  # fmt: skip
        path.write_bytes(gzip.compress("\n".join([*lines, "nonsense"]).encode(), mtime=0))
        os.utime(path, (T0.timestamp(), T0.timestamp()))

    def _orphan(self) -> Path:
        return self.home / "warehouse/bronze/rec_events/data/left-over.parquet"

    @property
    def catalog(self):
        return open_catalog(load_settings({}, home=self.home))

    def reset(self) -> None:
        shutil.rmtree(self.home)
        shutil.copytree(self._start, self.home)

    def rows(self) -> dict[str, list[tuple]]:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            return {
                t: connection.execute(
                    f"select * from ({relation_sql(self.catalog.load_table(t))}) order by all"
                ).fetchall()
                for t in TABLES
            }

    def serving(self) -> list[tuple]:
        with duckdb.connect(str(self.home / "serving.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(
                "select * from gold.engagement_hourly order by all"
            ).fetchall()

    def check(self) -> None:
        """Assert that rows and what readers see are as before."""
        assert self.rows() == self.wanted
        assert self.serving() == self.served

    def check_done(self) -> None:
        """Assert that maintenance has nothing left to do and an ingest nothing to load."""
        self.check()
        landing = str(self.home / "landing")
        at = datetime.fromisoformat(LATER) + timedelta(days=1)
        report = sweep(self.catalog, load_policy(), landing, at, dry_run=True)
        assert (report.orphans, report.waiting) == (0, 0)
        assert not self._orphan().exists()
        table = self.catalog.load_table("bronze.rec_events")
        assert len(table.metadata.snapshots) == 1
        assert len(list(table.scan().plan_files())) == 4
        self._worker.run(self.home, NOW + timedelta(hours=1))
        self.check()


@pytest.fixture(scope="module")
def lab(tmp_path_factory, worker):
    return Lab(tmp_path_factory.mktemp("maintenance"), worker)


POINTS = [
    pytest.param(p, marks=[] if p in ("compaction_written", "orphan_deleted") else pytest.mark.slow)
    for p in MAINTENANCE_POINTS
    if p != "table_registered"
]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_of_maintenance_and_another_run_change_nothing(lab, warm, point):
    lab.reset()
    killed = warm.run("maintain", str(lab.home), LATER, env={"WEIR_CRASH_AT": point})
    assert killed == -signal.SIGKILL
    lab.check()
    assert warm.run("maintain", str(lab.home), LATER) == 0
    # what the first run wrote was first seen an orphan by the second: a third deletes it
    assert warm.run("maintain", str(lab.home), LATER) == 0
    lab.check_done()


def test_a_kill_while_a_catalog_is_built_again_is_made_good_by_the_next_call(lab, warm):
    lab.reset()
    (lab.home / "catalog.db").unlink()
    killed = warm.run("rebuild_catalog", str(lab.home), env={"WEIR_CRASH_AT": "table_registered"})
    assert killed == -signal.SIGKILL
    assert warm.run("rebuild_catalog", str(lab.home)) == 0
    lab.check()


@pytest.mark.slow
def test_maintenance_killed_again_and_again_gets_done(lab, warm):
    lab.reset()
    for point in ("compaction_written", "snapshots_expired", "orphan_deleted", "orphan_deleted"):
        assert warm.run("maintain", str(lab.home), LATER, env={"WEIR_CRASH_AT": point}) != 0
        lab.check()
    for _ in range(2):
        assert warm.run("maintain", str(lab.home), LATER) == 0
    lab.check_done()
