"""Two workers that ingest and replay are killed at random: every line is there, and once.

Landing and warehouse lie in S3, the catalog in SQLite or PostgreSQL. Files of the simulator arrive
meanwhile: late, repeated, replaced and broken ones among them.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from lake.batches import BATCH_KEY
from lake.catalog import ensure_all, open_catalog
from lake.deliveries import read_ledger
from lake.maintenance.policy import load_policy
from lake.maintenance.sweep import sweep
from lake.reads import connect, relation_sql
from lake.settings import load_settings
from simulator import ALL_INCIDENTS, Scenario, simulate

BRONZE = ("bronze.cdn_requests", "bronze.rec_events")
OPS = ("ops.rejects", "ops.check_results", "ops.deliveries")
LINEAGE = ("delivery_id", "source_line", "ingested_at")
#: how far events may lie outside the period of their file, minutes: before and after the fix
NARROW, WIDE = "-15", "5"


def arrivals():
    """Versions in the order of their arrival; none that is broken comes over a whole one."""
    plan = simulate(
        Scenario(
            seed=11, start=datetime(2026, 11, 16, tzinfo=UTC), hours=3, lines=1_500,
            incidents=ALL_INCIDENTS,
        )
    )  # fmt: skip
    found, whole = [], set()
    for one in sorted((a for a in plan.arrivals if a.at is not None), key=lambda a: a.at):
        if one.is_whole or one.key not in whole:
            found.append(one)
        if one.is_whole:
            whole.add(one.key)
    return found


class Site:
    """A lake in S3 with its landing, and the environment that leads there."""

    def __init__(self, home, s3_server, catalog_uri: str) -> None:
        self.home = home
        self._keys: set[str] = set()
        home.mkdir()
        self.s3 = s3_server
        self.bucket = s3_server.new_bucket()
        self.env = {
            **s3_server.environment(),
            **{k.replace("WEIR_S3", "WEIR_LANDING_S3"): v
               for k, v in s3_server.environment().items()},
            "WEIR_LANDING": f"s3://{self.bucket}/landing/",
            "WEIR_WAREHOUSE": f"s3://{self.bucket}/warehouse",
            "WEIR_CATALOG_URI": catalog_uri,
            "WEIR_HMAC_KEY": "ab" * 32,
        }  # fmt: skip
        self.settings = load_settings(self.env, home=home)
        self.catalog = open_catalog(self.settings)
        ensure_all(self.catalog)

    def put(self, key: str, data: bytes) -> None:
        """Land a version; a later one of a key has a later time, in whole seconds."""
        if key in self._keys:
            time.sleep(1.1)
        self._keys.add(key)
        self.s3.client.put_object(Bucket=self.bucket, Key=f"landing/{key}", Body=data)

    def rows(self, identifier: str, columns: str) -> list[tuple]:
        table = self.catalog.load_table(identifier)
        with connect(table) as connection:
            return connection.execute(f"select {columns} from ({relation_sql(table)})").fetchall()

    def stored(self) -> set[str]:
        """Names of the objects in the warehouse."""
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix="warehouse/"
        )
        return {f"s3://{self.bucket}/{o['Key']}" for p in pages for o in p.get("Contents", ())}


class Workers:
    """Two workers at a time, and what becomes of them."""

    def __init__(self, warm, site: Site, seed: int) -> None:
        self.warm, self.site, self.rng = warm, site, random.Random(seed)
        began = time.monotonic()
        assert self.warm.run("ingest_once", str(site.home), NARROW, env=site.env) == 0
        #: how slow this machine is now: one pass over nothing takes a third of a second
        self.pace = min(max(1.0, (time.monotonic() - began) / 0.35), 4.0)
        self.stray = NARROW
        self.started = 0
        self.codes: Counter[int] = Counter()
        self.running: dict[int, float] = {}

    def start(self) -> None:
        self.started += 1
        pid = self.warm.start(
            "keep_going", str(self.site.home), self.stray, self.started, env=self.site.env
        )
        # from the first import of a client to several commits: every phase gets its share
        life = min(self.rng.expovariate(1 / 0.7), 2.5) * self.pace
        self.running[pid] = time.monotonic() + life

    def kill_one(self) -> None:
        """Wait for the next to die, kill it and start another."""
        while len(self.running) < 2:
            self.start()
        pid, when = min(self.running.items(), key=lambda item: item[1])
        time.sleep(max(0.0, when - time.monotonic()))
        del self.running[pid]
        os.kill(pid, signal.SIGKILL)
        self.codes[self.warm.wait(pid)] += 1
        self.start()

    def finish(self) -> None:
        """Let the two that live come to an end by themselves, and one more after them."""
        (self.site.home / "stop").touch()
        for pid in self.running:
            assert self.warm.wait(pid) == 0, self.warm.log.read_text()[-3000:]


def assert_lines_are_those_of_the_truth(site: Site, landed) -> None:
    """I1 and I5: what the ledger says of each object is what the simulator put into it."""
    truth = {hashlib.sha256(a.data).hexdigest(): a for a in landed}
    ledger = read_ledger(site.catalog)
    for d in ledger.values():
        one = truth[d.content_sha256]
        if d.lines is None:
            assert not one.is_whole
            continue
        assert d.lines == one.counts.physical
        assert (d.header, d.blank) == (one.counts.header, one.counts.blank)
        assert d.accepted + d.rejected == one.counts.good + sum(one.counts.malformed)
    loaded = {i: d for i, d in ledger.items() if d.is_loaded}
    counted: Counter[str] = Counter()
    for table in BRONZE:
        counted.update(i for (i,) in site.rows(table, "delivery_id"))
    assert counted == {i: d.accepted for i, d in loaded.items() if d.accepted}
    lines = Counter(
        (ledger[i].content_id, line)
        for i, line in site.rows("ops.rejects", "delivery_id, line")
    )  # fmt: skip
    assert max(lines.values(), default=1) == 1
    contents = {d.content_id: d.rejected or 0 for d in ledger.values()}
    assert Counter(c for c, _ in lines) == {c: n for c, n in contents.items() if n}
    current = {a.key: a for a in landed if a.is_whole}
    wanted = {hashlib.sha256(a.data).hexdigest() for a in current.values()}
    assert {d.content_sha256 for d in loaded.values()} == wanted


def assert_history_is_whole(site: Site) -> None:
    """I2 and I3: each change and each batch once; every file that is referenced is there."""
    history = site.rows("ops.deliveries", "delivery_id, change_no")
    assert len(history) == len(set(history))
    stored = site.stored()
    for name in (*BRONZE, *OPS):
        table = site.catalog.load_table(name)
        seen = Counter(
            (s.summary.additional_properties.get(BATCH_KEY), s.summary.operation)
            for s in table.metadata.snapshots
            if s.summary is not None
        )
        assert max(seen.values(), default=1) == 1
        files = {t.file.file_path for t in table.scan().plan_files()}
        assert files <= stored


def contents_of(site: Site) -> dict[str, Counter]:
    left_out = f"* exclude ({', '.join(LINEAGE)})"
    return {t: Counter(map(repr, site.rows(t, left_out))) for t in BRONZE}


@pytest.mark.slow
@pytest.mark.parametrize(("catalog", "kills"), [("sqlite", 200), ("postgres", 60)])
def test_two_workers_killed_at_random_lose_and_double_nothing(
    catalog, kills, tmp_path, s3_server, request, warm, worker, monkeypatch
):
    monkeypatch.setenv("WEIR_HMAC_KEY", "ab" * 32)
    uri = f"sqlite:///{tmp_path}/home/catalog.db"
    if catalog == "postgres":
        uri = request.getfixturevalue("postgres_url")
    site = Site(tmp_path / "home", s3_server, uri)
    todo = arrivals()
    landed: list = []
    workers = Workers(warm, site, seed=kills)
    for n in range(kills):
        if n == kills // 2:
            # the fix: what is rejected so far is for the replay, and something surely is
            assert warm.run("ingest_once", str(site.home), NARROW, env=site.env) == 0
            workers.stray = WIDE
        due = (n + 1) * len(todo) // kills
        for one in todo[len(landed) : due]:
            site.put(one.key, one.data)
            landed.append(one)
        workers.kill_one()
    workers.finish()
    assert workers.codes == {-signal.SIGKILL: kills}

    now = datetime.now(UTC)
    while worker.once(site.settings, WIDE, now, replays=True):
        now += timedelta(seconds=1)
    assert_lines_are_those_of_the_truth(site, landed)
    assert_history_is_whole(site)
    assert any("replayed" in (d.reason or "") for d in read_ledger(site.catalog).values())

    # I6: once more changes nothing
    before = {n: site.catalog.load_table(n).metadata_location for n in (*BRONZE, *OPS)}
    assert worker.once(site.settings, WIDE, now, replays=True) == 0
    assert before == {n: site.catalog.load_table(n).metadata_location for n in (*BRONZE, *OPS)}

    # an undisturbed lake over the same objects has the same rows
    calm = Site(tmp_path / "calm", s3_server, f"sqlite:///{tmp_path}/calm/catalog.db")
    for one in landed:
        calm.put(one.key, one.data)
    worker.once(calm.settings, WIDE, now, replays=False)
    assert contents_of(site) == contents_of(calm)

    # what the kills left behind goes with the sweep, and nothing else does: marked at first, gone
    # once nobody can be reading it any more
    policy = load_policy(site.settings.policy)
    later = datetime.now(UTC) + timedelta(days=30)
    moments = (later, later + 2 * policy.reader_grace, later + 4 * policy.reader_grace)
    found = [sweep(site.catalog, policy, str(site.settings.landing), at) for at in moments]
    assert [report.orphans > 0 for report in found] == [False, True, False]
    assert found[0].waiting == found[1].orphans
    assert found[2].waiting == 0
    assert_history_is_whole(site)
    assert contents_of(site) == contents_of(calm)
