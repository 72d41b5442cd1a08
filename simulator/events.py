"""Recommendation events: what was shown in which request, clicked, played and liked.

Belongs here: the events as columns and as JSON lines. Does not belong here: files and incidents.
Sessions and content ids are those of the CDN requests, so that engagement can be joined with
delivery quality.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simulator.arrays import BoolArray, FloatArray, IntArray, scrambled, weighted, zipf_weights
from simulator.audience import Sessions, content_id, make_catalogue
from simulator.scenario import Scenario
from simulator.world import CUSTOMERS, DEVICES, ISPS, LIVE_CHANNELS, PRODUCERS, VOD_TITLES

IMPRESSION, CLICK, PLAY, LIKE = range(4)
EVENT_TYPES = ("impression", "click", "play", "like")
SCENES = ("feed", "search", "related")
VALID_PLAY_MS = 7_000
EXPERIMENT = "rank-depth"
#: creators of each customer
CREATORS = 60
_SHOWN = 8
_MODELS = ("ranker-2026.11.1", "ranker-2026.11.2")


@dataclass(frozen=True)
class Events:
    """Events as columns, in the order of producer and sequence number; -1 is null."""

    serial: IntArray
    kind: IntArray
    time_ms: IntArray
    producer: IntArray
    sequence: IntArray
    request: IntArray
    session: IntArray
    customer: IntArray
    content: IntArray
    duration_ms: IntArray
    position: IntArray
    scene: IntArray
    watch_ms: IntArray
    is_random: BoolArray
    propensity: FloatArray

    def take(self, rows: IntArray) -> Events:
        """Return the given rows in the given order."""
        return Events(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.serial.size)


def valid_plays(events: Events) -> BoolArray:
    """Tell which plays count as valid: a short item to its end, any other beyond 7 s."""
    short = events.duration_ms <= VALID_PLAY_MS
    enough = np.where(short, events.watch_ms >= events.duration_ms, events.watch_ms > VALID_PLAY_MS)
    return np.asarray((events.kind == PLAY) & enough, dtype=np.bool_)


def make_events(scenario: Scenario, sessions: Sessions) -> Events:
    """Draw events around the playback sessions, exactly as many as the scenario asks for."""
    rng = scenario.rng("events")
    # Each request yields at least its impressions, so this many requests always suffice.
    requests = scenario.rec_lines // _SHOWN + 1
    shown = _impressions(scenario, rng, sessions, requests)
    size = requests * _SHOWN
    position, watch = shown["position"], shown["watch_ms"]
    clicked = (shown.pop("is_chosen") & (rng.random(size) < 0.8)) | (
        rng.random(size) < 0.10 / (1 + position)
    )
    plays = clicked & (rng.random(size) < 0.92)
    likes = plays & (rng.random(size) < 0.08)
    start_ms = sessions.start_us[shown["session"]] // 1_000
    shown_ms = start_ms - np.repeat(rng.integers(2_000, 40_000, requests), _SHOWN)
    reaction_ms = rng.integers(700, 15_000, size)
    return _assemble(
        scenario,
        [
            (IMPRESSION, np.ones(size, dtype=np.bool_), shown_ms + position * 40),
            (CLICK, clicked, shown_ms + reaction_ms),
            (PLAY, plays, shown_ms + reaction_ms + watch + 350),
            (LIKE, likes, shown_ms + reaction_ms + watch // 2 + 900),
        ],
        shown,
    )


def _impressions(
    scenario: Scenario, rng: np.random.Generator, sessions: Sessions, requests: int
) -> dict[str, Any]:
    """Draw what each slot of each request shows; one slot shows what the session then plays."""
    catalogue = make_catalogue(scenario)
    request = np.repeat(np.arange(requests, dtype=np.int64), _SHOWN)
    position = np.tile(np.arange(_SHOWN, dtype=np.int64), requests)
    # Requests go through all playback sessions in turn, in random order.
    session = np.resize(rng.permutation(sessions.rows.size), requests)[request]
    customer = sessions.customer[session]
    content = weighted(rng, zipf_weights(VOD_TITLES, 0.7), request.size) + LIVE_CHANNELS
    is_chosen = position == weighted(rng, zipf_weights(_SHOWN), requests)[request]
    content = np.where(is_chosen, sessions.content[session], content)
    duration_ms = catalogue[customer, content]
    is_random = (rng.random(requests) < 0.04)[request]
    return {
        "request": request,
        "session": session,
        "customer": customer,
        "content": content,
        "duration_ms": duration_ms,
        "position": position + 1,  # ranks count from 1
        "scene": weighted(rng, (0.7, 0.12, 0.18), requests)[request],
        "watch_ms": _watch_times(rng, duration_ms),
        "is_random": is_random,
        "propensity": _propensities(rng, is_random, position),
        "is_chosen": is_chosen,
    }


def _watch_times(rng: np.random.Generator, duration_ms: IntArray) -> IntArray:
    """Draw the watched time: some skip at once, some finish, the rest leaves in between."""
    dice = rng.random(duration_ms.size)
    share = np.where(dice < 0.35, rng.random(duration_ms.size) * 0.05, rng.random(duration_ms.size))
    watch = (share * np.minimum(duration_ms, 1_500_000)).astype(np.int64) + 200
    watch = np.where(dice > 0.75, duration_ms, watch)
    # Short loops are watched more than once.
    return np.where((dice > 0.95) & (duration_ms < 60_000), duration_ms * 2, watch)


def _propensities(rng: np.random.Generator, is_random: BoolArray, position: IntArray) -> FloatArray:
    """Draw the logged propensities, NaN where the model logs none."""
    drawn = np.round(rng.beta(2, 5, position.size) / (1 + 0.2 * position), 6)
    logged = np.where(rng.random(position.size) < 0.8, drawn, np.nan)
    return np.where(is_random, round(1 / VOD_TITLES, 6), logged)


def _assemble(
    scenario: Scenario,
    groups: list[tuple[int, BoolArray, IntArray]],
    shown: dict[str, Any],
) -> Events:
    """Join the groups of events, cut to the wanted number, and number each producer's lines."""
    slot = np.concatenate([np.flatnonzero(chosen) for _, chosen, _ in groups])
    kind = np.concatenate([np.full(int(c.sum()), code, dtype=np.int8) for code, c, _ in groups])
    time_ms = np.concatenate([when[chosen] for _, chosen, when in groups])
    kept = np.lexsort((kind, slot))[: scenario.rec_lines]
    slot, kind, time_ms = slot[kept], kind[kept], time_ms[kept]
    first_ms, last_ms = scenario.start_us // 1_000, scenario.end_us // 1_000 - 1
    time_ms = np.clip(time_ms, first_ms, last_ms)
    producer = (shown["session"][slot] % len(PRODUCERS)).astype(np.int8)
    order = np.lexsort((slot, time_ms, producer))
    slot, kind, time_ms, producer = slot[order], kind[order], time_ms[order], producer[order]
    starts = np.searchsorted(producer, np.arange(len(PRODUCERS)))
    columns = {name: column[slot] for name, column in shown.items()}
    columns["position"] = np.where(kind <= CLICK, columns["position"], -1)
    columns["watch_ms"] = np.where(kind == PLAY, columns["watch_ms"], -1)
    columns["propensity"] = np.where(kind == IMPRESSION, columns["propensity"], np.nan)
    return Events(
        serial=np.arange(kind.size, dtype=np.int32),
        kind=kind,
        time_ms=time_ms,
        producer=producer,
        sequence=np.arange(kind.size) - starts[producer] + 1,
        **columns,
    )


