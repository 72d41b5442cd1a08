"""The plan of a run: everything that will arrive, and the ledger of what it means.

Belongs here: the public face of the package. Does not belong here: any clock; `deliver` plays the
arrivals of a span of simulated time whenever it is called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from simulator.audience import make_sessions
from simulator.board import Arrival, Board, IncidentReport
from simulator.events import make_events
from simulator.feeds import FeedTruth, feeds_say
from simulator.files import World, build_files
from simulator.geo import write_geo
from simulator.incidents import apply_incidents, plan_silence
from simulator.scenario import CLOUDFLARE_SHARE, CLOUDFRONT_SHARE, Scenario
from simulator.terms import Tariff
from simulator.traffic import SUBREQUEST_SHARE, make_requests
from simulator.truth import Ledger, make_ledger, write_ledger
from simulator.vendor_counters import Said, vendors_say

_CLOUDFRONT_PART = CLOUDFRONT_SHARE / (CLOUDFRONT_SHARE + CLOUDFLARE_SHARE)


@dataclass(frozen=True)
class Delivered:
    """What one call of `deliver` wrote; lines of truncated files are not counted."""

    files: int
    lines: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """Arrivals in order, and what led to them.

    `on_time_until` is an instant by which all on-time arrivals are there and no late one is.
    """

    world: World
    arrivals: tuple[Arrival, ...]
    incidents: tuple[IncidentReport, ...]
    tariffs: tuple[Tariff, ...]
    on_time_until: datetime
    said: Said | None = None
    feeds: FeedTruth | None = None

    @property
    def scenario(self) -> Scenario:
        """Return the parameters of the run."""
        return self.world.scenario

    @property
    def last_arrival_at(self) -> datetime:
        """Return the instant after which nothing arrives any more."""
        return max((one.at for one in self.arrivals if one.at), default=self.on_time_until)

    @cached_property
    def ledger(self) -> Ledger:
        """Return the truth tables, added up on first use."""
        return make_ledger(self.world, self.arrivals, self.tariffs)

    def deliver(self, landing: Path, after: datetime | None, until: datetime) -> Delivered:
        """Write the arrivals of the span (after, until] below `landing`, in order of arrival.

        Without `after` the span has no beginning. A later version of a key replaces the file.
        """
        due = [
            one
            for one in self.arrivals
            if one.at is not None and one.at <= until and (after is None or one.at > after)
        ]
        for one in due:
            _write(landing / one.key, one)
        return Delivered(
            files=len(due),
            lines=sum(one.counts.physical for one in due if one.counts is not None),
            bytes=sum(len(one.data) for one in due),
        )

    def write_geo(self, directory: Path) -> list[Path]:
        """Write the address plan as geo files (.mmdb); return their paths."""
        return write_geo(directory, self.scenario.start)

    def write_truth(self, directory: Path) -> None:
        """Write the truth ledger: Parquet tables and truth.json."""
        write_ledger(directory, self.ledger, self.scenario, self.incidents)
        if self.said is not None:
            pq.write_table(self.said.usage, directory / "vendor_usage.parquet")
        if self.feeds is not None:
            pq.write_table(self.feeds.rows, directory / "feed_rows.parquet")
            pq.write_table(self.feeds.sessions, directory / "playbacks.parquet")


def simulate(scenario: Scenario, contracts: Sequence[Tariff] = ()) -> Plan:
    """Generate a run. Equal arguments give equal plans, down to the bytes of each file."""
    cloudflare_rows = scenario.cdn_lines * (1 - _CLOUDFRONT_PART)
    subrequests = round(cloudflare_rows * SUBREQUEST_SHARE)
    sessions = make_sessions(scenario, scenario.cdn_lines - subrequests, _CLOUDFRONT_PART)
    world = World(
        scenario=scenario,
        sessions=sessions,
        requests=make_requests(scenario, sessions, subrequests),
        events=make_events(scenario, sessions),
    )
    silence = plan_silence(scenario)
    board = Board(scenario, build_files(world, silence), silence)
    apply_incidents(board)
    plan = Plan(
        world=world,
        arrivals=tuple(board.arrivals()),
        incidents=tuple(board.reports),
        tariffs=tuple(contracts),
        on_time_until=board.on_time_until,
    )
    if scenario.counters:
        plan = _with_counters(plan)
    return _with_feeds(plan) if scenario.feeds else plan


def _with_counters(plan: Plan) -> Plan:
    """Let the vendors publish what they counted, after the logs of the run are known."""
    truth = plan.ledger
    said = vendors_say(plan.scenario, truth.traffic_5m, plan.tariffs, plan.world.events)
    return replace(plan, arrivals=_merged(plan, said.arrivals), said=said)


def _with_feeds(plan: Plan) -> Plan:
    """Let the feeds beside requests and events arrive too."""
    said = feeds_say(plan.world, plan.on_time_until)
    return replace(plan, arrivals=_merged(plan, said.arrivals), feeds=said.truth)


def _merged(plan: Plan, more: Sequence[Arrival]) -> tuple[Arrival, ...]:
    """Return all arrivals in order, those that never come last."""
    never = datetime.max.replace(tzinfo=plan.scenario.start.tzinfo)
    return tuple(sorted((*plan.arrivals, *more), key=lambda one: (one.at or never, one.key)))


def _write(path: Path, arrival: Arrival) -> None:
    """Write a file beside its place, date it, and rename it, so that nobody sees half of it."""
    if arrival.at is None:
        raise ValueError(f"{arrival.key}: a file that never arrives cannot be written")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(arrival.data)
    instant_ns = int(arrival.at.timestamp()) * 1_000_000_000
    os.utime(draft, ns=(instant_ns, instant_ns))
    draft.replace(path)
