"""A kill at any point, then a restart: everything as if nothing had happened."""

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
from lake.crash import POINTS
from lake.deliveries import read_ledger
from lake.reads import relation_sql
from lake.settings import load_settings

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BRONZE = ("bronze.cdn_requests", "bronze.rec_events")
GOLD = ("traffic_5m", "qos_hourly", "ttfb_buckets_hourly", "engagement_hourly")


def land(home: Path, key: str, lines: list[str], at: datetime) -> None:
    path = home / "landing" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    os.utime(path, ns=(int(at.timestamp()) * 10**9,) * 2)


def event(n: int, hour: int) -> str:
    at = int(T0.replace(hour=hour).timestamp() * 1000) + n * 1000
    one = {"event_id": f"e-{n}", "event_type": "play", "event_ts_ms": at, "item_id": "i"}
    return json.dumps({**one, "user_id": f"u-{n}"})


def request(n: int, hour: int) -> str:
    at = int(T0.replace(hour=hour).timestamp()) + n
    return json.dumps(
        {"EdgeStartTimestamp": at, "EdgeEndTimestamp": at + 1, "EdgeResponseStatus": 200,
         "EdgeResponseBytes": n, "EdgeTimeToFirstByteMs": n, "RayID": f"r-{n}",
         "CacheCacheStatus": "hit", "ClientIP": "192.0.2.9"}
    )  # fmt: skip


def rec_key(n: int, hour: int, word: str = "rec") -> str:
    return f"rec_events/dt=2026-11-16/hour={hour}/{word}-1-{n}.ndjson.gz"


def cdn_key(hour: int, name: str = "a") -> str:
    return f"cloudflare/20261116/20261116T{hour}0000Z_20261116T{hour}3000Z_{name}.log.gz"


def land_before(home: Path) -> None:
    land(home, cdn_key(10), [request(n, 10) for n in range(5)], T0)
    land(home, cdn_key(11), [request(n, 11) for n in range(5, 8)], T0)
    land(home, rec_key(1, 10), [event(n, 10) for n in range(4)], T0)


def land_after(home: Path) -> None:
    """A replacement, a new hour, a copy, a held and a broken delivery, lines that are rejected."""
    later = T0 + timedelta(hours=1)
    land(home, cdn_key(10), [*(request(n, 10) for n in range(3, 9)), "nonsense"], later)
    land(home, cdn_key(11, "b"), [request(n, 11) for n in range(5, 8)], later)
    land(home, rec_key(2, 11), [*(event(n, 11) for n in range(4, 9)), "", "{}"], later)
    land(home, rec_key(1, 10), ["nonsense"], later)
    land(home, rec_key(3, 11, "hold"), [event(20, 11)], later)
    land(home, rec_key(4, 11), [event(21, 11)], later)
    broken = home / "landing" / rec_key(4, 11)
    broken.write_bytes(broken.read_bytes()[:-6])
    os.utime(broken, ns=(int(later.timestamp()) * 10**9,) * 2)


