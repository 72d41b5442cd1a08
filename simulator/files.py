"""Log files as each source would write them: grouping of rows, names, lines, gzip.

Belongs here: a file in its undisturbed form and when it arrives if nothing goes wrong. Does not
belong here: incidents, which take these files and do something to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from isal import igzip

from simulator.arrays import BoolArray, IntArray, scrambled
from simulator.audience import Sessions
from simulator.cloudflare import CloudflareWriter
from simulator.cloudfront import HEADER, CloudFrontWriter
from simulator.events import Events, EventWriter
from simulator.scenario import Scenario
from simulator.traffic import Requests
from simulator.world import (
    CLOUDFLARE,
    CLOUDFRONT,
    DISTRIBUTIONS,
    PRODUCERS,
    SILENT_POP,
    SILENT_PRODUCER,
)

FEEDS = ("cloudfront", "cloudflare", "rec_events")
_HOUR_US = 3_600_000_000
_SLOT_US = 300_000_000
# Level 1 costs half the time of level 3, which is nearer to what vendors ship, for 15 % more bytes.
_GZIP_LEVEL = 1


@dataclass(frozen=True)
class Silence:
    """Hours of the run, the last one exclusive, in which one PoP and one producer log nothing."""

    first_hour: int
    last_hour: int

    def covers(self, hours: IntArray) -> BoolArray:
        """Tell which hours of the run are silent."""
        return np.asarray((hours >= self.first_hour) & (hours < self.last_hour), dtype=np.bool_)


@dataclass(frozen=True)
class LogFile:
    """A file as generated. Good line `i` after the header is row `rows[i]` of its feed.

    The period is half open; `group` is the distribution or producer, empty for Cloudflare.
    """

    feed: str
    key: str
    group: str
    hour: int
    period_start: datetime
    period_end: datetime
    rows: IntArray
    header_lines: int
    data: bytes
    on_time_at: datetime


@dataclass(frozen=True)
class World:
    """All that one run generates, before it is written down."""

    scenario: Scenario
    sessions: Sessions
    requests: Requests
    events: Events


def pack(lines: list[bytes]) -> bytes:
    """Compress lines to the same gzip bytes on every run."""
    packed: bytes = igzip.compress(b"".join(line + b"\n" for line in lines), _GZIP_LEVEL, mtime=0)
    return packed


def _pack_text(lines: list[str]) -> bytes:
    """Compress freshly written lines; a join per file keeps the large runs cheap."""
    lines.append("")
    packed: bytes = igzip.compress("\n".join(lines).encode(), _GZIP_LEVEL, mtime=0)
    return packed


def unpack(data: bytes) -> list[bytes]:
    """Return the lines of a whole file, without their line ends."""
    lines: list[bytes] = igzip.decompress(data).split(b"\n")
    return lines[:-1]


def build_files(world: World, silence: Silence | None) -> list[LogFile]:
    """Write every file of the run, in the order of feed and period."""
    return [
        *_cloudfront_files(world, silence),
        *_cloudflare_files(world),
        *_event_files(world, silence),
    ]


def unique_name(scenario: Scenario, *parts: object) -> str:
    """Return the eight characters that a vendor puts into a file name to make it unique."""
    text = "/".join(str(part) for part in (scenario.seed, *parts))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def cloudfront_key(scenario: Scenario, distribution_id: str, hour: datetime, part: object) -> str:
    """Name a CloudFront file."""
    unique = unique_name(scenario, distribution_id, hour, part)
    return f"cloudfront/{distribution_id}.{hour:%Y-%m-%d-%H}.{unique}.gz"


def cloudflare_key(scenario: Scenario, start: datetime, end: datetime, part: object) -> str:
    """Name a Cloudflare file."""
    unique = unique_name(scenario, "cloudflare", start, part)
    stamp = "%Y%m%dT%H%M%SZ"
    return f"cloudflare/{start:%Y%m%d}/{start:{stamp}}_{end:{stamp}}_{unique}.log.gz"


def event_key(producer: str, hour: datetime, sequence: int) -> str:
    """Name a file of recommendation events."""
    folder = f"rec_events/dt={hour:%Y-%m-%d}/hour={hour:%H}"
    return f"{folder}/{producer}-{sequence:012d}.ndjson.gz"


def own_key(feed: str, server: str, hour: datetime) -> str:
    """Name a file of a server of one's own, as docs/sources has them."""
    return f"{feed}/{server}/access-{hour:%Y%m%d%H}.log.gz"


