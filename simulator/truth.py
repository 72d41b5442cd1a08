"""The truth ledger: what a run generated and what a platform must show after all deliveries.

Belongs here: sums over the simulator's own rows, and their files. Does not belong here: reading
logs; a ledger that parsed them would share the mistakes of the parser it is there to judge.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.arrays import IntArray
from simulator.bills import bills_of, bills_table
from simulator.board import Arrival, IncidentReport
from simulator.facts import (
    delivered_rows,
    event_facts,
    final_versions,
    instants,
    request_facts,
)
from simulator.files import FEEDS, World
from simulator.malform import KINDS
from simulator.scenario import Scenario
from simulator.terms import Tariff
from simulator.world import CDNS

QUANTILES = (50, 95, 99)
_SLOT_US = 300_000_000
_HOUR_US = 3_600_000_000
_ENGAGEMENT = ("impressions", "clicks", "plays", "valid_plays", "watch_ms", "likes")


@dataclass(frozen=True)
class FeedTotals:
    """Files and lines of a feed over all whole versions that arrive."""

    files: int
    lines_physical: int
    lines_header: int
    lines_blank: int
    lines_good: int
    malformed: dict[str, int]


@dataclass(frozen=True)
class Ledger:
    """The tables of the ledger; names are the file names."""

    files: pa.Table
    traffic_5m: pa.Table
    qos_hourly: pa.Table
    ttfb: pa.Table
    places_hourly: pa.Table
    engagement_hourly: pa.Table
    usage_monthly: pa.Table
    bills: pa.Table
    totals: dict[str, FeedTotals]


def make_ledger(world: World, arrivals: Sequence[Arrival], tariffs: Sequence[Tariff]) -> Ledger:
    """Add everything up."""
    delivered = delivered_rows(world, arrivals)
    requests = request_facts(world, delivered)
    traffic = _traffic_table(requests)
    return Ledger(
        files=_files_table(arrivals),
        traffic_5m=traffic,
        qos_hourly=_qos_table(requests),
        ttfb=_ttfb_table(requests),
        places_hourly=_places_table(requests),
        engagement_hourly=_engagement_table(event_facts(world, delivered)),
        usage_monthly=_usage_table(requests),
        bills=bills_table(bills_of(_delivered(traffic), tariffs)),
        totals={feed: _totals(feed, arrivals) for feed in FEEDS},
    )


def write_ledger(
    directory: Path, ledger: Ledger, scenario: Scenario, incidents: Sequence[IncidentReport]
) -> None:
    """Write the tables as Parquet, and scenario, totals and incidents as truth.json."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in Ledger.__dataclass_fields__:
        if name != "totals":
            pq.write_table(getattr(ledger, name), directory / f"{name}.parquet")
    document = {
        "scenario": {
            "seed": scenario.seed,
            "start": scenario.start.isoformat(),
            "hours": scenario.hours,
            "lines": scenario.lines,
            "incidents": sorted(scenario.incidents),
        },
        "totals": {feed: asdict(totals) for feed, totals in ledger.totals.items()},
        "incidents": [asdict(one) for one in incidents],
    }
    text = json.dumps(document, indent=2, sort_keys=True)
    (directory / "truth.json").write_text(f"{text}\n", encoding="utf-8")


def _sum_by(table: pa.Table, keys: list[str], measures: list[str]) -> pa.Table:
    """Sum measures by keys, sorted by keys, measures under their own names."""
    grouped = table.group_by(keys).aggregate([(name, "sum") for name in measures])
    grouped = grouped.select([*keys, *(f"{name}_sum" for name in measures)])
    grouped = grouped.rename_columns([*keys, *measures])
    for at, field in enumerate(grouped.schema):
        if pa.types.is_dictionary(field.type):
            grouped = grouped.set_column(at, field.name, grouped[field.name].cast(pa.string()))
    return grouped.sort_by([(key, "ascending") for key in keys])