class Lab:
    """One home that is put back to the same start for every kill: paths are in the metadata."""

    def __init__(self, folder: Path, warm, worker) -> None:
        self.home = folder / "home"
        self._start = folder / "start"
        self._warm = warm
        self._worker = worker
        land_before(self.home)
        self._worker.run(self.home, NOW)
        land_after(self.home)
        shutil.copytree(self.home, self._start)
        self.before = self.seen()
        self.restart()
        self.wanted = self.everything()

    def reset(self) -> None:
        shutil.rmtree(self.home)
        shutil.copytree(self._start, self.home)

    def restart(self) -> None:
        self._worker.run(self.home, NOW + timedelta(minutes=5))

    def kill(self, point: str, how: str = "SIGKILL") -> int:
        now = (NOW + timedelta(minutes=2)).isoformat()
        env = {"WEIR_CRASH_AT": f"{point}:{how}"}
        return self._warm.run("go", str(self.home), now, env=env)

    def fill(self, size: int) -> int:
        """Run on a disk that takes no file larger than that; return how it ended."""
        now = (NOW + timedelta(minutes=2)).isoformat()
        return self._warm.run("go", str(self.home), now, file_bytes=size)

    def _catalog(self):
        return open_catalog(load_settings({}, home=self.home))

    def _rows(self, identifier: str, columns: str) -> list[tuple]:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            rows = relation_sql(self._catalog().load_table(identifier))
            return connection.execute(f"select {columns} from ({rows}) order by all").fetchall()

    def bronze(self) -> dict[str, list[tuple]]:
        return {t: self._rows(t, "* exclude (ingested_at)") for t in BRONZE}

    def seen(self) -> dict[str, list[tuple]]:
        """What people see: the views of the serving file."""
        with duckdb.connect(str(self.home / "serving.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return {
                m: connection.execute(f"select * from gold.{m} order by all").fetchall()
                for m in GOLD
            }

    def everything(self) -> dict[str, object]:
        return {
            **self.bronze(),
            "rejects": self._rows("ops.rejects", "* exclude (batch_id, rejected_at)"),
            "checks": self._rows("ops.check_results", "* exclude (checked_at, run_id)"),
            "deliveries": self._rows("ops.deliveries", "* exclude (changed_at, batch_id)"),
            "gold": {m: self._rows(f"gold.{m}", "*") for m in GOLD},
            "refreshes": self._rows(
                "ops.refreshes", "distinct family, partition_start, input_version, outcome"
            ),
            "releases": self._rows("ops.releases", "release_no, len(marts)"),
            "serving": self.seen(),
        }

    def missing_files(self) -> list[str]:
        return [
            t.file.file_path
            for name in (*BRONZE, "ops.deliveries")
            for t in self._catalog().load_table(name).scan().plan_files()
            if not Path(t.file.file_path.removeprefix("file://")).is_file()
        ]

    def ledger(self):
        return read_ledger(self._catalog())


@pytest.fixture(scope="module")
def lab(tmp_path_factory, warm, worker):
    return Lab(tmp_path_factory.mktemp("lab"), warm, worker)


def test_the_undisturbed_run_is_what_it_should_be(lab):
    assert [number for number, _ in lab.wanted["releases"]] == [1, 2]
    assert len(lab.wanted["bronze.cdn_requests"]) == 9
    assert len(lab.wanted["bronze.rec_events"]) == 5
    assert len(lab.wanted["rejects"]) == 3
    assert lab.before != lab.wanted["serving"]
    assert lab.wanted["serving"] == lab.wanted["gold"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_and_a_restart_leave_no_trace(lab, point):
    lab.reset()
    rows_before = lab.bronze()
    assert lab.kill(point) == -signal.SIGKILL
    # nothing staged is seen: each table is as it was or as it will be, the release whole
    for table, rows in lab.bronze().items():
        assert rows in (rows_before[table], lab.wanted[table])
    assert lab.seen() == lab.before
    assert lab.missing_files() == []
    lab.restart()
    assert lab.everything() == lab.wanted
    assert lab.missing_files() == []


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_request_to_stop_and_a_restart_leave_no_trace(lab, point):
    """The way out of every function runs: what it tidies must not be what was committed."""
    lab.reset()
    assert lab.kill(point, "SIGTERM") == 128 + signal.SIGTERM
    assert lab.seen() == lab.before
    assert lab.missing_files() == []
    lab.restart()
    assert lab.everything() == lab.wanted
    assert lab.missing_files() == []


@pytest.mark.slow
def test_several_kills_in_a_row_leave_no_trace(lab):
    lab.reset()
    for point in ("staged", "bronze_committed", "gold_first_committed", "released"):
        assert lab.kill(point) == -signal.SIGKILL
    lab.restart()
    assert lab.everything() == lab.wanted


#: bytes: a manifest, a Parquet file, table metadata, the catalog, the build file do not fit
SIZES = (400, 3_000, 12_000, 40_000, 120_000, 500_000)


@pytest.mark.parametrize(
    "size", [pytest.param(s, marks=[] if s == 12_000 else [pytest.mark.slow]) for s in SIZES]
)
def test_a_full_disk_ends_the_run_cleanly_and_the_next_one_completes_it(lab, size):
    """No file may grow beyond a size, as on a full disk: what cannot be written names no culprit
    among the deliveries, what was there stays whole."""
    lab.reset()
    rows_before = lab.bronze()
    assert lab.fill(size) == 1
    for table, rows in lab.bronze().items():
        assert rows in (rows_before[table], lab.wanted[table])
    assert lab.seen() == lab.before
    assert lab.missing_files() == []
    lab.restart()
    assert lab.everything() == lab.wanted
    assert lab.missing_files() == []


def test_an_unknown_point_is_refused():
    from lake.crash import crashpoint

    with pytest.raises(ValueError, match=r"lake\.crash\.POINTS"):
        crashpoint("somewhere")
