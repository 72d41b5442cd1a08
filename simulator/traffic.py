"""The requests of all sessions as columns: what was asked, by whom, when, and how it ended.

Belongs here: draws per request and the sub-requests of edge workers. Does not belong here: how a
vendor writes any of it down, and what counts as a hit or an error in a metric (truth does that).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from simulator.arrays import BoolArray, FloatArray, IntArray, weighted
from simulator.audience import HLS, Sessions
from simulator.outcomes import (
    AUDIO,
    BYPASS,
    GET,
    GONE,
    INIT,
    MASTER,
    OK,
    PLAYLIST,
    VIDEO,
    draw_cache_states,
    draw_endings,
    draw_transfers,
)
from simulator.scenario import Scenario
from simulator.world import AUDIO_KBPS, CLOUDFLARE, CLOUDFLARE_FIRST_POP, LADDER

_ORIGINAL = -1
SUBREQUEST_SHARE = 0.025


@dataclass(frozen=True)
class Requests:
    """Requests as columns; `serial` names a row for life, `parent` is a serial or -1.

    `body_size` is the full object as announced, `body_bytes` what went out of it.
    """

    serial: IntArray
    parent: IntArray
    session: IntArray
    cdn: IntArray
    pop: IntArray
    kind: IntArray
    method: IntArray
    rung: IntArray
    segment: IntArray
    end_us: IntArray
    duration_us: IntArray
    ttfb_ms: IntArray
    body_size: IntArray
    body_bytes: IntArray
    header_bytes: IntArray
    ending: IntArray
    cache: IntArray
    buffer_ms: IntArray
    throughput_kbps: IntArray
    is_starved: BoolArray
    is_startup: BoolArray
    dice: IntArray

    def take(self, rows: IntArray | slice) -> Requests:
        """Return the given rows in the given order."""
        return Requests(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    def __len__(self) -> int:
        """Return the number of requests."""
        return int(self.serial.size)


def make_requests(scenario: Scenario, sessions: Sessions, subrequests: int) -> Requests:
    """Expand sessions to requests and add the given number of worker sub-requests."""
    rng = scenario.rng("traffic")
    session, step, kind, played = _steps(sessions)
    cdn = np.where(step < sessions.switch_row[session], 0, 1) ^ sessions.cdn[session]
    end_us = _ends(rng, sessions, session, step, played)
    method = weighted(rng, (0.994, 0.002, 0.004), session.size).astype(np.int8)
    ending = draw_endings(rng, kind, method, cdn)
    cache = draw_cache_states(rng, sessions, session, cdn=cdn, method=method, ending=ending)
    rung = _rungs(rng, sessions, session, step)
    speed_kbps = sessions.mbps[session] * 1000 * rng.lognormal(0.0, 0.25, session.size)
    body_size = _body_sizes(rng, sessions, session, kind, rung)
    body_bytes, ttfb_ms, duration_us = draw_transfers(
        rng, body_size, speed_kbps, ending=ending, method=method, cache=cache
    )
    is_starved = _starvation(rng, speed_kbps, rung)
    viewers = Requests(
        serial=np.arange(session.size, dtype=np.int32),
        parent=np.full(session.size, _ORIGINAL, dtype=np.int32),
        session=session,
        cdn=cdn.astype(np.int8),
        pop=_pops(rng, sessions, session, cdn),
        kind=kind,
        method=method,
        rung=rung,
        segment=_segment_numbers(sessions, session, played, end_us),
        end_us=end_us,
        duration_us=duration_us,
        ttfb_ms=ttfb_ms,
        body_size=body_size,
        body_bytes=body_bytes,
        header_bytes=(rng.integers(380, 620, session.size) * (ending != GONE)).astype(np.int32),
        ending=ending,
        cache=cache,
        buffer_ms=(rng.integers(20, 300, session.size) * 100 * ~is_starved).astype(np.int32),
        throughput_kbps=((speed_kbps / 100).astype(np.int32) + 1) * 100,
        is_starved=is_starved,
        is_startup=(played <= 2) & (kind != MASTER),
        dice=rng.integers(0, 1000, session.size).astype(np.int16),
    )
    return _with_subrequests(rng, viewers, subrequests)


def _steps(sessions: Sessions) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return of each request its session, its place in it, its kind, and the segments so far."""
    session = np.repeat(np.arange(sessions.rows.size, dtype=np.int32), sessions.rows)
    first = np.cumsum(sessions.rows) - sessions.rows
    step = np.arange(session.size) - first[session]
    kind = _kinds(sessions, session, step)
    played = np.cumsum(kind == VIDEO)
    return session, step, kind, played - played[first][session]


