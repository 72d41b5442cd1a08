"""Write what the recommendation service knows: assignments, and states of items and creators.

Belongs here: lines that agree with the events of the run (who is in which variant, whose item it
is, how long it lasts). Does not belong here: the events themselves, files and when they arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.audience import Sessions, content_id, make_catalogue
from simulator.events import CREATORS, EXPERIMENT, Events, creator_id, variant_of
from simulator.says import FeedLine
from simulator.scenario import Scenario
from simulator.world import CUSTOMERS, DEVICES, ISPS, LIVE_CHANNELS, VOD_TITLES

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_LEAD_MS = 1_500
_ITEM_CHANGES, _CREATOR_CHANGES = 6, 3  # an hour
_ENTERED_AFTERWARDS = 0.15
_CATEGORIES = ("news", "sport", "music", "comedy", "science")
_LANGUAGES = ("de", "en", "fr")
_COUNTRIES = ("DE", "GB", "FR")
_TIERS = ("bronze", "silver", "gold")


def assignments(scenario: Scenario, sessions: Sessions, events: Events) -> list[FeedLine]:
    """Return the assignments: a user who comes back in another hour is assigned again."""
    user = sessions.user[events.session]
    hour = (events.time_ms * 1_000 - scenario.start_us) // (_HOUR_MS * 1_000)
    visit = user.astype(np.int64) * scenario.hours + hour
    order = np.lexsort((events.time_ms, visit))
    _, first = np.unique(visit[order], return_index=True)
    rows = order[first]
    visits = sorted(zip(events.time_ms[rows].tolist(), user[rows].tolist(), strict=True))
    lines: list[FeedLine] = []
    for time_ms, one in visits:
        variant = variant_of(sessions.audience.user_ids[one])
        if variant is None:
            continue
        at_ms = max(time_ms - _LEAD_MS, scenario.start_us // 1_000)
        number = len(lines) + 1
        fields = {
            "experiment": EXPERIMENT,
            "variant": variant,
            "unit_id": sessions.audience.user_ids[one],
            "unit_kind": "user",
            "assigned_at_ms": at_ms,
            "planned_share": 0.5,
            "salt": "1",
            "producer": "exp-1",
            "seq": number,
            "customer": CUSTOMERS[int(sessions.audience.customer[one])].slug,
            "country": ISPS[int(sessions.audience.isp[one])].country,
            "device": DEVICES[int(sessions.audience.device[one])].kind,
        }
        lines.append(FeedLine("exp-1", at_ms, number, variant, _json(fields)))
    return lines


def items(scenario: Scenario) -> list[FeedLine]:
    """Return the states of all items: a snapshot a day, and changes in between."""
    rng = scenario.rng("items")
    durations = make_catalogue(scenario)
    keys = [(c, n) for c in range(len(CUSTOMERS)) for n in range(LIVE_CHANNELS + VOD_TITLES)]
    states = {
        (customer, number): {
            "item_id": content_id(customer, number),
            "customer": CUSTOMERS[customer].slug,
            "category": _CATEGORIES[number % len(_CATEGORIES)],
            "language": _LANGUAGES[customer],
            "status": "published",
            "creator_id": creator_id(customer, number),
            "is_live": number < LIVE_CHANNELS,
            **({} if number < LIVE_CHANNELS else {"duration_ms": int(durations[customer, number])}),
            "published_at_ms": scenario.start_us // 1_000 - (1 + number) * _DAY_MS,
        }
        for customer, number in keys
    }

    def change(state: dict[str, Any]) -> dict[str, Any]:
        if rng.random() < 0.5:
            return {**state, "category": _CATEGORIES[int(rng.integers(len(_CATEGORIES)))]}
        return {**state, "status": "hidden" if state["status"] == "published" else "published"}

    return list(_history(scenario, rng, states, change, _ITEM_CHANGES))


def creators(scenario: Scenario) -> list[FeedLine]:
    """Return the states of all creators: a snapshot a day, and changes in between."""
    rng = scenario.rng("creators")
    keys = [(c, n) for c in range(len(CUSTOMERS)) for n in range(CREATORS)]
    states = {
        (customer, number): {
            "creator_id": creator_id(customer, number),
            "customer": CUSTOMERS[customer].slug,
            "category": _CATEGORIES[number % len(_CATEGORIES)],
            "language": _LANGUAGES[customer],
            "status": "active",
            "country": _COUNTRIES[customer],
            "tier": _TIERS[number % len(_TIERS)],
            "followers": int(rng.integers(100, 100_000)),
            "level": number % 5,
        }
        for customer, number in keys
    }

    def change(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "followers": state["followers"] + int(rng.integers(1, 500))}

    return list(_history(scenario, rng, states, change, _CREATOR_CHANGES))


def _history(
    scenario: Scenario,
    rng: np.random.Generator,
    states: dict[tuple[int, int], dict[str, Any]],
    change: Any,
    an_hour: int,
) -> Iterator[FeedLine]:
    """Yield snapshots and changes; some changes are entered an hour after they took effect.

    Once a day something is deleted for good.
    """
    start_ms = scenario.start_us // 1_000
    number = 0
    for hour in range(scenario.hours):
        begin_ms = start_ms + hour * _HOUR_MS
        said: list[tuple[str, int, int, dict[str, Any]]] = []
        if hour % 24 == 0:
            said += [("snapshot", begin_ms, begin_ms, one) for one in states.values()]
        for place in sorted(rng.integers(1_000, _HOUR_MS, an_hour).tolist()):
            chosen = list(states)[int(rng.integers(len(states)))]
            entered_ms = begin_ms + place
            is_after = rng.random() < _ENTERED_AFTERWARDS
            at_ms = entered_ms - _HOUR_MS if is_after else entered_ms
            states[chosen] = change(states[chosen])
            said.append(("upsert", at_ms, entered_ms, states[chosen]))
        if hour % 24 == 1:
            gone = states.pop(list(states)[-1])
            end_ms = begin_ms + _HOUR_MS - 1
            said.append(("delete", end_ms, end_ms, gone))
        for kind, at_ms, entered_ms, state in said:
            number += 1
            whole = {**state, "change": kind, "valid_from_ms": at_ms, "producer": "catalogue",
                     "seq": number}  # fmt: skip
            yield FeedLine("catalogue", at_ms, number, kind, _json(whole), entered_ms)


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))