def _runs(rows: IntArray, bucket: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield the rows of each bucket; `bucket` ascends."""
    if rows.size == 0:
        return
    edges = np.flatnonzero(np.diff(bucket)) + 1
    starts = np.concatenate([[0], edges])
    for start, part in zip(starts.tolist(), np.split(rows, edges), strict=True):
        yield int(bucket[start]), part


def _seconds_after(rng: np.random.Generator, low: int, high: int) -> timedelta:
    """Draw a delay in whole seconds."""
    return timedelta(seconds=int(rng.integers(low, high)))


def _cloudfront_files(world: World, silence: Silence | None) -> Iterator[LogFile]:
    """Yield one or two files a distribution and hour; no file where there was no traffic."""
    scenario, requests = world.scenario, world.requests
    rng = scenario.rng("arrivals-cloudfront")
    writer = CloudFrontWriter(scenario.seed, world.sessions)
    rows = np.flatnonzero(requests.cdn == CLOUDFRONT)
    hour = (requests.end_us[rows] - scenario.start_us) // _HOUR_US
    if silence is not None:
        heard = ~(silence.covers(hour) & (requests.pop[rows] == SILENT_POP))
        rows, hour = rows[heard], hour[heard]
    word = scrambled(scenario.seed, requests.serial[rows], 2)[:, 1]
    stream = hour * 2 + world.sessions.is_live[requests.session[rows]]
    is_split = scenario.rng("split").random(scenario.hours * 2) < 0.4
    bucket = stream * 2 + (is_split[stream] & (word % np.uint64(2) == 1))
    # The low bit of the word chose the part; its high bits order the rows, by no clock.
    order = np.lexsort((word >> np.uint64(8), bucket))
    for number, part in _runs(rows[order], bucket[order]):
        one = DISTRIBUTIONS[number // 2 % 2]
        start = scenario.start + timedelta(hours=number // 4)
        end = start + timedelta(hours=1)
        yield LogFile(
            feed="cloudfront",
            key=cloudfront_key(scenario, one.distribution_id, start, number % 2),
            group=one.distribution_id,
            hour=number // 4,
            period_start=start,
            period_end=end,
            rows=part,
            header_lines=len(HEADER),
            data=_pack_text([*HEADER, *writer.lines(requests.take(part))]),
            on_time_at=end + _seconds_after(rng, 300, 2_700),
        )


def _cloudflare_files(world: World) -> Iterator[LogFile]:
    """Yield one file for each five minutes with traffic."""
    scenario, requests = world.scenario, world.requests
    rng = scenario.rng("arrivals-cloudflare")
    writer = CloudflareWriter(scenario.seed, world.sessions)
    rows = np.flatnonzero(requests.cdn == CLOUDFLARE)
    since_us = requests.end_us[rows] - scenario.start_us
    # Edge servers flush every few seconds, so rows are roughly in order.
    order = np.lexsort((requests.dice[rows], since_us // 10_000_000))
    for number, part in _runs(rows[order], since_us[order] // _SLOT_US):
        start = scenario.start + timedelta(minutes=5 * number)
        end = start + timedelta(minutes=5)
        yield LogFile(
            feed="cloudflare",
            key=cloudflare_key(scenario, start, end, 0),
            group="",
            hour=number // 12,
            period_start=start,
            period_end=end,
            rows=part,
            header_lines=0,
            data=_pack_text(writer.lines(requests.take(part))),
            on_time_at=end + _seconds_after(rng, 60, 180),
        )


def _event_files(world: World, silence: Silence | None) -> Iterator[LogFile]:
    """Yield one file a producer and hour; a silent producer's sequence numbers go on unwritten."""
    scenario, events = world.scenario, world.events
    rng = scenario.rng("arrivals-events")
    writer = EventWriter(scenario.seed, world.sessions)
    hour = (events.time_ms * 1_000 - scenario.start_us) // _HOUR_US
    rows = np.arange(len(events))
    if silence is not None:
        rows = rows[~silence_of_events(silence, events, hour)]
    for number, part in _runs(rows, (events.producer * np.int64(scenario.hours) + hour)[rows]):
        producer = PRODUCERS[number // scenario.hours]
        start = scenario.start + timedelta(hours=number % scenario.hours)
        end = start + timedelta(hours=1)
        yield LogFile(
            feed="rec_events",
            key=event_key(producer, start, int(events.sequence[part[0]])),
            group=producer,
            hour=number % scenario.hours,
            period_start=start,
            period_end=end,
            rows=part,
            header_lines=0,
            data=_pack_text(writer.lines(events.take(part))),
            on_time_at=end + _seconds_after(rng, 120, 600),
        )


def silence_of_events(silence: Silence, events: Events, hour: IntArray) -> BoolArray:
    """Tell which events the silent producer never wrote."""
    return np.asarray(silence.covers(hour) & (events.producer == SILENT_PRODUCER), dtype=np.bool_)
