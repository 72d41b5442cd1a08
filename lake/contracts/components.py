"""The components of a contract: what is measured, how it is priced. One class a family of kinds.

Belongs here: fields of a component, tiers, and rules inside one component. Does not: rules between
components (schema) or arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lake.contracts.problems import BrokenRuleError
from lake.contracts.values import Amount, Edge, Month, Names, Percent, Price, Rate, Text

PER_GB = ("per_gb_graduated", "per_gb_volume")
BANDWIDTH = (
    "p95", "daily_peak", "average_daily_peak", "average_daily_p95", "fourth_peak", "monthly_top5",
)  # fmt: skip
MONEY = ("fee", "commit", "minimum", "credit", "tax")
KINDS = (*PER_GB, "requests", *BANDWIDTH, *MONEY)


class Strict(BaseModel):
    """A part of a contract: no field but those named, nothing changes after parsing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GbTier(Strict):
    """A slice of a month's volume: after from_gb, up to and including to_gb; open without it."""

    from_gb: Edge
    to_gb: Edge | None = None
    price_per_gb: Price
    flat: Amount = Decimal(0)


class MbpsTier(Strict):
    """A slice of a rate: after from_mbps, up to and including to_mbps; open without it."""

    from_mbps: Rate
    to_mbps: Rate | None = None
    price_per_mbps: Price
    flat: Amount = Decimal(0)


def check_tiers(edges: Sequence[tuple[Decimal, Decimal | None]], unit: str) -> None:
    """Refuse tiers that do not go from zero to above without gap or overlap."""
    low, high = f"from_{unit}", f"to_{unit}"
    edge: Decimal | None = Decimal(0)
    for i, (start, end) in enumerate(edges):
        if edge is None:
            raise BrokenRuleError(
                f"follows a tier without {high}",
                "the open tier to be the last",
                f"Give the one before a {high}.",
                ("tiers", i),
            )
        if start != edge:
            what = "leaves a gap after" if start > edge else "overlaps"
            raise BrokenRuleError(
                f"{start} {what} the previous tier, which ends at {edge}",
                f"{edge}",
                "Let each tier start where the one before it ends.",
                ("tiers", i, low),
            )
        if end is not None and end <= start:
            raise BrokenRuleError(
                f"{end} is not above {low} {start}",
                "a larger number",
                "Correct one of them.",
                ("tiers", i, high),
            )
        edge = end
    if edge is not None:
        raise BrokenRuleError(
            f"the last tier ends at {edge}, so what is above it has no price",
            f"a last tier without {high}",
            f"Leave its {high} out.",
            ("tiers",),
        )


class _Usage(Strict):
    """What the components of usage share."""

    name: Text | None = None
    #: account: everything in the contract counts together; scope: each customer or domain alone
    per: Literal["account", "scope"] = "account"