def _with_slot(table: pa.Table, name: str, width_us: int) -> pa.Table:
    """Add the start of the time slot that each row's event falls in, floored."""
    at_us = table["event_at"].cast(pa.int64()).to_numpy()
    return table.append_column(name, instants(at_us // width_us * width_us))


def _traffic_table(requests: pa.Table) -> pa.Table:
    """Add up viewer traffic by five minutes, PoP and customer."""
    measures = [
        "requests_generated",
        "requests_delivered",
        "bytes_generated",
        "bytes_delivered",
        "hit_requests",
        "hit_bytes",
    ]
    keys = ["slot_start", "cdn", "pop", "customer"]
    table = _sum_by(_with_slot(requests, "slot_start", _SLOT_US), keys, measures)
    return table.rename_columns([*keys, *measures[:4], "hits_delivered", "hit_bytes_delivered"])


def _delivered(traffic: pa.Table) -> list[dict[str, object]]:
    """Return the traffic that arrived, as bills read it."""
    arrived = traffic.filter(pc.field("requests_delivered") > 0)
    names = {"requests_delivered": "requests", "bytes_delivered": "bytes"}
    keys = ["slot_start", "cdn", "pop", "customer"]
    rows: list[dict[str, object]] = (
        arrived.select([*keys, *names]).rename_columns([*keys, *names.values()]).to_pylist()
    )
    return rows


def _qos_table(requests: pa.Table) -> pa.Table:
    """Add up delivered quality by hour and CDN; hours without delivered rows are absent."""
    sources = ["requests_delivered", "bytes_delivered"]
    measures = [
        "eligible_requests",
        "hit_requests",
        "eligible_bytes",
        "hit_bytes",
        "errors_4xx",
        "errors_5xx",
        "no_response",
        "aborted",
    ]
    table = _sum_by(_with_slot(requests, "hour", _HOUR_US), ["hour", "cdn"], [*sources, *measures])
    table = table.rename_columns(["hour", "cdn", "requests", "bytes", *measures])
    return table.filter(pc.field("requests") > 0)


def _places_table(requests: pa.Table) -> pa.Table:
    """Add up delivered viewer traffic by hour, CDN, country and network (AS number)."""
    keys, sources = ["hour", "cdn", "country", "asn"], ["requests_delivered", "bytes_delivered"]
    table = _sum_by(_with_slot(requests, "hour", _HOUR_US), keys, sources)
    table = table.rename_columns([*keys, "requests", "bytes"])
    return table.filter(pc.field("requests") > 0)


def _ttfb_table(requests: pa.Table) -> pa.Table:
    """Take latency percentiles by nearest rank over delivered, unaborted 2xx responses."""
    timed = requests.filter(pc.field("is_timed"))
    rows = []
    for cdn in CDNS:
        values = np.sort(timed.filter(pc.field("cdn") == cdn)["ttfb_ms"].to_numpy())
        if values.size:
            ranks = {f"p{q}_ms": nearest_rank(values, q) for q in QUANTILES}
            rows.append({"cdn": cdn, **ranks})
    names = [f"p{q}_ms" for q in QUANTILES]
    schema = pa.schema([("cdn", pa.string()), *((name, pa.int64()) for name in names)])
    return pa.Table.from_pylist(rows, schema)


def nearest_rank(ascending: IntArray, percent: int) -> int:
    """Return the value of rank ceil(percent / 100 * N), in whole numbers throughout."""
    rank = -(-percent * ascending.size // 100)
    return int(ascending[max(rank, 1) - 1])


def _engagement_table(events: pa.Table) -> pa.Table:
    """Add up engagement by hour, customer and scene."""
    measures = [f"{name}_{side}" for name in _ENGAGEMENT for side in ("generated", "delivered")]
    return _sum_by(_with_slot(events, "hour", _HOUR_US), ["hour", "customer", "scene"], measures)


def _usage_table(requests: pa.Table) -> pa.Table:
    """Add up viewer bytes by calendar month in UTC."""
    months = requests["event_at"].to_numpy().astype("M8[M]").astype("M8[D]")
    table = requests.append_column("month", pa.array(months))
    return _sum_by(
        table, ["month", "cdn"], ["requests_delivered", "bytes_delivered", "bytes_generated"]
    )


def _files_table(arrivals: Sequence[Arrival]) -> pa.Table:
    """Return one row a version of a key, in the order of arrival."""
    final = final_versions(arrivals)
    versions: dict[str, int] = {}
    rows = []
    for position, one in enumerate(arrivals):
        versions[one.key] = versions.get(one.key, 0) + 1
        counts = one.counts
        lines = {
            "lines_physical": counts and counts.physical,
            "lines_header": counts and counts.header,
            "lines_blank": counts and counts.blank,
            "lines_good": counts and counts.good,
        }
        broken = counts.malformed if counts else (None,) * len(KINDS)
        rows.append(
            {
                "feed": one.feed,
                "key": one.key,
                "version": versions[one.key],
                "arrival_at": one.at,
                "is_whole": one.is_whole,
                "bytes": len(one.data),
                **lines,
                **dict(zip(KINDS, broken, strict=True)),
                "is_final_version": position in final,
                "same_content_as": one.same_content_as,
                "fate": one.fate,
            }
        )
    return pa.Table.from_pylist(rows, _files_schema())


def _files_schema() -> pa.Schema:
    """Return the columns of the files table; line counts are null where nothing whole arrived."""
    counted = ("lines_physical", "lines_header", "lines_blank", "lines_good", *KINDS)
    return pa.schema(
        [
            ("feed", pa.string()),
            ("key", pa.string()),
            ("version", pa.int64()),
            ("arrival_at", pa.timestamp("us", tz="UTC")),
            ("is_whole", pa.bool_()),
            ("bytes", pa.int64()),
            *((name, pa.int64()) for name in counted),
            ("is_final_version", pa.bool_()),
            ("same_content_as", pa.string()),
            ("fate", pa.string()),
        ]
    )


def _totals(feed: str, arrivals: Sequence[Arrival]) -> FeedTotals:
    """Add up a feed's lines over every whole version that arrives, duplicates included."""
    counts = [one.counts for one in arrivals if one.feed == feed and one.counts is not None]
    return FeedTotals(
        files=len(counts),
        lines_physical=sum(one.physical for one in counts),
        lines_header=sum(one.header for one in counts),
        lines_blank=sum(one.blank for one in counts),
        lines_good=sum(one.good for one in counts),
        malformed={kind: sum(one.malformed[at] for one in counts) for at, kind in enumerate(KINDS)},
    )