class EventWriter:
    """Turns events into JSON lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        self._seed = seed
        audience = sessions.audience
        self._users = [audience.user_ids[user] for user in sessions.user.tolist()]
        self._ids = sessions.ids
        self._tails = [
            f'"customer":"{CUSTOMERS[int(audience.customer[user])].slug}",'
            f'"country":"{ISPS[int(audience.isp[user])].country}",'
            f'"device":"{DEVICES[int(audience.device[user])].kind}"}}'
            for user in sessions.user.tolist()
        ]

    def lines(self, rows: Events) -> list[str]:
        """Return one line an event, in the order of the rows."""
        return [
            f"{{{head},"
            f'"request_id":"r{self._seed:04d}-{request:010d}","user_id":"{self._users[s]}",'
            f'"session_id":"{self._ids[s]}",{item},'
            f'"position":{"null" if position < 0 else position},"scene":"{SCENES[scene]}",'
            f'"experiment":{_experiment(self._users[s])},"model_version":"{_MODELS[request % 2]}",'
            f"{measure},{self._tails[s]}"
            for head, request, s, item, position, scene, measure in zip(
                self._heads(rows),
                rows.request.tolist(),
                rows.session.tolist(),
                self._items(rows),
                rows.position.tolist(),
                rows.scene.tolist(),
                _measures(rows),
                strict=True,
            )
        ]

    def _heads(self, rows: Events) -> list[str]:
        """Return the fields of each row that say which event it is, when and from whom."""
        words = scrambled(self._seed + 1, rows.serial, 2).tobytes().hex()
        return [
            f'"event_id":"{words[32 * at : 32 * at + 32]}","event_type":"{EVENT_TYPES[kind]}",'
            f'"event_ts_ms":{time_ms},"producer":"{PRODUCERS[producer]}","seq":{sequence}'
            for at, (kind, time_ms, producer, sequence) in enumerate(
                zip(
                    rows.kind.tolist(),
                    rows.time_ms.tolist(),
                    rows.producer.tolist(),
                    rows.sequence.tolist(),
                    strict=True,
                )
            )
        ]

    def _items(self, rows: Events) -> list[str]:
        """Return the item and creator fields of each row."""
        return [
            f'"item_id":"{content_id(customer, content)}",'
            f'"creator_id":"{creator_id(customer, content)}"'
            for customer, content in zip(rows.customer.tolist(), rows.content.tolist(), strict=True)
        ]


def _measures(rows: Events) -> list[str]:
    """Return the propensity, exploration, watch time and length fields of each row."""
    return [
        f'"propensity":{"null" if unknown else propensity},'
        f'"is_random":{"true" if is_random else "false"},'
        f'"watch_ms":{"null" if watch_ms < 0 else watch_ms},"item_duration_ms":{duration_ms}'
        for propensity, unknown, is_random, watch_ms, duration_ms in zip(
            rows.propensity.tolist(),
            np.isnan(rows.propensity).tolist(),
            rows.is_random.tolist(),
            rows.watch_ms.tolist(),
            rows.duration_ms.tolist(),
            strict=True,
        )
    ]


def creator_id(customer: int, content: int) -> str:
    """Name the creator of one channel or title."""
    return f"{CUSTOMERS[customer].slug}-creator-{content % CREATORS:03d}"


def variant_of(user_id: str) -> str | None:
    """Assign a user to a variant for good; three users in ten are in no experiment."""
    bucket = int(user_id[-2:])
    if bucket >= 70:
        return None
    return "treatment" if bucket % 2 else "control"


def _experiment(user_id: str) -> str:
    """Return the experiment field of a user's events."""
    variant = variant_of(user_id)
    return "null" if variant is None else f'{{"id":"{EXPERIMENT}","variant":"{variant}"}}'
