"""Bills of the truth ledger: delivered traffic under each tariff, and their table.

Belongs here: which usage a tariff covers, and bills as rows. Does not belong here: how a line is
reckoned (rating).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from simulator.rating import Bill, Usage, rate
from simulator.terms import Tariff

_COLUMNS = (
    "contract_id", "vendor", "currency", "component_no", "item", "scope", "day", "tier_no",
    "quantity", "unit_price", "amount", "total",
)  # fmt: skip
_NANO = 10**9


def bills_of(traffic: Iterable[Mapping[str, Any]], tariffs: Sequence[Tariff]) -> list[Bill]:
    """Rate delivered traffic (rows of slot_start, cdn, pop, customer, requests, bytes).

    A month in which anything was delivered has a bill under each tariff in force.
    """
    rows = list(traffic)
    bills = []
    for tariff in sorted(tariffs, key=lambda one: one.contract_id):
        named = [t.customers for t in tariffs if t.vendor == tariff.vendor and t.customers]
        usage = [
            Usage(
                row["slot_start"],
                row["customer"],
                row["bytes"],
                row["requests"],
                region=tariff.region_of(row["pop"]),
            )
            for row in rows
            if row["cdn"] == tariff.vendor and _covers(tariff, row["customer"], named)
        ]
        bills += [
            rate(tariff, month, usage)
            for month in _months(rows, tariff.zone)
            if tariff.valid_from <= month < (tariff.valid_to or date.max)
        ]
    return [bill for bill in sorted(bills, key=lambda one: one.month) if bill.lines]


def _covers(tariff: Tariff, customer: str, named: Sequence[frozenset[str]]) -> bool:
    """Tell whether a customer is a tariff's: named, or the rest that no other tariff names."""
    if tariff.customers is not None:
        return customer in tariff.customers
    return not any(customer in names for names in named)


def _months(rows: Iterable[Mapping[str, Any]], zone: str) -> list[date]:
    local = ZoneInfo(zone)
    instants: set[datetime] = {row["slot_start"] for row in rows}
    return sorted({at.astimezone(local).date().replace(day=1) for at in instants})


def bills_table(bills: Sequence[Bill]) -> pa.Table:
    """Return one row a line, numbers as text: exact, and the same in every reader."""
    rows = [
        {
            "month": bill.month,
            "contract_id": bill.contract_id,
            "vendor": bill.vendor,
            "currency": bill.currency,
            "component_no": str(line.component_no),
            "item": line.item,
            "scope": line.scope,
            "day": None if line.day is None else line.day.isoformat(),
            "tier_no": None if line.tier_no is None else str(line.tier_no),
            "quantity": None if line.quantity is None else nine_digits(line.quantity),
            "unit_price": None if line.price is None else f"{line.price:f}",
            "amount": f"{line.amount:f}",
            "total": f"{bill.total:f}",
        }
        for bill in bills
        for line in bill.lines
    ]
    fields = [("month", pa.date32()), *((name, pa.string()) for name in _COLUMNS)]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def nine_digits(value: Fraction) -> str:
    """Return a quantity to nine digits behind the point, half up."""
    nanos = int(value * _NANO + Fraction(1, 2))
    return f"{nanos // _NANO}.{nanos % _NANO:09d}"
