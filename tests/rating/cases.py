"""Random contracts and usages, and one way to rate them with the project's SQL.

Belongs here: hypothesis strategies and the harness. What must hold stands in the tests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import yaml
from hypothesis import strategies as st

from lake.contracts import parse_contract
from lake.contracts.folder import Governed, alone
from orchestration.rating import TRAFFIC, Models, rate
from simulator.rating import Usage

MODELS = Models()
VENDOR = "v"
SCHEMA = pa.schema(
    [
        ("vendor", pa.string()), ("scope", pa.string()), ("pop", pa.string()),
        ("region", pa.string()), ("scheme", pa.string()),
        ("slot_start", pa.timestamp("us", tz="UTC")), ("period", pa.date32()),
        ("requests", pa.int64()), ("bytes", pa.int64()), ("bytes_in", pa.int64()),
        ("completeness_ppm", pa.int32()),
    ]
)  # fmt: skip
Key = tuple[int, str, str, int | None, str]


def contract(components: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return a contract's document."""
    return {
        "contract_id": "c", "vendor": VENDOR, "currency": "USD",
        "valid_from": dt.date(2020, 1, 1), "components": components,
    } | fields  # fmt: skip


def text_of(document: dict[str, Any]) -> str:
    """Return a contract's file."""
    return yaml.safe_dump(document, sort_keys=False)


def parsed(document: dict[str, Any]) -> Governed:
    """Return a contract as the pipeline reads it."""
    file = Path("contract.yaml")
    return alone(parse_contract(text_of(document), file), file)


@dataclass(frozen=True)
class Rated:
    """What the SQL says: lines and bills as records."""

    lines: list[dict[str, Any]]
    bills: list[dict[str, Any]]

    def totals(self) -> dict[dt.date, Decimal]:
        """Return the expected amount by month."""
        return {b["month"]: b["amount"] for b in self.bills}

    def by_line(self, month: dt.date) -> dict[Any, Decimal]:
        """Return the amounts of a month by component, item, scope and tier, added up over days."""
        found: dict[Any, Decimal] = {}
        for line in self.lines:
            if line["month"] == month:
                key = (line["component_no"], line["item"], line["scope"] or "", line["tier_no"])
                found[key] = found.get(key, Decimal(0)) + line["amount"]
        return found

    def of(self, contract_id: str) -> Rated:
        """Return what belongs to one contract."""
        return Rated(
            [line for line in self.lines if line["contract_id"] == contract_id],
            [bill for bill in self.bills if bill["contract_id"] == contract_id],
        )


def rated(
    usage: Sequence[Usage] | pa.Table, *documents: dict[str, Any], completeness: int = 10**6
) -> Rated:
    """Rate usage under contracts with the project's SQL."""
    table = usage if isinstance(usage, pa.Table) else table_of(usage, completeness)
    return rated_together(table, documents)


