"""Logs to measure with: one family, files of about 50,000 lines, one line in a thousand broken.

Belongs here: cutting the simulator's traffic into files, and what is true of them. Does not: what
a line looks like (simulator) or who reads it (the benchmarks).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from isal import igzip

from benchmarks.harness import Job, measure
from simulator.akamai import AkamaiStructuredWriter, AkamaiWriter
from simulator.arrays import IntArray
from simulator.audience import Sessions, make_sessions
from simulator.azure import AzureWriter
from simulator.cloudflare import CloudflareWriter
from simulator.cloudfront import HEADER, CloudFrontWriter
from simulator.cloudfront_realtime import CloudFrontRealtimeWriter
from simulator.cloudfront_v2 import CloudFrontV2Writer
from simulator.combined import ApacheWriter, NginxWriter
from simulator.events import Events, EventWriter, make_events
from simulator.fastly import FastlyWriter
from simulator.files import cloudflare_key, cloudfront_key, event_key, own_key
from simulator.gcp import GcpWriter
from simulator.malform import KINDS, malform
from simulator.scenario import CLOUDFLARE_SHARE, CLOUDFRONT_SHARE, Scenario
from simulator.squid import SquidWriter
from simulator.traffic import Requests, make_requests
from simulator.varnish import VarnishWriter
from simulator.world import CLOUDFLARE, CLOUDFRONT, DISTRIBUTIONS, PRODUCERS

#: servers of one's own: their sources are the examples of docs/sources
OWN = {
    "nginx": NginxWriter,
    "apache": ApacheWriter,
    "varnishncsa": VarnishWriter,
    "squid": SquidWriter,
}
#: vendors whose sources are examples as well
VENDORS = {
    "akamai": AkamaiWriter,
    "akamai_structured": AkamaiStructuredWriter,
    "gcp": GcpWriter,
    "fastly": FastlyWriter,
    "azure": AzureWriter,
}
CLOUDFRONTS = ("cloudfront", "cloudfront_v2", "cloudfront_realtime")
FAMILIES = ("cloudflare", *CLOUDFRONTS, "rec_events", *VENDORS, *OWN)
MALFORMED_SHARE = 0.001
LINES_PER_FILE = 50_000
# so that 50,000 lines are about what one large zone or distribution logs in five minutes
_LINES_PER_HOUR = 600_000
_SHARES = {
    "cloudflare": CLOUDFLARE_SHARE,
    **dict.fromkeys(CLOUDFRONTS, CLOUDFRONT_SHARE),
    # what the simulator gives to Cloudflare, in another vendor's words
    **dict.fromkeys(VENDORS, CLOUDFLARE_SHARE),
    "rec_events": 1 - CLOUDFLARE_SHARE - CLOUDFRONT_SHARE,
    **dict.fromkeys(OWN, CLOUDFLARE_SHARE),
}
_AZURE = "insights-logs-frontdooraccesslog/resourceId=/PROFILES"
#: name of a file of the others, by hour and number
_KEYS: dict[str, Callable[[datetime, int], str]] = {
    "akamai": lambda at, n: f"akamai/{at:%Y/%m/%d/%H}/ak-{n:05d}-ds.gz",
    "akamai_structured": lambda at, n: f"akamai_structured/{at:%Y/%m/%d/%H}/ak-{n:05d}-ds.gz",
    "fastly": lambda at, n: f"fastly/{at:%Y-%m-%dT%H-00-00}.000-{n:020d}.log.gz",
    "gcp": lambda at, n: f"gcp/requests/{at:%Y/%m/%d/%H}:00:00_{at:%H}:59:59_S{n}.json.gz",
    "azure": lambda at, n: f"{_AZURE}/P{n}/{at:y=%Y/m=%m/d=%d/h=%H}/m=00/PT1H.json.gz",
}
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
        lines=round(lines / _SHARES[family] * 1.1) + 2_000,
    )
    share = CLOUDFRONT_SHARE / (CLOUDFRONT_SHARE + CLOUDFLARE_SHARE)
    sessions = make_sessions(scenario, scenario.cdn_lines, share)
    rows, parts, write = _PLANS[family](scenario, sessions, lines - broken_count)
    size = sum(part.rows.size for part in parts)
    if size != lines - broken_count:
        raise ValueError(f"{family}: expected {lines - broken_count} good lines, found {size}")
    rng = scenario.rng("benchmark")
    chosen = np.sort(rng.choice(size, broken_count, replace=False))
    edges = np.cumsum([0, *(part.rows.size for part in parts)])
    header = [line.encode() for line in HEADER] if family == "cloudfront" else []
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


def _cuts(rows: IntArray) -> Iterator[IntArray]:
    """Cut rows into about equal parts of about LINES_PER_FILE."""
    if rows.size:
        yield from np.array_split(rows, max(1, round(rows.size / LINES_PER_FILE)))


def _first(rows: IntArray, wanted: int) -> IntArray:
    if rows.size < wanted:
        raise ValueError(f"expected at least {wanted} rows, found {rows.size}; raise the scenario")
    return rows[:wanted]


def _hour(scenario: Scenario, number: int) -> datetime:
    return scenario.start + timedelta(hours=number)


def _cloudflare(scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    """Plan files one after the other in time."""
    requests = _requests(scenario, sessions, wanted)
    rows = _first(np.flatnonzero(requests.cdn == CLOUDFLARE), wanted)
    rows = rows[np.argsort(requests.end_us[rows], kind="stable")]
    parts = []
    for number, part in enumerate(_cuts(rows)):
        ends = requests.end_us[part] - scenario.start_us
        start = scenario.start + timedelta(seconds=int(ends[0]) // 1_000_000)
        end = scenario.start + timedelta(seconds=int(ends[-1]) // 1_000_000 + 1)
        parts.append(_Part(cloudflare_key(scenario, start, end, number), part))
    return requests, parts, CloudflareWriter(scenario.seed, sessions).lines


def _hourly(family: str, scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    """Plan files of one hour each: Cloudflare's rows as another vendor writes them."""
    requests = _requests(scenario, sessions, wanted)
    rows = _first(np.flatnonzero(requests.cdn == CLOUDFLARE), wanted)
    rows = rows[np.argsort(requests.end_us[rows], kind="stable")]
    hour = (requests.end_us[rows] - scenario.start_us) // _HOUR_US
    parts = [
        _Part(_KEYS[family](_hour(scenario, number), cut), part)
        for number in np.unique(hour).tolist()
        for cut, part in enumerate(_cuts(rows[hour == number]))
    ]
    return requests, parts, VENDORS[family](scenario.seed, sessions).lines


