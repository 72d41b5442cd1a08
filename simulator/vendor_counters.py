"""What the vendors of a run say themselves: usage counters, invoices, rosters and capacities.

Belongs here: how each vendor's numbers differ from the truth (bias, rounding, lag), and the files.
Does not belong here: the truth (simulator.truth), or reading any of it back.

Vendors count what they delivered, whether a log of it arrived or not. Each day is published twice
under one name: at first without its last hours, then whole.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from simulator.bills import bills_of, nine_digits
from simulator.board import NO_ROWS, Arrival, Counts
from simulator.events import Events
from simulator.facts import instants
from simulator.rating import Bill, BillLine
from simulator.scenario import Scenario
from simulator.terms import Tariff
from simulator.world import DISTRIBUTIONS, POPS, PRODUCERS

ZONE = "zone7weir"
ISSUERS = {"cloudfront": "Weir Test CloudFront", "cloudflare": "Weir Test Cloudflare"}
POP_BPS = 400_000_000_000
_HOUR_US = 3_600_000_000
_HOUR = timedelta(hours=1)
_FIRST_AFTER, _WHOLE_AFTER = timedelta(hours=2), timedelta(hours=36)
_MISSING_AT_FIRST = 3 * _HOUR
_INVOICED_AFTER = timedelta(days=4, hours=9)


@dataclass(frozen=True)
class Definition:
    """How a vendor's numbers differ from what its logs say.

    bytes_percent: what it counts of each hundred bytes of the logs (network overhead). Numbers are
    rounded to the nearest multiple of the units.
    """

    bytes_percent: int = 100
    requests_unit: int = 1
    bytes_unit: int = 1

    def requests(self, true: int) -> int:
        """Return the published number of requests."""
        return _rounded(true, self.requests_unit)

    def bytes(self, true: int) -> int:
        """Return the published number of bytes."""
        return _rounded(true * self.bytes_percent // 100, self.bytes_unit)


DEFINITIONS: Mapping[str, Definition] = {
    "cloudfront": Definition(bytes_percent=103),
    "cloudflare": Definition(requests_unit=10, bytes_unit=1_000_000),
}


@dataclass(frozen=True)
class Said:
    """What vendors say: the files, and what the last version of each counter says of its slot."""

    arrivals: tuple[Arrival, ...]
    usage: pa.Table
    bills: tuple[Bill, ...]


def vendors_say(
    scenario: Scenario, traffic: pa.Table, tariffs: Sequence[Tariff], events: Events
) -> Said:
    """Let the vendors of a run publish; traffic is a table of the truth."""
    usage = _usage(traffic)
    inflated = 1 + scenario.invoice_discrepancy
    generated = [
        row | {"requests": row["requests_generated"],
               "bytes": round(row["bytes_generated"] * inflated)}
        for row in traffic.to_pylist()
    ]  # fmt: skip
    bills = tuple(bills_of(generated, tariffs))
    return Said(
        (
            *_usage_files(scenario, usage),
            *_invoices(scenario, bills, tariffs),
            _roster(scenario, events),
            _capacities(scenario),
        ),
        usage,
        bills,
    )


def _rounded(value: int, unit: int) -> int:
    return (value + unit // 2) // unit * unit


def _usage(traffic: pa.Table) -> pa.Table:
    """Add generated traffic up by hour and vendor, and say what each publishes of it."""
    hours = traffic["slot_start"].cast(pa.int64()).to_numpy() // _HOUR_US * _HOUR_US
    table = traffic.append_column("hour", instants(np.asarray(hours)))
    sums = (
        table.group_by(["hour", "cdn"])
        .aggregate([("requests_generated", "sum"), ("bytes_generated", "sum")])
        .sort_by([("hour", "ascending"), ("cdn", "ascending")])
    )
    rows = [
        {
            "hour": row["hour"],
            "cdn": row["cdn"],
            "requests": row["requests_generated_sum"],
            "bytes": row["bytes_generated_sum"],
            "requests_published": DEFINITIONS[row["cdn"]].requests(row["requests_generated_sum"]),
            "bytes_published": DEFINITIONS[row["cdn"]].bytes(row["bytes_generated_sum"]),
        }
        for row in sums.to_pylist()
    ]
    counts = ("requests", "bytes", "requests_published", "bytes_published")
    fields = [("hour", pa.timestamp("us", tz="UTC")), ("cdn", pa.string())]
    return pa.Table.from_pylist(rows, pa.schema([*fields, *((n, pa.int64()) for n in counts)]))


def _usage_files(scenario: Scenario, usage: pa.Table) -> Iterable[Arrival]:
    """Yield each vendor's days, each published twice."""
    rows = usage.to_pylist()
    writers = {"cloudfront": _cloudfront, "cloudflare": _cloudflare}
    for cdn, write in writers.items():
        mine = [row for row in rows if row["cdn"] == cdn]
        for day in sorted({row["hour"].date() for row in mine}):
            whole = [row for row in mine if row["hour"].date() == day]
            ends = datetime.combine(day, time(), scenario.start.tzinfo) + timedelta(days=1)
            first = [row for row in whole if row["hour"] + _HOUR <= ends - _MISSING_AT_FIRST]
            for part, after in ((first, _FIRST_AFTER), (whole, _WHOLE_AFTER)):
                if part:
                    yield write(day, part, ends + after)


