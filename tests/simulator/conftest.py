"""Runs to test on, and a recount that reads the written logs without the simulator's help."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from simulator import ALL_INCIDENTS, Incident, Plan, Scenario, Tariff, simulate
from simulator.terms import Charge, Tier
from simulator.world import ISPS

START = datetime(2026, 11, 16, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIERS = (
    Tier(Decimal(0), Decimal(2), Decimal("0.085")),
    Tier(Decimal(2), Decimal(3), Decimal("0.080")),
    Tier(Decimal(3), None, Decimal("0.060")),
)
FLAT = (Tier(Decimal(0), None, Decimal("0.05")),)
TARIFFS = (
    Tariff("cloudfront-2026", "cloudfront", "USD", (Charge("per_gb_graduated", TIERS),)),
    Tariff("cloudflare-2026", "cloudflare", "USD", (Charge("per_gb_graduated", FLAT),)),
)


def make_run(*incidents: Incident, lines: int = 5_000, hours: int = 3, seed: int = 7) -> Plan:
    scenario = Scenario(seed, START, hours, lines, frozenset(incidents))
    return simulate(scenario, TARIFFS)


@dataclass(frozen=True)
class Run:
    plan: Plan
    landing: Path

    @cached_property
    def found(self) -> Recount:
        return recount_landing(self.landing)


def land(plan: Plan, landing: Path) -> Run:
    plan.deliver(landing, None, plan.last_arrival_at)
    return Run(plan, landing)


@pytest.fixture(scope="session")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return land(make_run(*ALL_INCIDENTS), tmp_path_factory.mktemp("disturbed"))


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return land(make_run(), tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="session")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(*ALL_INCIDENTS, lines=60_000, hours=12, seed=11)
    return land(run, tmp_path_factory.mktemp("larger"))


@pytest.fixture
def run_with() -> Callable[..., Plan]:
    return make_run


Sums = dict[tuple[Any, ...], dict[str, int]]


def floored(at: datetime, minutes: int) -> datetime:
    width = timedelta(minutes=minutes)
    return EPOCH + (at - EPOCH) // width * width


def sum_up(rows: Iterable[tuple[tuple[Any, ...], dict[str, int]]]) -> Sums:
    totals: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for key, values in rows:
        totals[key].update(values)
    return {key: dict(values) for key, values in totals.items()}


def quality(row: dict[str, Any]) -> dict[str, int]:
    eligible = row["method"] in ("GET", "HEAD") and row["state"] not in ("ERROR", "SYNTH")
    hit = eligible and row["state"] in ("HIT", "STALE", "REVALIDATED")
    sent, status = row["bytes"], row["status"]
    return {
        "requests": 1,
        "bytes": sent,
        "eligible_requests": int(eligible),
        "hit_requests": int(hit),
        "eligible_bytes": sent * eligible,
        "hit_bytes": sent * hit,
        "errors_4xx": int(400 <= status <= 498),
        "errors_5xx": int(500 <= status <= 599),
        "no_response": int(status == 0),
        "aborted": int(row["aborted"]),
    }


def home_of(address: str) -> tuple[str, int]:
    """Return country and network of a client, by going through the plan."""
    where = ip_address(address)
    (isp,) = [one for one in ISPS if where in one.v4 or where in one.v6]
    return isp.country, isp.asn


def engagement(row: dict[str, Any]) -> dict[str, int]:
    kind, watch, length = row["event_type"], row["watch_ms"], row["item_duration_ms"]
    valid = kind == "play" and (watch >= length if length <= 7_000 else watch > 7_000)
    return {
        "impressions": int(kind == "impression"),
        "clicks": int(kind == "click"),
        "plays": int(kind == "play"),
        "valid_plays": int(valid),
        "watch_ms": watch if kind == "play" else 0,
        "likes": int(kind == "like"),
    }


@dataclass
class Recount:
    """What the written logs add up to, read line by line in plain Python."""

    header: Counter[str] = field(default_factory=Counter)
    blank: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    requests: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)

    def traffic(self) -> Sums:
        return sum_up(
            (
                (floored(row["at"], 5), row["cdn"], row["pop"], row["host"].split(".")[1]),
                quality(row),
            )
            for row in self.requests.values()
        )

    def qos(self) -> Sums:
        return sum_up(
            ((floored(row["at"], 60), row["cdn"]), quality(row)) for row in self.requests.values()
        )

    def places(self) -> Sums:
        return sum_up(
            ((floored(row["at"], 60), row["cdn"], *home_of(row["address"])), quality(row))
            for row in self.requests.values()
        )

    def usage(self) -> Sums:
        return sum_up(
            ((row["at"].date().replace(day=1), row["cdn"]), quality(row))
            for row in self.requests.values()
        )

    def engagement(self) -> Sums:
        return sum_up(
            ((floored(row["at"], 60), row["customer"], row["scene"]), engagement(row))
            for row in self.events.values()
        )

    def ttfb(self, cdn: str, quantile: Fraction) -> int:
        values = sorted(
            row["ttfb_ms"]
            for row in self.requests.values()
            if row["cdn"] == cdn and 200 <= row["status"] <= 299 and not row["aborted"]
        )
        return int(values[math.ceil(quantile * len(values)) - 1])


CDN_COLUMNS = 33
CF_STATES = {
    "Hit": "HIT",
    "RefreshHit": "REVALIDATED",
    "Miss": "MISS",
    "Redirect": "SYNTH",
    "Error": "ERROR",
    "LimitExceeded": "ERROR",
    "CapacityExceeded": "ERROR",
}
CFL_STATES = {
    "hit": "HIT",
    "stale": "STALE",
    "updating": "STALE",
    "revalidated": "REVALIDATED",
    "miss": "MISS",
    "expired": "MISS",
    "bypass": "BYPASS",
    "dynamic": "BYPASS",
    "ignored": "BYPASS",
}


def period_of(feed: str, key: str) -> tuple[datetime, datetime]:
    name = key.rsplit("/", 1)[1]
    if feed == "cloudfront":
        start = datetime.strptime(name.split(".")[1], "%Y-%m-%d-%H").replace(tzinfo=UTC)
        return start, start + timedelta(hours=1)
    if feed == "cloudflare":
        form = "%Y%m%dT%H%M%SZ"
        start, end = (datetime.strptime(t, form).replace(tzinfo=UTC) for t in name.split("_")[:2])
        return start, end
    day, hour = key.split("dt=")[1][:10], key.split("hour=")[1][:2]
    start = datetime.strptime(f"{day} {hour}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    return start, start + timedelta(hours=1)


def seconds_to_ms(text: str) -> int:
    whole, part = text.split(".")
    assert len(part) == 3
    return int(whole) * 1_000 + int(part)


def read_cloudfront(line: str) -> tuple[tuple[Any, ...], datetime, dict[str, Any]]:
    col = line.split("\t")
    if len(col) != CDN_COLUMNS:
        raise ValueError("columns")
    end = datetime.strptime(f"{col[0]} {col[1]}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    at = end - timedelta(milliseconds=seconds_to_ms(col[18]))
    status, result, response, detailed = int(col[8]), col[13], col[22], col[28]
    state = "SHIELD_HIT" if detailed == "OriginShieldHit" else CF_STATES[response]
    left = status == 0 or (result == "Error" and response != "Error")
    row: dict[str, Any] = {
        "at": at,
        "cdn": "cloudfront",
        "pop": col[2],
        "address": col[4],
        "host": col[15],
        "bytes": int(col[3]),
        "status": status,
        "method": col[5],
        "state": state,
        "aborted": left or detailed == "ClientCommError",
        "ttfb_ms": seconds_to_ms(col[27]),
    }
    return (col[14], col[0], col[1], col[4], col[26], col[7]), end, row


def read_cloudflare(line: str) -> tuple[tuple[Any, ...], datetime, dict[str, Any]]:
    one = json.loads(line)
    start_ns, end_ns = one["EdgeStartTimestamp"], one["EdgeEndTimestamp"]
    if not all(type(v) is int for v in (start_ns, end_ns, one["EdgeResponseBytes"])):
        raise ValueError("type")
    assert start_ns % 1_000 == 0
    state = CFL_STATES.get(one["CacheCacheStatus"], "UNKNOWN")
    if state == "HIT" and one["CacheTieredFill"]:
        state = "SHIELD_HIT"
    row: dict[str, Any] = {
        "at": EPOCH + timedelta(microseconds=start_ns // 1_000),
        "cdn": "cloudflare",
        "pop": one["EdgeColoCode"],
        "address": one["ClientIP"],
        "host": one["ClientRequestHost"],
        "bytes": one["EdgeResponseBytes"],
        "status": one["EdgeResponseStatus"],
        "method": one["ClientRequestMethod"],
        "state": state,
        "aborted": one["EdgeResponseStatus"] == 499,
        "ttfb_ms": one["EdgeTimeToFirstByteMs"],
        "is_child": one["ParentRayID"] != "00",
    }
    assert row["is_child"] == one["WorkerSubrequest"]
    return (one["RayID"],), EPOCH + timedelta(microseconds=end_ns // 1_000), row


def read_event(line: str) -> tuple[tuple[Any, ...], datetime, dict[str, Any]]:
    one = json.loads(line)
    if type(one["event_ts_ms"]) is not int or type(one["item_duration_ms"]) is not int:
        raise ValueError("type")
    at = EPOCH + timedelta(milliseconds=one["event_ts_ms"])
    return (one["event_id"],), at, {**one, "at": at}


READERS = {
    "cloudfront": read_cloudfront,
    "cloudflare": read_cloudflare,
    "rec_events": read_event,
}


def recount_landing(landing: Path) -> Recount:
    found = Recount()
    for path in sorted(landing.rglob("*.gz")):
        key = path.relative_to(landing).as_posix()
        feed = key.split("/")[0]
        try:
            data = gzip.decompress(path.read_bytes())
        except (EOFError, zlib.error):
            found.unreadable.append(key)
            continue
        start, end = period_of(feed, key)
        for raw in data.split(b"\n")[:-1]:
            if raw.startswith(b"#"):
                found.header[feed] += 1
            elif not raw:
                found.blank[feed] += 1
            else:
                try:
                    row_key, at, row = READERS[feed](raw.decode())
                except (ValueError, KeyError, IndexError):
                    found.broken[feed] += 1
                    continue
                if not start <= at < end:
                    found.broken[feed] += 1
                    continue
                found.good[feed] += 1
                if feed == "rec_events":
                    found.events[str(row_key[0])] = row
                elif not row.get("is_child"):
                    found.requests[feed, *row_key] = row
    return found
