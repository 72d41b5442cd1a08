"""Contract files as tariffs: the oracle's own reading, which trusts that the file is sound.

Belongs here: YAML to `Tariff`. Does not belong here: refusing broken files (the pipeline's task).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from simulator.terms import ZERO, Charge, Tariff, Tier

_GIGABYTES = {"GB": 10**9, "GiB": 2**30}
_MEGABITS = {"Mbps": 10**6, "Mibps": 2**20}
_BANDWIDTH = (
    "p95", "daily_peak", "average_daily_peak", "average_daily_p95", "fourth_peak", "monthly_top5",
)  # fmt: skip


def load_tariffs(directory: Path) -> tuple[Tariff, ...]:
    """Read the tariffs of a folder of YAML files, in the order of their names."""
    return tuple(
        read_tariff(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.y*ml"))
    )


def read_tariff(text: str) -> Tariff:
    """Read one tariff."""
    document = yaml.safe_load(text)
    rounding = document.get("rounding", {})
    customers = document.get("customers")
    optional = {
        name: document[key]
        for name, key in (("valid_to", "valid_to"), ("activated_on", "activated_on"),
                          ("zone", "timezone"))
        if document.get(key) is not None
    }  # fmt: skip
    return Tariff(
        contract_id=str(document["contract_id"]),
        vendor=str(document["vendor"]),
        currency=str(document["currency"]),
        charges=tuple(_charge(one) for one in document["components"]),
        valid_from=document["valid_from"],
        gigabyte=_GIGABYTES[document.get("unit", "GB")],
        megabit=_MEGABITS[document.get("rate_unit", "Mbps")],
        digits=rounding.get("digits", 2),
        mode=rounding.get("mode", "half_up"),
        factor=_number(document.get("overhead", {}).get("factor", 1)),
        customers=None if customers is None else frozenset(customers),
        regions={p: region for region, ps in document.get("regions", {}).items() for p in ps},
        **optional,
    )


def _charge(one: Mapping[str, Any]) -> Charge:
    kind = str(one["kind"])
    parts = one.get("schemes" if kind == "requests" else "regions")
    shared: dict[str, Any] = {
        "kind": kind,
        "is_per_scope": one.get("per") == "scope",
        "parts": None if parts is None else frozenset(parts),
    }
    if kind.startswith("per_gb"):
        return Charge(
            **shared,
            tiers=tuple(_tier(t, "gb") for t in one["tiers"]),
            is_reached_only=kind == "per_gb_volume",
        )
    if kind == "requests":
        return Charge(
            **shared,
            tiers=(Tier(ZERO, None, _number(one["price"])),),
            package=Decimal(one.get("package", 10_000)),
            rounding="up" if one.get("count") == "ceil" else "exact",
        )
    if kind in _BANDWIDTH:
        return _bandwidth(one, shared)
    return Charge(
        kind=kind,
        amount=None if one.get("amount") is None else _number(one["amount"]),
        percent=None if one.get("percent") is None else _number(one["percent"]),
        multiplier=_number(one.get("overage_multiplier", 1)),
        first_month=one.get("first_month"),
        last_month=one.get("last_month"),
    )


def _bandwidth(one: Mapping[str, Any], shared: Mapping[str, Any]) -> Charge:
    is_reached = one.get("tier_rule", "reached") == "reached"
    if one.get("tiers"):
        tiers = tuple(_tier(t, "mbps") for t in one["tiers"])
    elif one.get("commit_mbps") is not None:
        is_reached = False
        edge, over = _number(one["commit_mbps"]), _number(one["overage_price_per_mbps"])
        first = Tier(ZERO, edge, _number(one["price_per_mbps"]), is_committed=True)
        tiers = (first, Tier(edge, None, over))
    else:
        tiers = (Tier(ZERO, None, _number(one["price_per_mbps"])),)
    return Charge(
        **shared,
        tiers=tiers,
        is_reached_only=is_reached,
        direction=one.get("direction", "egress"),
        valid_days=one.get("valid_days", "month"),
        minimum=_number(one.get("minimum_mbps", 0)),
        rounding=one.get("round_mbps", "exact"),
    )


def _tier(tier: Mapping[str, Any], unit: str) -> Tier:
    """Read one tier; numbers go through text, so that a YAML float keeps its written digits."""
    upper = tier.get(f"to_{unit}")
    return Tier(
        _number(tier[f"from_{unit}"]),
        None if upper is None else _number(upper),
        _number(tier[f"price_per_{unit}"]),
        _number(tier.get("flat", 0)),
    )


def _number(value: object) -> Decimal:
    return Decimal(str(value))