def _own(family: str, scenario: Scenario, sessions: Sessions, wanted: int) -> _Plan:
    """Plan files of one server and hour each, in the order of the requests' ends."""
    requests = _requests(scenario, sessions, wanted)
    rows = _first(np.flatnonzero(requests.cdn == CLOUDFLARE), wanted)
    rows = rows[np.argsort(requests.end_us[rows], kind="stable")]
    hour = (requests.end_us[rows] - scenario.start_us) // _HOUR_US
    parts = []
    for number in np.unique(hour).tolist():
        start = _hour(scenario, number)
        for server, part in enumerate(_cuts(rows[hour == number])):
            parts.append(_Part(own_key(family, f"edge-{server + 1}", start), part))
    return requests, parts, OWN[family](scenario.seed, sessions).lines


class _Writer(Protocol):
    def __init__(self, seed: int, sessions: Sessions) -> None: ...

    def lines(self, rows: Requests, /) -> list[str]: ...


def _cloudfront(
    writer: type[_Writer], scenario: Scenario, sessions: Sessions, wanted: int
) -> _Plan:
    """Plan files of one distribution and hour each."""
    requests = _requests(scenario, sessions, wanted)
    rows = _first(np.flatnonzero(requests.cdn == CLOUDFRONT), wanted)
    rows = scenario.rng("disorder").permutation(rows)  # as the vendor's: in no order of time
    hour = (requests.end_us[rows] - scenario.start_us) // _HOUR_US
    stream = hour * 2 + sessions.is_live[requests.session[rows]]
    parts = []
    for number in np.unique(stream).tolist():
        name = DISTRIBUTIONS[number % 2].distribution_id
        for cut, part in enumerate(_cuts(rows[stream == number])):
            parts.append(
                _Part(cloudfront_key(scenario, name, _hour(scenario, number // 2), cut), part)
            )
    return requests, parts, writer(scenario.seed, sessions).lines


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
        for part in _cuts(np.flatnonzero(kept & (stream == number))):
            start = _hour(scenario, number % scenario.hours)
            first = int(events.sequence[part[0]])
            parts.append(_Part(event_key(PRODUCERS[number // scenario.hours], start, first), part))
    return events, parts, EventWriter(scenario.seed, sessions).lines


def _requests(scenario: Scenario, sessions: Sessions, wanted: int) -> Requests:
    """Make traffic in which about one request in forty is a worker's, as the simulator has it."""
    return make_requests(scenario, sessions, wanted // 40)


_PLANS: dict[str, Callable[[Scenario, Sessions, int], _Plan]] = {
    "cloudflare": _cloudflare,
    "cloudfront": partial(_cloudfront, CloudFrontWriter),
    "cloudfront_v2": partial(_cloudfront, CloudFrontV2Writer),
    "cloudfront_realtime": partial(_cloudfront, CloudFrontRealtimeWriter),
    **{name: partial(_hourly, name) for name in VENDORS},
    "rec_events": _rec_events,
    **{family: partial(_own, family) for family in OWN},
}
