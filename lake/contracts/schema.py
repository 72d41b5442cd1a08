"""A price contract, whole: its frame and the rules between its components.

Belongs here: what a contract says beside its components, and what must hold between them. Does not:
reading files (files), other contracts (folder).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lake.contracts.components import (
    BANDWIDTH,
    Bandwidth,
    Component,
    PerGb,
    Requests,
    Strict,
)
from lake.contracts.problems import BrokenRuleError
from lake.contracts.values import Currency, Day, Factor, Instant, Month, Names, Text, Zone

#: bytes of one unit of volume
UNITS: Mapping[str, int] = {"GB": 10**9, "GiB": 2**30}
#: bits a second of one unit of rate
RATES: Mapping[str, int] = {"Mbps": 10**6, "Mibps": 2**20}
SLOT_SECONDS = 300
#: of a money component, how many a contract may have
_ONCE = ("commit", "minimum")


class Rounding(Strict):
    """How a line is rounded, once: to so many digits behind the point."""

    digits: Annotated[int, Field(ge=0, le=6)] = 2
    mode: Literal["half_up", "half_even", "up", "down"] = "half_up"


class Overhead(Strict):
    """What the vendor meters for a byte of the log (TCP and IP headers, retransmission)."""

    factor: Factor
    low: Factor | None = None
    high: Factor | None = None

    @model_validator(mode="after")
    def _check(self) -> Overhead:
        low, high = self.bounds
        if self.factor == 0 or not low <= self.factor <= high:
            raise BrokenRuleError(
                f"{self.factor} with an interval from {low} to {high}",
                "a factor above 0 inside its interval",
                "Correct factor, low or high.",
                ("factor",),
            )
        return self

    @property
    def bounds(self) -> tuple[Decimal, Decimal]:
        """Return the interval; one without is a point."""
        low = self.factor if self.low is None else self.low
        return low, self.factor if self.high is None else self.high


class Contract(Strict):
    """What one vendor charges for the usage in its scope, in the months it is valid.

    valid_from is the first month billed, valid_to the first one not billed (open without it).
    known_from says since when this version is known: of the versions of one contract_id, the last
    one known counts, so that a bill can be rated again as it was known then.
    """

    contract_id: Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    version: Annotated[int, Field(ge=1)] = 1
    vendor: Text
    account: Text | None = None
    #: the customers (or domains) it covers; without it, all that no other contract names
    customers: Names | None = None
    timezone: Zone = "UTC"
    currency: Currency
    valid_from: Month
    valid_to: Month | None = None
    known_from: Instant | None = None
    #: first billed day, for components with valid_days: activation
    activated_on: Day | None = None
    unit: Literal["GB", "GiB"] = "GB"
    rate_unit: Literal["Mbps", "Mibps"] = "Mbps"
    rounding: Rounding = Rounding()
    overhead: Overhead = Overhead(factor=Decimal(1))
    #: region -> beginnings of PoP names
    regions: Mapping[Text, Names] = Field(default_factory=dict)
    components: Annotated[tuple[Component, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Contract:
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise BrokenRuleError(
                f"{self.valid_to} is not after valid_from {self.valid_from}",
                "a later month",
                "Correct one.",
                ("valid_to",),
            )
        _check_coverage(self)
        _check_units(self)
        _check_money(self)
        _check_activation(self)
        _check_prefixes(self)
        return self

    @property
    def key(self) -> str:
        """Return the contract and its version as one name."""
        return f"{self.contract_id}/{self.version}"

    @property
    def needs_slots(self) -> bool:
        """Tell whether a bill needs 5-minute samples, not only sums of a month."""
        return any(c.kind in BANDWIDTH for c in self.components)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a contract file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Contract.model_json_schema(),
        "title": "Weir price contract",
    }


def _check_coverage(contract: Contract) -> None:
    """Refuse bytes or requests that two components price, or none."""
    traffic = [(i, c) for i, c in enumerate(contract.components)
               if isinstance(c, PerGb | Bandwidth)]  # fmt: skip
    requests = [(i, c) for i, c in enumerate(contract.components) if isinstance(c, Requests)]
    if not traffic and not requests:
        raise BrokenRuleError(
            "no component prices traffic or requests",
            "one of per_gb_graduated, per_gb_volume, requests or a bandwidth kind",
            "Add it; a price of 0 says that traffic is free.",
            ("components",),
        )
    _check_parts([(i, c.regions) for i, c in traffic], "regions", "region")
    _check_parts([(i, c.schemes) for i, c in requests], "schemes", "scheme")


def _check_parts(parts: list[tuple[int, tuple[str, ...] | None]], field: str, word: str) -> None:
    seen: dict[str | None, int] = {}
    for i, names in parts:
        for name in (None,) if names is None else names:
            if name in seen:
                what = f"{word} {name!r}" if name is not None else f"every other {word}"
                raise BrokenRuleError(
                    f"{what} is priced by components[{seen[name]}] already",
                    f"each {word} in one component",
                    "Name it in one of them, or put the second price into its tiers.",
                    ("components", i, field) if name is not None else ("components", i),
                )
            seen[name] = i
    if parts and None not in seen:
        raise BrokenRuleError(
            f"every component names its {field}, so what lies outside has no price",
            f"one component without {field}, for the rest",
            "Add it; a price of 0 says that the rest is free.",
            ("components",),
        )


def _check_units(contract: Contract) -> None:
    """Refuse edges that are no whole number of bytes: they would cut a byte in two."""
    for i, c in enumerate(contract.components):
        edges: list[tuple[tuple[str | int, ...], Decimal | None, Decimal]] = []
        if isinstance(c, PerGb):
            size = Decimal(UNITS[contract.unit])
            edges = [(("tiers", n, "to_gb"), t.to_gb, size) for n, t in enumerate(c.tiers)]
        elif isinstance(c, Bandwidth):
            size = slot_bytes(contract.rate_unit)
            edges = [(("tiers", n, "to_mbps"), t.to_mbps, size)
                     for n, t in enumerate(c.tiers or ())]  # fmt: skip
            edges += [(("commit_mbps",), c.commit_mbps, size)]
            edges += [(("minimum_mbps",), c.minimum_mbps, size)]
        for path, edge, size in edges:
            if edge is not None and edge * size != int(edge * size):
                raise BrokenRuleError(
                    f"{edge} is no whole number of bytes",
                    "an edge that does not cut a byte",
                    "Round it.",
                    ("components", i, *path),
                )


def slot_bytes(rate_unit: str) -> Decimal:
    """Return the bytes of five minutes at one unit of rate."""
    return Decimal(RATES[rate_unit]) * SLOT_SECONDS / 8


def _check_money(contract: Contract) -> None:
    for kind in _ONCE:
        found = [i for i, c in enumerate(contract.components) if c.kind == kind]
        if len(found) > 1:
            raise BrokenRuleError(
                f"a second {kind}", f"at most one {kind}", "Add them up.", ("components", found[1])
            )


def _check_activation(contract: Contract) -> None:
    for i, c in enumerate(contract.components):
        if (
            isinstance(c, Bandwidth)
            and c.valid_days == "activation"
            and contract.activated_on is None
        ):
            raise BrokenRuleError(
                "activation without a day of activation",
                "activated_on beside valid_from",
                "Add it to the contract.",
                ("components", i, "valid_days"),
            )


def _check_prefixes(contract: Contract) -> None:
    seen: dict[str, str] = {}
    for region, prefixes in contract.regions.items():
        for prefix in prefixes:
            if prefix in seen:
                raise BrokenRuleError(
                    f"{prefix!r} belongs to {seen[prefix]!r} already",
                    "each beginning of a PoP name in one region",
                    "Take it out of one.",
                    ("regions", region),
                )
            seen[prefix] = region