class PerGb(_Usage):
    """A price per GB: graduated (each slice at its own price) or volume (all at the reached)."""

    kind: Literal["per_gb_graduated", "per_gb_volume"]
    regions: Names | None = None
    tiers: Annotated[tuple[GbTier, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> PerGb:
        check_tiers([(t.from_gb, t.to_gb) for t in self.tiers], "gb")
        return self


class Requests(_Usage):
    """A price per package of requests; a package begun counts as its part, or whole (ceil)."""

    kind: Literal["requests"]
    package: Annotated[int, Field(ge=1, le=10**9)] = 10_000
    price: Price
    count: Literal["exact", "ceil"] = "exact"
    schemes: Annotated[tuple[Literal["http", "https"], ...], Field(min_length=1)] | None = None


class Bandwidth(_Usage):
    """A price per Mbps of a statistic over 5-minute samples."""

    kind: Literal[
        "p95", "daily_peak", "average_daily_peak", "average_daily_p95", "fourth_peak",
        "monthly_top5",
    ]  # fmt: skip
    regions: Names | None = None
    direction: Literal["egress", "max", "sum"] = "egress"
    #: month: all days count; traffic: days with a byte; activation: days from activated_on
    valid_days: Literal["month", "traffic", "activation"] = "month"
    price_per_mbps: Price | None = None
    tiers: Annotated[tuple[MbpsTier, ...], Field(min_length=1)] | None = None
    tier_rule: Literal["reached", "graduated"] = "reached"
    commit_mbps: Rate | None = None
    overage_price_per_mbps: Price | None = None
    minimum_mbps: Rate = Decimal(0)
    round_mbps: Literal["exact", "up", "down"] = "exact"

    @model_validator(mode="after")
    def _check(self) -> Bandwidth:
        if (self.price_per_mbps is None) == (self.tiers is None):
            found = "neither" if self.tiers is None else "both"
            raise BrokenRuleError(
                f"{found} of price_per_mbps and tiers", "one of them", "Write one.", ()
            )
        if self.tiers is not None:
            check_tiers([(t.from_mbps, t.to_mbps) for t in self.tiers], "mbps")
        if (self.commit_mbps is None) != (self.overage_price_per_mbps is None):
            raise BrokenRuleError(
                "commit_mbps and overage_price_per_mbps come together, one is missing",
                "both or none",
                "Say what is committed and what a Mbps above it costs.",
                (),
            )
        if self.commit_mbps is not None and self.tiers is not None:
            raise BrokenRuleError(
                "a commit beside tiers",
                "price_per_mbps for what is committed",
                "Write the tiers above the commit as a graduated contract of their own.",
                ("commit_mbps",),
            )
        if self.commit_mbps == 0:
            raise BrokenRuleError(
                "0", "a number above 0", "Leave the commit out.", ("commit_mbps",)
            )
        return self


class Fee(Strict):
    """A fixed amount each month."""

    kind: Literal["fee"]
    name: Text | None = None
    amount: Amount


class Commit(Strict):
    """A monthly amount that is paid in any case; above it, usage costs overage_multiplier times."""

    kind: Literal["commit"]
    name: Text | None = None
    amount: Amount
    overage_multiplier: Rate = Decimal(1)

    @model_validator(mode="after")
    def _check(self) -> Commit:
        if self.overage_multiplier < 1:
            raise BrokenRuleError(
                f"{self.overage_multiplier}",
                "a number of at least 1",
                "Write a cheaper price above a commit as a tier.",
                ("overage_multiplier",),
            )
        return self


class Minimum(Strict):
    """The least that a month costs before credits and tax."""

    kind: Literal["minimum"]
    name: Text | None = None
    amount: Amount


class Credit(Strict):
    """Money off, an amount or per cent, in the months from `first_month` to `last_month`."""

    kind: Literal["credit"]
    name: Text | None = None
    amount: Amount | None = None
    percent: Percent | None = None
    first_month: Month | None = None
    last_month: Month | None = None

    @model_validator(mode="after")
    def _check(self) -> Credit:
        if (self.amount is None) == (self.percent is None):
            found = "neither" if self.amount is None else "both"
            raise BrokenRuleError(f"{found} of amount and percent", "one of them", "Write one.", ())
        if self.percent is not None and self.percent > 100:
            raise BrokenRuleError(
                f"{self.percent}", "at most 100 per cent", "Correct it.", ("percent",)
            )
        if self.first_month and self.last_month and self.last_month < self.first_month:
            raise BrokenRuleError(
                f"{self.last_month} is before first_month {self.first_month}",
                "the same or a later month",
                "Correct one of them.",
                ("last_month",),
            )
        return self


class Tax(Strict):
    """Per cent of what is left after credits."""

    kind: Literal["tax"]
    name: Text | None = None
    percent: Percent


Component = Annotated[
    PerGb | Requests | Bandwidth | Fee | Commit | Minimum | Credit | Tax,
    Field(discriminator="kind"),
]
