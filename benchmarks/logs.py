"""Logs to measure with: one family, files of about 50,000 lines, one line in a thousand broken.

Belongs here: cutting the simulator's traffic into files, and what is true of them. Does not: what
a line looks like (simulator) or who reads it (the benchmarks).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from isal import igzip

from benchmarks.harness import Job, measure
from simulator.arrays import IntArray
from simulator.audience import Sessions, make_sessions
from simulator.events import Events, EventWriter, make_events
from simulator.families import CDN_FAMILIES, CdnFamily, cut_files
from simulator.files import event_key
from simulator.malform import KINDS, malform
from simulator.scenario import CLOUDFLARE_SHARE, CLOUDFRONT_SHARE, Scenario
from simulator.traffic import make_requests
from simulator.world import CLOUDFRONT, PRODUCERS

#: text families: those of the CDNs that are written as lines, and the events
FAMILIES = (
    *(name for name, one in CDN_FAMILIES.items() if one.file is None),
    "rec_events",
)
MALFORMED_SHARE = 0.001
LINES_PER_FILE = 50_000
# so that 50,000 lines are about what one large zone or distribution logs in five minutes
_LINES_PER_HOUR = 600_000
_HOUR_US = 3_600_000_000
_GZIP_LEVEL = 1


@dataclass(frozen=True)
class Logs:
    """What was written: below `landing`, and where every broken line is."""

    family: str
    landing: Path
    lines: int
    files: int
    raw_bytes: int
    gz_bytes: int
    malformed: Mapping[str, Sequence[int]]

    @property
    def true_malformed(self) -> int:
        """Return the number of lines that no reader should accept."""
        return sum(len(lines) for lines in self.malformed.values())


class _Rows(Protocol):
    def take(self, rows: Any, /) -> Any: ...


@dataclass(frozen=True)
class _Part:
    """A file to be: its name and the rows that are in it."""

    key: str
    rows: IntArray


def make_logs(family: str, lines: int, folder: Path, seed: int = 7) -> Logs:
    """Write logs in a process of their own, so that this one stays small; equal seeds, equal files.

    lines: data lines, broken ones included, header lines not.
    """
    arguments = {"family": family, "lines": lines, "folder": str(folder), "seed": seed}
    return load_logs(Path(measure("benchmarks.logs:writing", arguments).outcome["manifest"]))


def load_logs(manifest: Path) -> Logs:
    """Read back what make_logs wrote down."""
    found = json.loads(manifest.read_text())
    return Logs(**{**found, "landing": Path(found["landing"])})


def writing(family: str, lines: int, folder: str, seed: int) -> Job:
    """Return the job that writes logs and a manifest of them."""
    manifest = Path(folder) / "logs.json"

    def run() -> None:
        written = _write(family, lines, Path(folder) / "landing", seed)
        manifest.write_text(json.dumps(written))

    return Job(run, lambda: {"manifest": str(manifest)})


def _write(family: str, lines: int, landing: Path, seed: int) -> dict[str, Any]:
    broken_count = round(lines * MALFORMED_SHARE)
    scenario = Scenario(
        seed=seed,
        hours=max(1, round(lines / _LINES_PER_HOUR)),
        # some sessions move to the other vendor on the way: a little more, then cut to size
        lines=round(lines / _share(family) * 1.1) + 2_000,
    )
    share = CLOUDFRONT_SHARE / (CLOUDFRONT_SHARE + CLOUDFLARE_SHARE)
    sessions = make_sessions(scenario, scenario.cdn_lines, share)
    rows, parts, write = _plan(family, scenario, sessions, lines - broken_count)
    size = sum(part.rows.size for part in parts)
    if size != lines - broken_count:
        raise ValueError(f"{family}: expected {lines - broken_count} good lines, found {size}")
    rng = scenario.rng("benchmark")
    chosen = np.sort(rng.choice(size, broken_count, replace=False))
    edges = np.cumsum([0, *(part.rows.size for part in parts)])
    known = CDN_FAMILIES.get(family)
    header = [line.encode() for line in known.header] if known else []
    raw = packed = done = 0
    malformed: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        good = [line.encode() for line in write(rows.take(part.rows))]
        at = chosen[(chosen >= edges[number]) & (chosen < edges[number + 1])] - edges[number]
        body, broken = _with_broken(family, part.key, good, at.tolist(), done)
        done += len(broken)
        malformed[part.key] = [len(header) + line for line in broken]
        text = b"\n".join([*header, *body, b""])
        data: bytes = igzip.compress(text, _GZIP_LEVEL, mtime=0)
        path = landing / part.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        raw, packed = raw + len(text), packed + len(data)
    return {
        "family": family,
        "landing": str(landing),
        "lines": lines,
        "files": len(parts),
        "raw_bytes": raw,
        "gz_bytes": packed,
        "malformed": malformed,
    }


def _with_broken(
    family: str, key: str, good: list[bytes], at: list[int], done: int
) -> tuple[list[bytes], list[int]]:
    """Put a broken line after each chosen good one, the kinds in turn; return their numbers."""
    body: list[bytes] = []
    numbers: list[int] = []
    start = 0
    for count, index in enumerate(at):
        body += good[start : index + 1]
        kind = KINDS[(done + count) % len(KINDS)]
        body.append(malform(family, kind, good[index], f"{key}#{count}"))
        numbers.append(len(body))
        start = index + 1
    return [*body, *good[start:]], numbers


_Plan = tuple[_Rows, list[_Part], Callable[[Any], list[str]]]


def _first(rows: IntArray, wanted: int) -> IntArray:
    if rows.size < wanted:
        raise ValueError(f"expected at least {wanted} rows, found {rows.size}; raise the scenario")
    return rows[:wanted]


def _share(family: str) -> float:
    """Return which share of a scenario's lines a family can be made of."""
    if family == "rec_events":
        return 1 - CLOUDFLARE_SHARE - CLOUDFRONT_SHARE
    return CLOUDFRONT_SHARE if CDN_FAMILIES[family].cdn == CLOUDFRONT else CLOUDFLARE_SHARE


