"""What players and the recommendation service of a run say: files, their arrivals, and the truth.

Belongs here: which lines share a file, what is sent twice or arrives late, and what it all adds up
to. Does not belong here: what a line says (beacons, catalogue).

Nothing is lost: a platform must show every line once. Players send a few beacons again, which then
stand in the next hour's file too; one file a feed comes again under another name, one comes hours
late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa

from simulator.audience import Sessions
from simulator.beacons import PlayerWriter
from simulator.board import NO_ROWS, Arrival, Counts
from simulator.catalogue import assignments, creators, items
from simulator.files import World, pack
from simulator.playback import Playback, playbacks
from simulator.says import FeedLine
from simulator.scenario import Scenario

_HOUR_MS = 3_600_000
#: what is sent again: of the last minutes of an hour, which the next hour's period still allows
_AGAIN_MS = 600_000
_AGAIN_SHARE = 0.1
_LATE = timedelta(hours=3)
_ANOTHER_NAME = 900_000_000_000


@dataclass(frozen=True)
class FeedTruth:
    """What a platform must show of these feeds after all deliveries.

    rows: feed, hour of the event, kind -> distinct rows. sessions: one row a playback.
    """

    rows: pa.Table
    sessions: pa.Table


@dataclass(frozen=True)
class FeedsSaid:
    """The files, and what they add up to."""

    arrivals: tuple[Arrival, ...]
    truth: FeedTruth


def feeds_say(world: World, on_time_until: datetime) -> FeedsSaid:
    """Let players, the experiment service and the catalogue of a run speak."""
    scenario, sessions = world.scenario, world.sessions
    plays = playbacks(scenario, sessions, world.requests)
    writer = PlayerWriter(scenario.seed, sessions)
    cmcd = [one for one in plays if writer.speaks_cmcd(one.session)]
    named = [one for one in plays if not writer.speaks_cmcd(one.session)]
    said: Mapping[str, Sequence[FeedLine]] = {
        "player_beacons": writer.beacons(named),
        "cmcd_events": writer.reports(cmcd),
        "experiment_assignments": assignments(scenario, sessions, world.events),
        "items": items(scenario),
        "creators": creators(scenario),
    }
    arrivals = [
        arrival
        for feed, lines in said.items()
        for arrival in _files(scenario, feed, lines, on_time_until)
    ]
    return FeedsSaid(
        tuple(arrivals), FeedTruth(_rows_table(said), _sessions_table(plays, sessions, writer))
    )


def _files(
    scenario: Scenario, feed: str, lines: Sequence[FeedLine], on_time_until: datetime
) -> list[Arrival]:
    """Write a file a producer and hour; see the module for what is sent twice and what is late."""
    rng = scenario.rng(f"feed-{feed}")
    by_file: dict[tuple[str, int], list[FeedLine]] = {}
    again: dict[tuple[str, int], list[FeedLine]] = {}
    for line in lines:
        since_ms = line.filed_ms - scenario.start_us // 1_000
        hour = min(since_ms // _HOUR_MS, scenario.hours - 1)
        by_file.setdefault((line.producer, hour), []).append(line)
        is_near_the_end = (hour + 1) * _HOUR_MS - since_ms < _AGAIN_MS
        if feed == "player_beacons" and is_near_the_end and rng.random() < _AGAIN_SHARE:
            again.setdefault((line.producer, hour + 1), []).append(line)
    arrivals = [
        _arrival(scenario, feed, place, again.get(place, ()), own, int(rng.integers(120, 600)))
        for place, own in by_file.items()
    ]
    if not arrivals:
        return []
    twice, *late = rng.permutation(len(arrivals))[:2].tolist()
    for one in late:  # a run of one file has none that is late
        arrivals[one] = replace(arrivals[one], at=on_time_until + _LATE)
    return [*arrivals, _under_another_name(arrivals[twice])]


def _arrival(
    scenario: Scenario,
    feed: str,
    place: tuple[str, int],
    again: Iterable[FeedLine],
    own: Sequence[FeedLine],
    delay_s: int,
) -> Arrival:
    producer, hour = place
    starts = scenario.start + timedelta(hours=hour)
    texts = [line.text.encode() for line in (*again, *own)]
    end = "log" if feed == "cmcd_events" else "ndjson"
    folder = f"{feed}/dt={starts:%Y-%m-%d}/hour={starts:%H}"
    return Arrival(
        feed=feed,
        key=f"{folder}/{producer}-{own[0].number:012d}.{end}.gz",
        at=starts + timedelta(hours=1, seconds=delay_s),
        data=pack(texts),
        counts=Counts(header=0, blank=0, good=len(texts)),
        rows=NO_ROWS,
    )


def _under_another_name(one: Arrival) -> Arrival:
    """Let a file come again, minutes later and under another number."""
    head, _, tail = one.key.rpartition("-")
    number, _, end = tail.partition(".")
    if one.at is None:
        raise ValueError(f"{one.key}: a file that never arrives cannot arrive again")
    return replace(
        one,
        key=f"{head}-{_ANOTHER_NAME + int(number):012d}.{end}",
        at=one.at + timedelta(minutes=5),
        fate="duplicate",
        same_content_as=one.key,
    )


def _rows_table(said: Mapping[str, Sequence[FeedLine]]) -> pa.Table:
    """Count distinct rows by feed, hour of what they speak of, and kind."""
    counts = Counter(
        (feed, line.at_ms // _HOUR_MS * _HOUR_MS, line.kind)
        for feed, lines in said.items()
        for line in lines
    )
    rows = [
        {"feed": feed, "hour": hour * 1_000, "kind": kind, "rows": count}
        for (feed, hour, kind), count in sorted(counts.items())
    ]
    hour = pa.timestamp("us", tz="UTC")
    fields = [("feed", pa.string()), ("hour", hour), ("kind", pa.string()), ("rows", pa.int64())]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def _sessions_table(
    plays: Sequence[Playback], sessions: Sessions, writer: PlayerWriter
) -> pa.Table:
    """Return one row a playback; startup_ms is null where nothing was ever shown."""
    rows = [
        {
            "feed": "cmcd_events" if writer.speaks_cmcd(one.session) else "player_beacons",
            "session_id": sessions.ids[one.session],
            "requested_at": one.requested_ms * 1_000,
            "startup_ms": one.startup_ms,
            "stalls": one.stalls,
            "stall_ms": one.stall_ms,
            "is_failed": one.is_failed,
        }
        for one in plays
    ]
    fields = [
        ("feed", pa.string()), ("session_id", pa.string()),
        ("requested_at", pa.timestamp("us", tz="UTC")), ("startup_ms", pa.int64()),
        ("stalls", pa.int64()), ("stall_ms", pa.int64()), ("is_failed", pa.bool_()),
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema(fields))
