"""How a line of a bill came about, as a sentence that a finance person can follow.

Belongs here: words for what the line says of itself. Does not: any arithmetic that could disagree
with it; the numbers are the line's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lake.contracts import Contract
from lake.contracts.components import BANDWIDTH
from lake.contracts.schema import RATES, UNITS

_STATISTIC = {
    "daily_peak": "the highest of the day's {samples} five-minute samples",
    "average_daily_peak": "the mean of the daily peaks of {valid_days} days",
    "average_daily_p95": "the mean of the daily 95th percentiles of {valid_days} days",
    "fourth_peak": "the fourth highest of the daily peaks of {valid_days} days",
    "monthly_top5": "the mean of the five highest days of {valid_days}, "
    "each by its fifth highest sample",
}


def explain(line: Mapping[str, Any], contract: Contract) -> str:
    """Return how a row of bill_lines came about."""
    item, money = line["item"], f"{_number(_money(line, contract))} {contract.currency}"
    if item in ("tier", "commit", "commit_unused"):
        rounding = f"rounded {contract.rounding.mode} to {contract.rounding.digits} digits"
        what = f"{_measured(line, contract)}{_slice(line)}{_price(line, contract)}"
        return f"{what} = {money} ({rounding})."
    if item == "flat":
        return f"Flat amount of tier {line['tier_no']}, once, because the tier is reached: {money}."
    return f"{_ADDED[item]}: {money}."


_ADDED = {
    "fee": "Fixed amount of the month",
    "shortfall": "What the lines so far lack to the committed amount",
    "surcharge": "What the contract adds on usage above the committed amount",
    "minimum": "What the lines so far lack to the least amount of a month",
    "credit": "Taken off the sum of the lines so far",
    "tax": "Tax on the sum after credits",
}


def _money(line: Mapping[str, Any], contract: Contract) -> Decimal:
    amount: Decimal = line["amount"]
    return amount.quantize(Decimal(1).scaleb(-contract.rounding.digits))


def _number(value: Decimal | int) -> str:
    return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"


def _short(value: Decimal) -> str:
    return _number(Decimal(f"{value.normalize():f}"))


def _measured(line: Mapping[str, Any], contract: Contract) -> str:
    """Say what was counted, and how it became a quantity."""
    kind, logged = line["kind"], int(line["logged"])
    estimated, factor = int(line["estimated"]), line["factor"]
    metered = "" if factor in (None, 1) else f" x {_short(factor)} (network overhead)"
    added = f" + {_number(estimated)} estimated of what is missing" if estimated else ""
    if kind == "requests":
        return f"{_number(logged)} requests{added}; "
    metered = f"{added}{metered}"
    if kind not in BANDWIDTH:
        size = UNITS[contract.unit]
        return f"{_number(logged)} bytes{metered}, {_number(size)} bytes a {contract.unit}; "
    bits = RATES[contract.rate_unit]
    sample = (
        f"{_number(logged)} bytes in 300 s{metered} x 8 / 300 / {_number(bits)} "
        f"= {contract.rate_unit}"
    )
    if kind == "p95":
        where = (
            "" if line["billed_slot"] is None else f" (first at {line['billed_slot']:%F %H:%M} UTC)"
        )
        return (
            f"{_number(line['samples'])} five-minute samples, {_number(line['billed_rank'] - 1)} "
            f"dropped, the {_number(line['billed_rank'])}. highest billed{where}: {sample}; "
        )
    if kind in ("average_daily_peak", "average_daily_p95", "monthly_top5"):
        days = line["valid_days"] if kind != "monthly_top5" else min(line["valid_days"], 5)
        return (
            f"{_STATISTIC[kind].format(**line)}, {_number(logged)} bytes in 300 s over {days} "
            f"days{metered}; "
        )
    return f"{_STATISTIC[kind].format(**line)}: {sample}; "


def _slice(line: Mapping[str, Any]) -> str:
    unit = line["unit"]
    if line["item"] == "commit_unused":
        return f"committed and unused: {_short(line['quantity'])} {unit}"
    upper = "" if line["tier_to"] is None else f" up to {_short(line['tier_to'])}"
    tier = f"tier {line['tier_no']} (over {_short(line['tier_from'])}{upper})"
    if line["item"] == "commit":
        tier = f"of the committed {_short(line['tier_to'])}"
    if line["kind"] == "requests":
        return f"{_short(line['quantity'])} packages of {unit}"
    return f"{tier}: {_short(line['quantity'])} {unit}"


def _price(line: Mapping[str, Any], contract: Contract) -> str:
    text = f" x {_short(line['unit_price'])} {contract.currency}"
    component = contract.components[line["component_no"] - 1]
    rule = getattr(component, "valid_days", "month")
    if rule != "month" and line["kind"] != "daily_peak":
        text += f" x {line['valid_days']} valid days of {line['month_days']}"
    return text