def _requests(family: CdnFamily, scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    """Plan the files of a CDN; one request in forty is a worker's, as the simulator has it."""
    requests = make_requests(scenario, sessions, wanted // 40)
    rows = _first(np.flatnonzero(requests.cdn == family.cdn), wanted)
    files = cut_files(family, scenario, sessions, requests, rows, lines_per_file=LINES_PER_FILE)
    parts = [_Part(key, part) for key, part in files]
    return requests, parts, family.writer(scenario.seed, sessions).lines


def _rec_events(scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    """Plan files of one producer and hour each."""
    events: Events = make_events(scenario, sessions)
    hour = (events.time_ms * 1_000 - scenario.start_us) // _HOUR_US
    stream = events.producer.astype(np.int64) * scenario.hours + hour
    surplus = scenario.rng("surplus").choice(len(events), len(events) - wanted, replace=False)
    kept = np.ones(len(events), dtype=np.bool_)
    kept[surplus] = False
    parts = []
    for number in np.unique(stream).tolist():
        chosen = np.flatnonzero(kept & (stream == number))
        for part in np.array_split(chosen, max(1, round(chosen.size / LINES_PER_FILE))):
            if not part.size:
                continue
            start = scenario.start + timedelta(hours=number % scenario.hours)
            first = int(events.sequence[part[0]])
            parts.append(_Part(event_key(PRODUCERS[number // scenario.hours], start, first), part))
    return events, parts, EventWriter(scenario.seed, sessions).lines


def _plan(family: str, scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    if family == "rec_events":
        return _rec_events(scenario, sessions, wanted)
    return _requests(CDN_FAMILIES[family], scenario, sessions, wanted)
