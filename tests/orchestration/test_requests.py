"""Which runs the sensors ask for; no Dagster instance, no lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.versions import MAX_ATTEMPTS, Family, Stale
from orchestration.partitions import key_of, start_of, starts_between, stretches
from orchestration.sensors import Request, plan_requests, work_of

START = datetime(2026, 11, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stale(*hours: int, attempts: int = 0, version: str = "v1") -> list[Stale]:
    return [Stale("delivery", START + h * HOUR, version, attempts) for h in hours]


def hours_of(request: Request) -> list[int]:
    return [int((p.start - START) / HOUR) for p in request.partitions]


def never(_work: str) -> int:
    return 0


def test_a_long_stretch_is_one_run_of_a_range() -> None:
    (request,) = plan_requests("delivery", stale(*range(72)), never)

    tags = request.run_request().tags
    assert hours_of(request) == list(range(72))
    assert tags["dagster/asset_partition_range_start"] == "2026-11-16-00:00"
    assert tags["dagster/asset_partition_range_end"] == "2026-11-18-23:00"


def test_gaps_split_a_stretch_so_that_no_fresh_hour_is_named() -> None:
    requests = plan_requests("delivery", stale(0, 1, 4, 6, 7), never)

    assert [hours_of(r) for r in requests] == [[0, 1], [4], [6, 7]]


def test_nothing_stale_asks_for_nothing() -> None:
    assert plan_requests("delivery", [], never) == []


def test_a_stretch_that_failed_as_one_run_is_asked_for_hour_by_hour() -> None:
    found = stale(0, 1, 2)
    whole = work_of(found)

    requests = plan_requests("delivery", found, lambda work: int(work == whole))

    assert [hours_of(r) for r in requests] == [[0], [1], [2]]


def test_a_stretch_with_an_hour_that_failed_its_audit_is_asked_for_hour_by_hour() -> None:
    requests = plan_requests("delivery", stale(0) + stale(1, attempts=1) + stale(2), never)

    assert [hours_of(r) for r in requests] == [[0], [1], [2]]


def test_given_up_partitions_are_left_and_split_their_neighbours() -> None:
    found = stale(0) + stale(1, attempts=MAX_ATTEMPTS) + stale(2)

    assert [hours_of(r) for r in plan_requests("delivery", found, never)] == [[0], [2]]


def test_work_does_not_depend_on_the_order_and_does_on_the_version() -> None:
    assert work_of(stale(0, 1)) == work_of(stale(1, 0))
    assert work_of(stale(0, 1)) != work_of(stale(0, 1, version="v2"))
    assert work_of(stale(0)) != work_of(stale(1))


def test_new_input_of_a_given_up_hour_is_tried_again() -> None:
    old, new = stale(0), stale(0, version="v2")
    runs_failed = {work_of(old): MAX_ATTEMPTS}

    assert plan_requests("delivery", old, lambda w: runs_failed.get(w, 0)) == []
    assert len(plan_requests("delivery", new, lambda w: runs_failed.get(w, 0))) == 1


def test_months_are_asked_for_one_by_one() -> None:
    months = [Stale("billing", datetime(2026, m, 1, tzinfo=UTC), "v", 0) for m in (9, 10, 11)]

    requests = plan_requests("billing", months, never)

    ranges = [
        (t["dagster/asset_partition_range_start"], t["dagster/asset_partition_range_end"])
        for t in (r.run_request().tags for r in requests)
    ]
    assert ranges == [(f"2026-{m}-01",) * 2 for m in ("09", "10", "11")]


@dataclass
class World:
    """Runs that succeed or fail by the hour, and the two ledgers of failures."""

    fails: Callable[[int], bool]
    by_audit: bool
    hours: list[int]
    failed_runs: Counter[str] = field(default_factory=Counter)
    failed_audits: Counter[int] = field(default_factory=Counter)
    published: set[int] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    built: Counter[int] = field(default_factory=Counter)

    def found(self) -> list[Stale]:
        return [
            replace(one, attempts=self.failed_audits[int((one.start - START) / HOUR)])
            for one in stale(*(h for h in self.hours if h not in self.published))
        ]

    def run_until_quiet(self) -> None:
        for _ in range(100):
            requests = plan_requests("delivery", self.found(), lambda w: self.failed_runs[w])
            if not requests:
                return
            for request in requests:
                self._run(request)
        raise AssertionError("the sensor never comes to rest")

    def _run(self, request: Request) -> None:
        self.keys.append(str(request.run_request().run_key))
        hours = hours_of(request)
        self.built.update(hours)
        bad = [h for h in hours if self.fails(h)]
        if self.by_audit:  # the hours that passed go out; a run without any fails
            self.failed_audits.update(bad)
            self.published.update(set(hours) - set(bad))
            self.failed_runs[request.work] += len(bad) == len(hours)
        elif bad:
            self.failed_runs[request.work] += 1
        else:
            self.published.update(hours)


@pytest.mark.parametrize("by_audit", [True, False])
def test_a_permanently_failing_hour_does_not_hold_the_others(by_audit: bool) -> None:
    world = World(lambda h: h == 2, by_audit, list(range(6)))

    world.run_until_quiet()

    assert world.published == {0, 1, 3, 4, 5}


def test_an_hour_that_fails_its_audit_is_built_exactly_max_attempts_times() -> None:
    world = World(lambda h: h == 2, by_audit=True, hours=list(range(6)))

    world.run_until_quiet()

    assert world.built[2] == world.failed_audits[2] == MAX_ATTEMPTS


@given(
    st.sets(st.integers(0, 30), min_size=1),
    st.sets(st.integers(0, 30)),
    st.booleans(),
)
def test_attempts_are_bounded_and_no_run_key_ever_repeats(
    hours: set[int], bad: set[int], by_audit: bool
) -> None:
    world = World(lambda h: h in bad, by_audit, sorted(hours))

    world.run_until_quiet()

    assert len(world.keys) == len(set(world.keys))
    assert world.published == hours - bad
    assert all(world.built[h] <= MAX_ATTEMPTS + 1 for h in hours)


@pytest.mark.parametrize(
    ("family", "start", "key"),
    [
        ("delivery", datetime(2026, 11, 16, 23, tzinfo=UTC), "2026-11-16-23:00"),
        ("engagement", datetime(2026, 2, 28, 0, tzinfo=UTC), "2026-02-28-00:00"),
        ("billing", datetime(2026, 11, 1, tzinfo=UTC), "2026-11-01"),
    ],
)
def test_partition_keys_round_trip(family: Family, start: datetime, key: str) -> None:
    assert key_of(family, start) == key
    assert start_of(family, key) == start
    assert starts_between(family, key, key) == [start]


def test_a_range_of_partitions_includes_both_ends_and_crosses_midnight() -> None:
    found = starts_between("delivery", "2026-11-16-22:00", "2026-11-17-01:00")

    assert found == [START + h * HOUR for h in (22, 23, 24, 25)]


@given(st.lists(st.integers(0, 60), unique=True, max_size=40))
def test_stretches_cover_exactly_the_given_hours(hours: list[int]) -> None:
    starts = [START + h * HOUR for h in hours]

    found = stretches("delivery", starts)

    assert [s for stretch in found for s in stretch] == sorted(starts)
    for before, after in pairwise(found):
        assert after[0] - before[-1] > HOUR
