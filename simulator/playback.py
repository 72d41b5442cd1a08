"""Playbacks as their players saw them: start-up, stalls, bitrates and the end, out of requests.

Belongs here: what follows for a player from the requests of its session. Does not belong here: how
a player reports it (beacons), files, or anything that requests do not show (pauses and seeks).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simulator.arrays import IntArray
from simulator.audience import Sessions
from simulator.outcomes import NOT_FOUND, OK, PARTIAL, STATUS, UNAVAILABLE, VIDEO
from simulator.scenario import Scenario
from simulator.traffic import Requests

HEARTBEAT_MS = 30_000


@dataclass(frozen=True)
class PlayerEvent:
    """One event, by its name in CTA-2066; times in ms, `at_ms` since 1970.

    startup_ms: on the first playbackStart. stall_ms: on the playbackStart that ends a stall.
    """

    session: int
    kind: str
    at_ms: int
    cdn: int
    rung: int
    position_ms: int
    buffer_ms: int
    startup_ms: int | None = None
    stall_ms: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Playback:
    """One playback; without a start-up the viewer saw nothing."""

    session: int
    requested_ms: int
    startup_ms: int | None
    stalls: int
    stall_ms: int
    is_failed: bool
    events: tuple[PlayerEvent, ...]


@dataclass(frozen=True)
class _Fetched:
    """One request of a session; instants in ms since 1970."""

    begin_ms: int
    end_ms: int
    kind: int
    ending: int
    rung: int
    cdn: int
    buffer_ms: int
    is_starved: bool

    @property
    def is_video(self) -> bool:
        return self.kind == VIDEO and self.ending in (OK, PARTIAL)


def playbacks(scenario: Scenario, sessions: Sessions, requests: Requests) -> list[Playback]:
    """Return the playback of each session that asked for anything, in the order of sessions."""
    last_ms = scenario.end_us // 1_000 - 1
    segment_ms: IntArray = sessions.segment_ms
    return [
        _playback(session, fetched, int(segment_ms[session]), last_ms)
        for session, fetched in _by_session(requests)
    ]


def _by_session(requests: Requests) -> Iterator[tuple[int, list[_Fetched]]]:
    """Yield the viewers' requests of each session in the order of their ends."""
    viewers = np.flatnonzero(requests.parent < 0)
    order = np.lexsort((requests.end_us[viewers], requests.session[viewers]))
    rows = requests.take(viewers[order])
    fetched = [
        _Fetched(*values)
        for values in zip(
            ((rows.end_us - rows.duration_us) // 1_000).tolist(),
            (rows.end_us // 1_000).tolist(),
            rows.kind.tolist(),
            rows.ending.tolist(),
            rows.rung.tolist(),
            rows.cdn.tolist(),
            rows.buffer_ms.tolist(),
            rows.is_starved.tolist(),
            strict=True,
        )
    ]
    edges = [0, *(np.flatnonzero(np.diff(rows.session)) + 1).tolist(), len(fetched)]
    for first, last in pairwise(edges):
        if first < last:
            yield int(rows.session[first]), fetched[first:last]


def _playback(session: int, fetched: list[_Fetched], segment_ms: int, last_ms: int) -> Playback:
    """Play what was fetched; nothing is said after `last_ms`, the end of the run."""
    requested_ms = min(one.begin_ms for one in fetched)
    at_first, at_last = fetched[0], fetched[-1]
    events = [PlayerEvent(session, "playbackRequest", requested_ms, at_first.cdn, 0, 0, 0)]
    first = next((i for i, one in enumerate(fetched) if one.is_video), None)
    if first is None:
        at_ms = min(max(at_last.end_ms, requested_ms + 1), last_ms)
        why = f"MEDIA_ERR_NETWORK {STATUS[at_last.ending]}"
        events.append(PlayerEvent(session, "playbackFail", at_ms, at_last.cdn, 0, 0, 0, error=why))
        return Playback(session, requested_ms, None, 0, 0, True, tuple(events))
    shown = fetched[first]
    started_ms = shown.end_ms
    startup_ms = started_ms - requested_ms
    events.append(
        PlayerEvent(
            session, "playbackStart", started_ms, shown.cdn, shown.rung, 0, shown.buffer_ms,
            startup_ms=startup_ms,
        )
    )  # fmt: skip
    played = _played(session, started_ms, shown, fetched[first + 1 :])
    stalls = [e.stall_ms for e in played if e.stall_ms is not None]
    free_ms = max([started_ms, *(e.at_ms for e in played)])
    ended_ms = max(free_ms + 1, min(at_last.end_ms + segment_ms, last_ms))
    is_failed = NOT_FOUND <= at_last.ending <= UNAVAILABLE
    watched_ms = ended_ms - started_ms - sum(stalls)
    events += sorted(
        [*played, *_heartbeats(session, started_ms, ended_ms, shown, played)], key=lambda e: e.at_ms
    )
    events.append(
        PlayerEvent(
            session, "playbackFail" if is_failed else "playbackFinish", ended_ms, at_last.cdn,
            at_last.rung, watched_ms, 0,
            error=f"MEDIA_ERR_NETWORK {STATUS[at_last.ending]}" if is_failed else None,
        )
    )  # fmt: skip
    return Playback(
        session, requested_ms, startup_ms, len(stalls), sum(stalls), is_failed, tuple(events)
    )


def _played(
    session: int, started_ms: int, shown: _Fetched, rest: list[_Fetched]
) -> list[PlayerEvent]:
    """Return stalls, their ends, and changes of the bitrate; events do not overlap.

    A player that reports an empty buffer (CMCD's bs) has waited for that very object.
    """
    events: list[PlayerEvent] = []
    free_ms, stalled_ms, rung = started_ms, 0, shown.rung
    for one in rest:
        if not one.is_video or one.begin_ms <= free_ms:
            continue
        if one.is_starved:
            begin_ms, end_ms = one.begin_ms, max(one.end_ms, one.begin_ms + 1)
            position = begin_ms - started_ms - stalled_ms
            waited = end_ms - begin_ms
            events += [
                PlayerEvent(session, "playbackStall", begin_ms, one.cdn, rung, position, 0),
                PlayerEvent(
                    session, "playbackStart", end_ms, one.cdn, rung, position, one.buffer_ms,
                    stall_ms=waited,
                ),
            ]  # fmt: skip
            free_ms, stalled_ms = end_ms, stalled_ms + waited
        elif one.rung != rung:
            rung, free_ms = one.rung, one.end_ms
            position = free_ms - started_ms - stalled_ms
            events.append(
                PlayerEvent(
                    session, "renditionChange", free_ms, one.cdn, rung, position, one.buffer_ms
                )
            )
    return events


def _heartbeats(
    session: int, started_ms: int, ended_ms: int, shown: _Fetched, played: list[PlayerEvent]
) -> Iterator[PlayerEvent]:
    """Yield what a player says by the clock while it plays: neither bitrate nor buffer."""
    stalls = [(e.at_ms - e.stall_ms, e.at_ms) for e in played if e.stall_ms is not None]
    for at_ms in range(started_ms + HEARTBEAT_MS, ended_ms, HEARTBEAT_MS):
        if any(begin <= at_ms <= end for begin, end in stalls):
            continue
        position = at_ms - started_ms - sum(end - begin for begin, end in stalls if end < at_ms)
        yield PlayerEvent(session, "heartbeat", at_ms, shown.cdn, -1, position, -1)