def _cloudfront(day: date, rows: Sequence[Mapping[str, Any]], at: datetime) -> Arrival:
    """Write an AWS usage report: a row for requests and one for bytes of each hour."""
    head = "Service, Operation, UsageType, Resource, StartTime, EndTime, UsageValue"
    lines = [head.split(", ")]
    for row in rows:
        hour = row["hour"]
        span = [f"{t:%m/%d/%y %H:%M:%S}" for t in (hour, hour + _HOUR)]
        for usage_type, value in (
            ("EU-Requests-Tier2-HTTPS", row["requests_published"]),
            ("EU-DataTransfer-Out-Bytes", row["bytes_published"]),
        ):
            lines.append(["AmazonCloudFront", "GET", usage_type, "", *span, str(value)])
    return _arrival("cloudfront_usage", f"usage/cloudfront/{day:%Y-%m-%d}.csv", at, lines)


def _cloudflare(day: date, rows: Sequence[Mapping[str, Any]], at: datetime) -> Arrival:
    """Write groups of the GraphQL Analytics API, one a line."""
    lines = [
        json.dumps(
            {
                "count": row["requests_published"],
                "sum": {"edgeResponseBytes": row["bytes_published"]},
                "avg": {"sampleInterval": 10},
                "dimensions": {"datetimeHour": f"{row['hour']:%Y-%m-%dT%H:%M:%SZ}"},
                "zoneTag": ZONE,
            }
        )
        for row in rows
    ]
    data = "".join(f"{line}\n" for line in lines).encode()
    key = f"usage/cloudflare/{ZONE}/{day:%Y-%m-%d}.ndjson"
    counts = Counts(header=0, blank=0, good=len(lines))
    return Arrival("cloudflare_usage", key, at, data, counts, NO_ROWS)


def _invoices(
    scenario: Scenario, bills: Sequence[Bill], tariffs: Sequence[Tariff]
) -> Iterable[Arrival]:
    """Yield one invoice a contract and month, a line for each of the bill's that costs something.

    Line numbers are the bill's own, from 1.
    """
    head = (
        "invoice_id line_no billing_period_start charge_category charge_description quantity unit "
        "unit_price amount currency"
    )
    kinds = {t.contract_id: [c.kind for c in t.charges] for t in tariffs}
    for bill in bills:
        number = f"{bill.contract_id}-{bill.month:%Y%m}"
        lines = [head.split(" ")]
        for at, line in enumerate(bill.lines, 1):
            if line.quantity != 0:
                kind = kinds[bill.contract_id][line.component_no - 1]
                lines.append([number, str(at), *_charge(bill, line, kind), bill.currency])
        ends = (bill.month.replace(day=28) + timedelta(days=4)).replace(day=1)
        issued = datetime.combine(ends, time(), scenario.start.tzinfo) + _INVOICED_AFTER
        key = f"invoices/{bill.vendor}/{bill.month:%Y-%m}_{issued:%Y-%m-%d}.csv"
        yield _arrival(f"{bill.vendor}_invoices", key, issued, lines)


def _charge(bill: Bill, line: BillLine, kind: str) -> list[str]:
    """Return an invoice's line from the period to the amount."""
    category = {"tax": "Tax", "credit": "Credit"}.get(line.item, "Usage")
    what = f"{kind.replace('_', ' ')}: {line.item.replace('_', ' ')} {line.tier_no or ''}".strip()
    start, amount = f"{bill.month:%Y-%m-%d}", f"{line.amount:f}"
    if line.quantity is None or line.price is None:
        return [start, category, what, "1", "Each", amount, amount]
    unit = {"requests": "Requests"}.get(kind, "GB" if kind.startswith("per_gb") else "Mb/Second")
    return [start, category, what, nine_digits(line.quantity), unit, f"{line.price:f}", amount]


def _roster(scenario: Scenario, events: Events) -> Arrival:
    """List who delivers, every hour; event producers with the last number they gave out."""
    start = f"{scenario.start:%Y-%m-%dT%H:%M:%SZ}"
    end = f"{scenario.end:%Y-%m-%dT%H:%M:%SZ}"
    head = "feed producer valid_from valid_to cadence_s last_seq last_seq_at"
    lines = [
        head.split(" "),
        *(["cloudfront", one.distribution_id, start, "", "3600", "", ""] for one in DISTRIBUTIONS),
    ]
    for number, name in enumerate(PRODUCERS):
        given = events.sequence[events.producer == number]
        last = [str(int(given.max())), end] if given.size else ["", ""]
        lines.append(["rec_events", name, start, "", "3600", *last])
    return _arrival("rosters", "rosters/producers.csv", scenario.start, lines)


def _capacities(scenario: Scenario) -> Arrival:
    """List what each PoP can carry."""
    lines = [["cdn", "kind", "name", "capacity_bps", "valid_from", "valid_to"]]
    start = f"{scenario.start:%Y-%m-%d}"
    for pop in POPS:
        cdn = "cloudflare" if pop.colo_id else "cloudfront"
        lines.append([cdn, "pop", pop.name, str(POP_BPS), start, ""])
    return _arrival("capacities", "capacities/pops.csv", scenario.start, lines)


def _arrival(feed: str, key: str, at: datetime, lines: Sequence[Sequence[str]]) -> Arrival:
    """Write a CSV with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    counts = Counts(header=1, blank=0, good=len(lines) - 1)
    return Arrival(feed, key, at, text.getvalue().encode(), counts, NO_ROWS)
