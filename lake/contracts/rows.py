"""Contracts as rows: the tables that rating joins, with every price as an exact fraction.

Belongs here: turning a parsed contract into rows of plain values, and the columns of those tables.
Does not: arithmetic on usage. Edges are whole bytes (of a rate: bytes in five minutes), prices and
factors reduced fractions, so that SQL multiplies whole numbers and divides once a line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from lake.contracts.components import (
    BANDWIDTH,
    Bandwidth,
    Commit,
    Component,
    Credit,
    Fee,
    Minimum,
    PerGb,
    Requests,
    Tax,
)
from lake.contracts.folder import Governed
from lake.contracts.schema import RATES, SLOT_SECONDS, UNITS, Contract

#: table -> column -> type, in DuckDB's words
TABLES: Mapping[str, Mapping[str, str]] = {
    "price_contracts": {
        "contract_key": "VARCHAR", "contract_id": "VARCHAR", "contract_version": "INTEGER",
        "vendor": "VARCHAR", "account": "VARCHAR", "currency": "VARCHAR", "zone": "VARCHAR",
        "valid_from": "DATE", "valid_to": "DATE", "known_from": "TIMESTAMPTZ",
        "known_to": "TIMESTAMPTZ", "activated_on": "DATE", "is_rest": "BOOLEAN",
        "rounding_mode": "VARCHAR", "minors": "BIGINT", "micros_per_minor": "BIGINT",
        "factor": "DECIMAL(9,6)", "factor_low": "DECIMAL(9,6)", "factor_high": "DECIMAL(9,6)",
        "stands_for": "VARCHAR",
    },
    "price_contract_estimates": {
        "contract_key": "VARCHAR", "estimate": "VARCHAR", "factor_num": "BIGINT",
        "factor_den": "BIGINT",
    },
    "price_contract_customers": {"contract_key": "VARCHAR", "customer": "VARCHAR"},
    "price_contract_regions": {
        "contract_key": "VARCHAR", "pop_prefix": "VARCHAR", "region": "VARCHAR",
    },
    "price_components": {
        "contract_key": "VARCHAR", "component_no": "INTEGER", "kind": "VARCHAR", "name": "VARCHAR",
        "measure": "VARCHAR", "is_rest": "BOOLEAN", "is_per_scope": "BOOLEAN",
        "direction": "VARCHAR", "day_rank": "INTEGER", "month_rule": "VARCHAR",
        "valid_days_rule": "VARCHAR", "unit": "VARCHAR", "unit_base": "BIGINT",
        "tier_rule": "VARCHAR", "quantity_rounding": "VARCHAR", "minimum_base": "BIGINT",
        "amount": "DECIMAL(18,6)", "share_num": "BIGINT", "share_den": "BIGINT",
        "first_month": "DATE", "last_month": "DATE",
    },
    "price_component_parts": {
        "contract_key": "VARCHAR", "component_no": "INTEGER", "measure": "VARCHAR",
        "part": "VARCHAR",
    },
    "price_contract_tiers": {
        "contract_key": "VARCHAR", "component_no": "INTEGER", "tier_no": "INTEGER",
        "tier_from": "DECIMAL(38,9)", "tier_to": "DECIMAL(38,9)", "from_base": "HUGEINT",
        "to_base": "HUGEINT", "is_committed": "BOOLEAN", "unit_price": "DECIMAL(18,9)",
        "price_num": "BIGINT", "price_den": "BIGINT", "flat": "DECIMAL(18,6)",
    },
}  # fmt: skip
Row = tuple[object, ...]

#: kind -> (rank of a day's sample in descending order, 0 being the 95th percentile's; month rule)
_STATISTICS: Mapping[str, tuple[int | None, str]] = {
    "p95": (None, "p95"),
    "daily_peak": (1, "each_day"),
    "average_daily_peak": (1, "mean"),
    "average_daily_p95": (0, "mean"),
    "fourth_peak": (1, "fourth"),
    "monthly_top5": (5, "top5"),
}


@dataclass(frozen=True)
class _Tier:
    start: Decimal
    end: Decimal | None
    price: Decimal
    flat: Decimal = Decimal(0)
    is_committed: bool = False


def rows_of(contracts: Iterable[Governed]) -> dict[str, list[Row]]:
    """Return the rows of every table of TABLES."""
    found: dict[str, list[Row]] = {name: [] for name in TABLES}
    for governed in contracts:
        contract = governed.contract
        found["price_contracts"].append(_frame(governed))
        found["price_contract_estimates"] += _estimates(contract)
        found["price_contract_customers"] += [
            (contract.key, name) for name in contract.customers or ()
        ]
        found["price_contract_regions"] += [
            (contract.key, prefix, region)
            for region, prefixes in contract.regions.items()
            for prefix in prefixes
        ]
        for number, component in enumerate(contract.components, 1):
            found["price_components"].append(_component(contract, number, component))
            found["price_component_parts"] += _parts(contract, number, component)
            found["price_contract_tiers"] += _tier_rows(contract, number, component)
    return found


def _frame(governed: Governed) -> Row:
    contract = governed.contract
    digits = contract.rounding.digits
    low, high = contract.overhead.bounds
    known_from = contract.known_from or dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (
        contract.key, contract.contract_id, contract.version, contract.vendor, contract.account,
        contract.currency, contract.timezone, contract.valid_from, governed.valid_to, known_from,
        governed.known_to, contract.activated_on, contract.customers is None,
        contract.rounding.mode, 10**digits, 10 ** (6 - digits), contract.overhead.factor, low, high,
        None,
    )  # fmt: skip


def _estimates(contract: Contract) -> list[Row]:
    low, high = contract.overhead.bounds
    factors = {"low": low, "expected": contract.overhead.factor, "high": high}
    return [(contract.key, name, *f.as_integer_ratio()) for name, f in factors.items()]


def _component(contract: Contract, number: int, component: Component) -> Row:
    head = (contract.key, number, component.kind, component.name)
    if isinstance(component, PerGb):
        rule = "graduated" if component.kind == "per_gb_graduated" else "reached"
        usage: Row = (
            "bytes", component.regions is None, component.per == "scope", None, None, "sum",
            "month", contract.unit, UNITS[contract.unit], rule, "exact", 0,
        )  # fmt: skip
        return (*head, *usage, None, None, None, None, None)
    if isinstance(component, Requests):
        rounding = "up" if component.count == "ceil" else "exact"
        usage = (
            "requests", component.schemes is None, component.per == "scope", None, None, "sum",
            "month", f"{component.package} requests", component.package, "graduated", rounding, 0,
        )  # fmt: skip
        return (*head, *usage, None, None, None, None, None)
    if isinstance(component, Bandwidth):
        return (*head, *_rate(contract, component), None, None, None, None, None)
    return (*head, component.kind, *[None] * 11, *_money(component))


def _rate(contract: Contract, component: Bandwidth) -> Row:
    rank, rule = _STATISTICS[component.kind]
    unit_base = RATES[contract.rate_unit] * SLOT_SECONDS // 8
    is_graduated = component.tier_rule == "graduated" or component.commit_mbps is not None
    unit = f"{contract.rate_unit}-day" if rule == "each_day" else contract.rate_unit
    return (
        "rate", component.regions is None, component.per == "scope", component.direction, rank,
        rule, component.valid_days, unit, unit_base, "graduated" if is_graduated else "reached",
        component.round_mbps, int(component.minimum_mbps * unit_base),
    )  # fmt: skip


def _money(component: Fee | Commit | Minimum | Credit | Tax) -> Row:
    amount: Decimal | None = None
    share: tuple[int, int] | tuple[None, None] = (None, None)
    months: tuple[dt.date | None, dt.date | None] = (None, None)
    if isinstance(component, Fee | Commit | Minimum | Credit):
        amount = component.amount
    if isinstance(component, Commit):
        share = (component.overage_multiplier - 1).as_integer_ratio()
    if isinstance(component, Credit | Tax) and component.percent is not None:
        share = (component.percent / 100).as_integer_ratio()
    if isinstance(component, Credit):
        months = (component.first_month, component.last_month)
    return (amount, *share, *months)


def _parts(contract: Contract, number: int, component: Component) -> list[Row]:
    """Return the regions or schemes that a component names."""
    if isinstance(component, PerGb | Bandwidth):
        return [(contract.key, number, "traffic", r) for r in component.regions or ()]
    if isinstance(component, Requests):
        return [(contract.key, number, "requests", s) for s in component.schemes or ()]
    return []


def _tier_rows(contract: Contract, number: int, component: Component) -> list[Row]:
    tiers: list[_Tier] = []
    base = 1
    if isinstance(component, PerGb):
        base = UNITS[contract.unit]
        tiers = [_Tier(t.from_gb, t.to_gb, t.price_per_gb, t.flat) for t in component.tiers]
    elif isinstance(component, Requests):
        tiers = [_Tier(Decimal(0), None, component.price)]
    elif component.kind in BANDWIDTH:
        assert isinstance(component, Bandwidth)  # noqa: S101 - its kinds are those
        base = RATES[contract.rate_unit] * SLOT_SECONDS // 8
        tiers = _rate_tiers(component)
    return [
        (
            contract.key, number, i, t.start, t.end, int(t.start * base),
            None if t.end is None else int(t.end * base), t.is_committed, t.price,
            *t.price.as_integer_ratio(), t.flat,
        )
        for i, t in enumerate(tiers, 1)
    ]  # fmt: skip


def _rate_tiers(component: Bandwidth) -> list[_Tier]:
    if component.tiers is not None:
        return [_Tier(t.from_mbps, t.to_mbps, t.price_per_mbps, t.flat) for t in component.tiers]
    price = component.price_per_mbps or Decimal(0)
    if component.commit_mbps is None:
        return [_Tier(Decimal(0), None, price)]
    over = component.overage_price_per_mbps or Decimal(0)
    return [
        _Tier(Decimal(0), component.commit_mbps, price, is_committed=True),
        _Tier(component.commit_mbps, None, over),
    ]