def _kinds(sessions: Sessions, session: IntArray, step: IntArray) -> IntArray:
    """Choose what each step asks for: manifests first, then media, live manifests in between."""
    is_hls = sessions.format[session] == HLS
    is_live = sessions.is_live[session]
    kind = np.full(session.size, VIDEO, dtype=np.int8)
    kind[~is_hls & (step % 6 == 4)] = AUDIO
    kind[is_live & (step % 4 == 3)] = PLAYLIST
    kind[step == 1] = np.where(is_hls, PLAYLIST, INIT)[step == 1]
    kind[is_hls & (step == 2)] = INIT
    # DASH knows no media playlist: its one manifest is what gets refreshed.
    kind[(step == 0) | (~is_hls & (kind == PLAYLIST))] = MASTER
    return kind


def _ends(
    rng: np.random.Generator,
    sessions: Sessions,
    session: IntArray,
    step: IntArray,
    played: IntArray,
) -> IntArray:
    """Pace requests by the media clock, with the jitter of a player that keeps its buffer full."""
    segment_us = sessions.segment_ms[session] * 1_000
    jitter = rng.random(session.size) * 0.6 * segment_us
    paced = played * segment_us + jitter.astype(np.int64) + step * 23_017
    return np.asarray(sessions.start_us[session] + paced, dtype=np.int64)


def _rungs(
    rng: np.random.Generator, sessions: Sessions, session: IntArray, step: IntArray
) -> IntArray:
    """Choose the ladder step: start low, then stay at the top that the line affords, mostly."""
    dip = (rng.random(session.size) < 0.15).astype(np.int8) + 2 * (step < 5)
    return np.maximum(sessions.top_rung[session] - dip, 0).astype(np.int8)


def _body_sizes(
    rng: np.random.Generator,
    sessions: Sessions,
    session: IntArray,
    kind: IntArray,
    rung: IntArray,
) -> IntArray:
    """Draw object sizes: media by bitrate and segment length, manifests and init parts small."""
    noise = rng.normal(1.0, 0.08, session.size).clip(0.75, 1.25)
    kbps = np.where(kind == AUDIO, AUDIO_KBPS, np.asarray([one.kbps for one in LADDER])[rung])
    media = kbps * sessions.segment_ms[session] / 8 * noise
    small = np.asarray([1_800, 900, 1_250, 0, 0])[kind] * noise
    return np.asarray(np.where(kind >= VIDEO, np.minimum(media, 8e6), small).astype(np.int32))


def _starvation(rng: np.random.Generator, speed_kbps: FloatArray, rung: IntArray) -> BoolArray:
    """Draw which requests report an empty buffer: mostly those on a line too slow."""
    is_strained = speed_kbps < 1.3 * np.asarray([one.kbps for one in LADDER])[rung]
    return np.asarray(rng.random(rung.size) < np.where(is_strained, 0.08, 0.003), dtype=np.bool_)


def _segment_numbers(
    sessions: Sessions, session: IntArray, played: IntArray, end_us: IntArray
) -> IntArray:
    """Number segments: by wall clock in live streams, so that viewers share them, else by title."""
    live = end_us // (sessions.segment_ms[session] * 1_000)
    vod = sessions.first_segment[session] + np.maximum(played, 1)
    return np.where(sessions.is_live[session], live, vod).astype(np.int32)


def _pops(
    rng: np.random.Generator, sessions: Sessions, session: IntArray, cdn: IntArray
) -> IntArray:
    """Route to the nearest PoP, now and then to the second nearest."""
    is_far = rng.random(session.size) < 0.06
    offset = np.where(is_far, sessions.far_pop[session], sessions.near_pop[session])
    return (offset + cdn * CLOUDFLARE_FIRST_POP).astype(np.int8)


def _with_subrequests(rng: np.random.Generator, viewers: Requests, count: int) -> Requests:
    """Append rows that an edge worker asked for while it answered a viewer's request."""
    candidates = np.flatnonzero((viewers.cdn == CLOUDFLARE) & (viewers.ending == OK))
    count = min(count, int(candidates.size))
    chosen = rng.choice(candidates, count, replace=False)
    source = viewers.take(chosen)
    columns = {one.name: getattr(source, one.name) for one in fields(source)}
    columns["parent"] = source.serial
    columns["serial"] = np.arange(count, dtype=np.int32) + len(viewers)
    columns["cache"] = np.full(count, BYPASS, dtype=np.int8)
    columns["kind"] = np.full(count, MASTER, dtype=np.int8)
    columns["method"] = np.full(count, GET, dtype=np.int8)
    columns["body_size"] = rng.integers(200, 4_000, count).astype(np.int32)
    columns["body_bytes"] = columns["body_size"]
    columns["duration_us"] = source.duration_us // 2
    columns["ttfb_ms"] = source.ttfb_ms // 2
    return Requests(
        **{
            one.name: np.concatenate([getattr(viewers, one.name), columns[one.name]])
            for one in fields(viewers)
        }
    )