def rated_together(table: pa.Table, documents: Sequence[dict[str, Any]]) -> Rated:
    """Rate usage of several vendors, each under the contracts of its own."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.register(TRAFFIC, table)
        rate(connection, [parsed(d) for d in documents], MODELS)
        return Rated(
            connection.sql("from bill_lines order by month, contract_id, line_no")
            .to_arrow_table().to_pylist(),
            connection.sql("from bills order by month, contract_id").to_arrow_table().to_pylist(),
        )  # fmt: skip


def table_of(usage: Sequence[Usage], completeness: int = 10**6, vendor: str = VENDOR) -> pa.Table:
    """Return usage in the shape that the models read."""
    rows = [
        (vendor, u.scope, None, u.region, u.scheme, u.slot_start, None, u.requests, u.bytes,
         u.bytes_in, completeness)
        for u in usage
    ]  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def local_slots(zone: str, first: dt.date, days: int = 1) -> list[dt.datetime]:
    """Return the slots of local days, as UTC instants."""
    start = dt.datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    after = first + dt.timedelta(days=days)
    end = dt.datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(zone))
    at, slots = start.astimezone(dt.UTC), []
    while at < end.astimezone(dt.UTC):
        slots.append(at)
        at += dt.timedelta(minutes=5)
    return slots


# ----------------------------------------------------------------- strategies

_price = st.decimals("0", "20", places=4).map(str)
_money = st.decimals("0", "3000", places=2).map(str)
_percent = st.decimals("0", "30", places=3).map(str)
_named = st.sampled_from(["account", "scope"])


def _tiers(unit: str, most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    def build(edges: list[int], prices: list[str], flats: list[str | None]) -> list[dict[str, Any]]:
        cuts = [0, *sorted(set(edges)), None]
        tiers = []
        for low, high, price, flat in zip(cuts, cuts[1:], prices, flats, strict=False):
            tier = {f"from_{unit}": low, f"to_{unit}": high, f"price_per_{unit}": price}
            if high is None:
                del tier[f"to_{unit}"]
            if flat is not None:
                tier["flat"] = flat
            tiers.append(tier)
        return tiers

    return st.builds(
        build,
        st.lists(st.integers(1, most), max_size=3),
        st.lists(_price, min_size=4, max_size=4),
        st.lists(st.none() | _money, min_size=4, max_size=4),
    )


_per_gb = st.fixed_dictionaries(
    {"kind": st.sampled_from(["per_gb_graduated", "per_gb_volume"]), "tiers": _tiers("gb", 60),
     "per": _named}
)  # fmt: skip
_requests = st.fixed_dictionaries(
    {"kind": st.just("requests"), "price": _price, "package": st.sampled_from([1, 7, 1000, 10_000]),
     "count": st.sampled_from(["exact", "ceil"]), "per": _named}
)  # fmt: skip
_pricing = st.one_of(
    st.fixed_dictionaries({"price_per_mbps": _price}),
    st.fixed_dictionaries(
        {"tiers": _tiers("mbps", 300), "tier_rule": st.sampled_from(["reached", "graduated"])}
    ),
    st.fixed_dictionaries(
        {"price_per_mbps": _price, "commit_mbps": st.integers(1, 300),
         "overage_price_per_mbps": _price}
    ),
)  # fmt: skip
_bandwidth = st.builds(
    lambda frame, pricing: frame | pricing,
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(
                ["p95", "daily_peak", "average_daily_peak", "average_daily_p95", "fourth_peak",
                 "monthly_top5"]
            ),
            "direction": st.sampled_from(["egress", "max", "sum"]),
            "valid_days": st.sampled_from(["month", "traffic", "activation"]),
            "round_mbps": st.sampled_from(["exact", "up", "down"]),
            "minimum_mbps": st.sampled_from([0, 5]),
            "per": _named,
        }
    ),
    _pricing,
)  # fmt: skip
_traffic = st.one_of(_per_gb, _bandwidth)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a sound contract with every kind of component possible."""
    components = [draw(_traffic)]
    if draw(st.booleans()):
        components.append(draw(_traffic) | {"regions": ["eu", "us"][: draw(st.integers(1, 2))]})
    if draw(st.booleans()):
        components.append(draw(_requests))
        if draw(st.booleans()):
            components.append(draw(_requests) | {"schemes": ["https"]})
    for kind in draw(st.lists(st.sampled_from(["fee", "credit", "credit", "tax"]), max_size=4)):
        if kind == "fee":
            components.append({"kind": "fee", "amount": draw(_money)})
        elif kind == "tax":
            components.append({"kind": "tax", "percent": draw(_percent)})
        else:
            field = draw(st.sampled_from(["amount", "percent"]))
            value = draw(_money if field == "amount" else _percent)
            components.append({"kind": "credit", field: value})
    if draw(st.booleans()):
        multiplier = draw(st.sampled_from(["1", "1.2", "1.333333"]))
        components.append(
            {"kind": "commit", "amount": draw(_money), "overage_multiplier": multiplier}
        )
    if draw(st.booleans()):
        components.append({"kind": "minimum", "amount": draw(_money)})
    digits = draw(st.sampled_from([0, 2, 2, 6]))
    mode = draw(st.sampled_from(["half_up", "half_even", "up", "down"]))
    return contract(
        draw(st.permutations(components)),
        timezone=draw(st.sampled_from(ZONES)),
        unit=draw(st.sampled_from(["GB", "GiB"])),
        rate_unit=draw(st.sampled_from(["Mbps", "Mibps"])),
        rounding={"digits": digits, "mode": mode},
        overhead={"factor": draw(st.sampled_from(["1", "1.1", "1.033333"]))},
        activated_on=draw(st.sampled_from([dt.date(2026, 3, 5), dt.date(2026, 10, 30)])),
    )


ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
_VALUES = st.one_of(
    st.sampled_from([0, 0, 1, 37_500_000, 3_750_000_000, 3_750_000_001]),
    st.integers(0, 2 * 10**10),
)


@st.composite
def usages(draw: st.DrawFn) -> list[Usage]:
    """Draw usage of some days around the change of clocks in spring or autumn."""
    month = draw(st.sampled_from([dt.date(2026, 3, 1), dt.date(2026, 10, 1)]))
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        day = month + dt.timedelta(days=draw(st.integers(0, 32)))
        start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
        first = draw(st.integers(0, 287))
        length = draw(st.sampled_from([1, 1, 12, 288, 600]))
        out, into = draw(_VALUES), draw(_VALUES)
        scope, region = draw(st.sampled_from("abc")), draw(st.sampled_from(["eu", "us", "asia"]))
        scheme = draw(st.sampled_from(["http", "https", "other"]))
        rows += [
            Usage(
                start + dt.timedelta(minutes=5 * (first + i)),
                scope,
                out // (1 + i % 7),
                out % 1000 + i,
                into // (1 + i % 3),
                region,
                scheme,
            )
            for i in range(length)
        ]
    return rows
