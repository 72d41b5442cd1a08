"""One rule says which capacity is in force: for the marts, and for the hours it makes stale."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from typing import Any

from lake.capacities import capacity_versions
from lake.counters import CAPACITIES

from .conftest import Weir, at, key, request

HOURS, POPS = range(24), ("FRA", "NRT", "IAD", "GRU")


def _said(dice: random.Random, number: int) -> dict[str, Any]:
    """Return a capacity that may begin with another, overlap it, be open, or be said again."""
    pop, start = dice.choice(POPS[:3]), dice.randrange(1, 12)
    kind = "pop" if dice.random() < 0.9 else "link"
    end = None if dice.random() < 0.05 else start + dice.randrange(1, 5)
    published = dice.choice([None, at("00:00") - dt.timedelta(days=dice.randrange(3))])
    return {
        "event_time": at(f"{start:02d}:00"),
        "valid_to": None if end is None else at("00:00") + dt.timedelta(hours=end),
        "source": "capacities", "delivery_id": "d1", "source_line": number,
        "parser_version": "test/1", "ingested_at": at("23:00"),
        "row_key": key(f"{kind}{pop}{start}"), "cdn": "cloudfront", "kind": kind, "name": pop,
        "capacity_bps": dice.randrange(1, 99) * 10**9, "published_at": published,
    }  # fmt: skip


def _version(facts: list[tuple[str, str, int]]) -> str | None:
    """Return the version of an hour in which these capacities are in force."""
    told = [json.dumps([cdn, pop, str(bps)], separators=(",", ":")) for cdn, pop, bps in facts]
    return hashlib.sha256("".join(sorted(told)).encode()).hexdigest()[:12] if told else None


def test_hours_are_stale_by_the_capacities_that_the_mart_and_staging_show(weir: Weir) -> None:
    dice = random.Random(11)
    said = [_said(dice, n) for n in range(60)]
    # said twice at once, of one end: only the capacities differ
    twin = said[0] | {"name": "GRU", "kind": "pop", "row_key": key("GRU")}
    said += [twin | {"capacity_bps": bps} for bps in (5, 7)]
    weir.append(CAPACITIES, said)
    weir.deliver(*(request(f"{p}{h}", f"{h:02d}:30", pop=p) for h in HOURS for p in POPS))
    models = ("stg_cdn__requests", "int_cdn__traffic_5m", "pop_headroom_hourly")
    assert weir.invoke("run", "--select", *models, "stg_cdn__capacities").success

    shown = weir.rows(
        "select hour(hour), cdn, pop, capacity_bps from marts.pop_headroom_hourly order by all"
    )
    assert len(shown) == len(HOURS) * len(POPS)
    staged = weir.rows(
        "select h, cdn, name, arg_max(capacity_bps, valid_from) "
        "from staging.stg_cdn__capacities, range(24) as t(h) "
        "where kind = 'pop' and hour(valid_from) <= h and (valid_to is null "
        "or valid_to > timestamptz '2026-11-16 00:00:00+00' + to_hours(h::integer)) group by all"
    )
    assert sorted(staged) == [row for row in shown if row[3] is not None]

    versions = capacity_versions(weir.catalog)
    by_hour = {
        h: _version([(cdn, pop, bps) for hour, cdn, pop, bps in shown if hour == h and bps])
        for h in HOURS
    }
    assert by_hour == {h: versions.at(at(f"{h:02d}:00")) for h in HOURS}
    # rows that say something: some hours know none, some change, publications contradict each other
    assert None in {bps for *_, bps in shown}
    assert len(set(by_hour.values())) > 10
    assert by_hour[0] is None
