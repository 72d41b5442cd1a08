"""Any order of arrival, with repetition, holds and releases, ends in the same lake."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lake.audit import AuditReport, CheckResult
from simulator import ALL_INCIDENTS, Scenario, simulate

from ..rec_feed import CDN, REC, assert_lines_add_up

LEFT_OUT = ("delivery_id", "source_line", "ingested_at")


@pytest.fixture(scope="module")
def plan():
    return simulate(
        Scenario(
            seed=5, start=datetime(2026, 11, 16, tzinfo=UTC), hours=2, lines=2_000,
            incidents=ALL_INCIDENTS,
        )
    )  # fmt: skip


def outcome(box):
    """Everything but lineage and times; rejects by the content they are in."""
    rejects = box.sql(
        "select d.content_id, r.line, r.byte_offset, r.raw_sha256, r.reason from {} r "
        "join (select distinct delivery_id, content_id from {}) d using (delivery_id) order by all",
        "ops.rejects",
        "ops.deliveries",
    )
    hours = {key[1] for key in box.versions()}
    contents = Counter(d.content_id for d in box.ledger().values() if d.is_loaded)
    rows = {t: Counter(map(repr, box.rows(t, leave_out=LEFT_OUT))) for t in (CDN, REC)}
    return rows, rejects, hours, contents


@pytest.fixture(scope="module")
def arrivals(plan):
    return [one for one in plan.arrivals if one.at is not None]


def in_waves(box, arrivals, seed: int) -> None:
    """Deliver every version once, in a random order and in waves, some of them again."""
    order = list(arrivals)
    rng = random.Random(seed)
    rng.shuffle(order)
    while order:
        wave, seen = [], set()
        for one in list(order):
            if one.key not in seen and len(wave) < len(arrivals) // 3:
                wave.append(one)
                seen.add(one.key)
                order.remove(one)
        again = [o for o in rng.sample(arrivals, 4) if o.key not in seen and o not in order]
        for one in [*wave, *again]:
            box.land(one.key, one.data, one.at, packed=False)
        box.run()


def test_any_order_of_arrival_gives_the_same_lake(arrivals, box_in):
    found = []
    for seed in (1, 2):
        box = box_in(f"seed-{seed}")
        in_waves(box, arrivals, seed)
        found.append(outcome(box))
        assert_lines_add_up(box)
        before = box.snapshots()
        assert box.run().changes == ()
        assert box.snapshots() == before
    assert found[0] == found[1]


def hold_a_third(subjects) -> AuditReport:
    """Hold by the content alone, as a verdict must depend on nothing else."""
    return AuditReport(
        tuple(
            CheckResult(
                "delivery", "tests", "third", s.delivery_id, "critical", s.accepted % 3 > 0,
                str(s.accepted), "no multiple of three",
            )
            for s in subjects
        )
    )  # fmt: skip


def release(box, arrivals, held) -> None:
    """Let held versions in; what was overwritten meanwhile is delivered again for it."""
    versions = {(one.key, one.at): one for one in arrivals}
    for found in held:
        one = versions[found.key, found.last_modified]
        box.land(one.key, one.data, one.at, packed=False)
        box.run(released=[found.delivery_id])


def held_of(box) -> list:
    return sorted(
        (d for d in box.ledger().values() if d.state == "held"), key=lambda d: d.delivery_id
    )


def with_company(box) -> None:
    """Run two workers on the same landing at once, each with handles of its own."""
    others = [replace(box), replace(box)]
    for other in others:
        other.audit = box.audit
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda other: other.run(), others))
    box.now = max(o.now for o in others)


def in_waves_with_holds(box, arrivals, seed: int) -> None:
    """Deliver in random order to two workers; release some of what is held on the way."""
    rng = random.Random(seed)
    order = rng.sample(arrivals, len(arrivals))
    while order:
        wave = {one.key: one for one in order[: len(arrivals) // 4]}
        order = [one for one in order if wave.get(one.key) is not one]
        for one in wave.values():
            box.land(one.key, one.data, one.at, packed=False)
        with_company(box)
        held = held_of(box)
        release(box, arrivals, rng.sample(held, min(2, len(held))))
    while held := held_of(box):
        release(box, arrivals, held)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5])
def test_any_order_with_holds_and_releases_by_two_workers_gives_the_same_lake(
    seed, arrivals, box_in
):
    calm, box = box_in("calm"), box_in("held")
    in_waves(calm, arrivals, seed)
    box.audit = hold_a_third
    in_waves_with_holds(box, arrivals, seed)
    assert outcome(box) == outcome(calm)
    assert sum(d.verdict == "released" for d in box.ledger().values()) > 5
    assert_lines_add_up(box)
