"""Growth: what a commit costs after many commits, with and without maintenance.

Run as `python -m benchmarks.commits`; README.md says how to read it. One delivery of one minute of
events a commit, through the commit path of the ingest: open the tables, write the ledger rows, the
gate, then bronze and, every tenth time, rejects and check results. Maintenance is what a user has
on, at the same places of the events' time: upkeep every 60 commits, a sweep every 1,440.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import pyarrow as pa
import typer
from pyiceberg.catalog import Catalog

from lake.batches import Manifest
from lake.catalog import ensure_all, open_catalog
from lake.commit import commit_batch, open_handles, write_data_file
from lake.maintenance.metadata import size_of
from lake.maintenance.policy import Policy, load_policy
from lake.maintenance.run import upkeep
from lake.maintenance.sweep import sweep
from lake.records import CHECK_RESULTS, DELIVERIES, REC_EVENTS, REJECTS
from lake.settings import LakeSettings, load_settings
from lake.writing import HourlyWriter

ROWS = 20
_MINUTE = timedelta(minutes=1)
_UPKEEP_EVERY = 60
_SWEEP_EVERY = 1440
_WINDOW = 100
_TABLES = (REC_EVENTS, REJECTS, CHECK_RESULTS, DELIVERIES)


@dataclass(frozen=True)
class Checkpoint:
    """What the commits up to here cost, over the last window of them, and how large things are.

    metadata_bytes: metadata.json, manifest list and manifests of the current snapshots of bronze,
    rejects, check results and ledger. files: all files of the warehouse.
    """

    commits: int
    wall_ms: float
    wall_p95_ms: float
    cpu_ms: float
    snapshots: int
    manifests: int
    metadata_bytes: int
    files: int
    warehouse_bytes: int
    maintenance_cpu_s: float


@dataclass(frozen=True)
class Growth:
    """One run: its checkpoints, and the last beside the first that both runs can have."""

    maintained: bool
    checkpoints: tuple[Checkpoint, ...]


class Minutes:
    """A lake that gets one small delivery a commit; minute n of the events is commit n.

    start: the first minute. The clock of snapshots and files is the machine's, which runs far
    behind: so snapshots are kept by count, as many as come within their grace at one a minute, and
    every file is past the orphan grace when a sweep comes.
    """

    def __init__(self, settings: LakeSettings) -> None:
        self.settings = settings
        self.catalog: Catalog = open_catalog(settings)
        ensure_all(self.catalog)
        self.start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(
            days=8
        )
        self.policy = _by_count(load_policy())
        self.done = 0
        self.maintenance_cpu_s = 0.0

    @property
    def now(self) -> datetime:
        """Return the minute that the next commit is of."""
        return self.start + self.done * _MINUTE

    def commit(self) -> tuple[float, float]:
        """Commit one delivery; return wall and CPU milliseconds of the commit alone."""
        batch, delivery = uuid.uuid4().hex, uuid.uuid4().hex
        writer = HourlyWriter(self.catalog.load_table(REC_EVENTS.identifier), delivery)
        writer.write(self._events(delivery))
        files = [f.uri for f in writer.close()]
        wall, cpu = time.perf_counter(), time.process_time()
        handles = open_handles(self.catalog, REC_EVENTS)
        written = {
            REC_EVENTS.identifier: files,
            DELIVERIES.identifier: [
                write_data_file(handles.ledger, self._ledger(delivery, batch), batch)
            ],
        }
        if self.done % 10 == 0:
            checks = self._checks(delivery, batch)
            written[CHECK_RESULTS.identifier] = [
                write_data_file(handles.check_results, checks, batch)
            ]
            rejects = self._rejects(delivery, batch)
            written[REJECTS.identifier] = [write_data_file(handles.rejects, rejects, batch)]
        commit_batch(
            self.catalog, handles, Manifest(batch, REC_EVENTS.identifier, written, [], [delivery])
        )
        self.done += 1
        return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3

    def maintain(self) -> None:
        """Do what the schedules would do by now."""
        before = time.process_time()
        if self.done % _UPKEEP_EVERY == 0:
            upkeep(self.catalog, self.policy, self.now)
        if self.done % _SWEEP_EVERY == 0:
            sweep(self.catalog, self.policy, str(self.settings.landing), self.now)
        self.maintenance_cpu_s += time.process_time() - before

    def checkpoint(self, walls: Sequence[float], cpus: Sequence[float]) -> Checkpoint:
        """Return what the commits of the window cost, and how large the lake is."""
        sizes = [size_of(self.catalog.load_table(r.identifier)) for r in _TABLES]
        found = [p.stat() for p in Path(str(self.settings.warehouse)).rglob("*") if p.is_file()]
        return Checkpoint(
            commits=self.done,
            wall_ms=median(walls),
            wall_p95_ms=quantiles(walls, n=20)[-1] if len(walls) > 1 else walls[0],
            cpu_ms=median(cpus),
            snapshots=sum(s.snapshots for s in sizes),
            manifests=sum(s.manifests for s in sizes),
            metadata_bytes=sum(s.metadata_bytes for s in sizes),
            files=len(found),
            warehouse_bytes=sum(f.st_size for f in found),
            maintenance_cpu_s=self.maintenance_cpu_s,
        )

    def _events(self, delivery: str) -> pa.Table:
        rows = [
            {
                "event_time": self.now + timedelta(seconds=i),
                "source": "rec_events",
                "delivery_id": delivery,
                "source_line": i + 1,
                "row_key": uuid.uuid4().bytes,
                "parser_version": "rec_events/1",
                "ingested_at": self.now,
                "event_id": uuid.uuid4().hex,
                "event_type": "play",
                "user_key": uuid.uuid4().hex,
                "item_id": f"i-{i}",
            }
            for i in range(ROWS)
        ]
        return pa.Table.from_pylist(rows, schema=REC_EVENTS.arrow)

    def _checks(self, delivery: str, batch: str) -> pa.Table:
        rows = [
            {
                "checked_at": self.now, "run_id": batch, "layer": "delivery", "suite": "bench",
                "check_name": f"check {i}", "subject": delivery, "severity": "critical",
                "is_passed": True,
            }
            for i in range(6)
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=CHECK_RESULTS.arrow)

    def _ledger(self, delivery: str, batch: str) -> pa.Table:
        row = {
            "delivery_id": delivery, "change_no": 1, "changed_at": self.now, "batch_id": batch,
            "source": "rec_events", "table_name": REC_EVENTS.identifier, "key": f"{delivery}.gz",
            "etag": delivery, "size_bytes": 1000, "last_modified": self.now, "state": "loaded",
            "verdict": "passed", "content_id": delivery, "content_sha256": delivery * 2,
            "parser_version": "rec_events/1", "lines": ROWS, "accepted": ROWS, "rejected": 0,
            "header": 0, "blank": 0,
            "hours": [{"hour": self.now.replace(minute=0), "rows": ROWS}],
        }  # fmt: skip
        return pa.Table.from_pylist([row], schema=DELIVERIES.arrow)

    def _rejects(self, delivery: str, batch: str) -> pa.Table:
        row = {
            "delivery_id": delivery, "source": "rec_events", "key": f"{delivery}.gz", "line": 21,
            "byte_offset": 0, "byte_length": 9, "raw_sha256": delivery * 2,
            "reason": "invalid_json", "excerpt": "xxxx", "parser_version": "rec_events/1",
            "batch_id": batch, "rejected_at": self.now,
        }  # fmt: skip
        return pa.Table.from_pylist([row], schema=REJECTS.arrow)


def _by_count(policy: Policy) -> Policy:
    """Return the policy with the age of snapshots counted in commits, one a minute."""
    minutes = policy.defaults.snapshot_minutes
    defaults = policy.defaults.model_copy(update={"keep_snapshots": minutes})
    return policy.model_copy(update={"defaults": defaults})


def grow(
    settings: LakeSettings,
    commits: int,
    marks: Sequence[int],
    *,
    maintained: bool,
    window: int = _WINDOW,
    progress: Callable[[Checkpoint], None] = lambda _: None,
) -> Iterator[Checkpoint]:
    """Commit so often; give a checkpoint at each mark, over the window that ends there."""
    lake = Minutes(settings)
    walls: list[float] = []
    cpus: list[float] = []
    for number in range(1, commits + 1):
        wall, cpu = lake.commit()
        walls, cpus = [*walls[1 - window :], wall], [*cpus[1 - window :], cpu]
        if maintained:
            lake.maintain()
        if number in marks:
            found = lake.checkpoint(walls, cpus)
            progress(found)
            yield found


def _run(commits: int, *, maintained: bool, as_json: bool) -> Growth:
    marks = [m for m in (100, 250, 500, 1000, 2500, 5000, 7500, 10_000) if m < commits] + [commits]

    def tell(c: Checkpoint) -> None:
        if not as_json:
            sys.stderr.write(f"{'with' if maintained else 'without'} maintenance: {c}\n")

    with tempfile.TemporaryDirectory(prefix="weir-commits-") as folder:
        settings = load_settings({}, home=Path(folder) / "home")
        found = grow(settings, commits, marks, maintained=maintained, progress=tell)
        return Growth(maintained, tuple(found))


def _table(growth: Growth) -> list[str]:
    lines = [
        f"{'With' if growth.maintained else 'Without'} maintenance",
        "",
        "| commits | wall ms, median (p95) | CPU ms | snapshots | manifests | metadata KB | files "
        "| warehouse MB | maintenance CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.commits:,} | {c.wall_ms:.0f} ({c.wall_p95_ms:.0f}) | {c.cpu_ms:.0f} | "
        f"{c.snapshots:,} | {c.manifests:,} | {c.metadata_bytes / 1e3:,.0f} | {c.files:,} | "
        f"{c.warehouse_bytes / 1e6:,.1f} | {c.maintenance_cpu_s:.0f} |"
        for c in growth.checkpoints
    ]
    first, last = growth.checkpoints[0], growth.checkpoints[-1]
    lines += [
        "",
        f"{last.commits:,} commits beside {first.commits:,}: CPU {last.cpu_ms / first.cpu_ms:.2f}, "
        f"wall {last.wall_ms / first.wall_ms:.2f}, "
        f"metadata {last.metadata_bytes / first.metadata_bytes:.2f} times.",
        "",
    ]
    return lines


def main(
    commits: Annotated[int, typer.Option(help="Commits with maintenance.")] = 10_000,
    without: Annotated[int, typer.Option(help="Commits without; 0: none.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print what a commit costs as commits add up."""
    runs = [_run(without, maintained=False, as_json=as_json)] if without else []
    if commits:
        runs.append(_run(commits, maintained=True, as_json=as_json))
    if as_json:
        sys.stdout.write(json.dumps([asdict(r) for r in runs]) + "\n")
    else:
        sys.stdout.write("\n".join(line for r in runs for line in _table(r)))


if __name__ == "__main__":
    typer.run(main)
