"""What a contract says: tiers, charges and the tariff they make.

Belongs here: the terms as data. Does not: what they cost (rating), how contract files are read
(tariffs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True)
class Tier:
    """From a quantity (exclusive) to another (inclusive, None is open), at a price."""

    start: Decimal
    end: Decimal | None
    price: Decimal
    flat: Decimal = ZERO
    is_committed: bool = False


@dataclass(frozen=True)
class Charge:
    """A component of a tariff; what a kind does not use keeps its default."""

    kind: str
    tiers: tuple[Tier, ...] = ()
    #: whole quantity at the tier it lies in
    is_reached_only: bool = False
    is_per_scope: bool = False
    parts: frozenset[str] | None = None
    package: Decimal = Decimal(1)
    direction: str = "egress"
    valid_days: str = "month"
    minimum: Decimal = ZERO
    #: of the quantity, to whole units
    rounding: str = "exact"
    amount: Decimal | None = None
    percent: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    first_month: date | None = None
    last_month: date | None = None


@dataclass(frozen=True)
class Tariff:
    """What a vendor charges, in the months from `valid_from` up to `valid_to` (exclusive)."""

    contract_id: str
    vendor: str
    currency: str
    charges: tuple[Charge, ...]
    valid_from: date = date.min
    valid_to: date | None = None
    zone: str = "UTC"
    gigabyte: int = 10**9
    megabit: int = 10**6
    digits: int = 2
    mode: str = "half_up"
    factor: Decimal = Decimal(1)
    activated_on: date = date.min
    customers: frozenset[str] | None = None
    regions: Mapping[str, str] = field(default_factory=dict)

    def region_of(self, pop: str) -> str:
        """Return the region of a PoP, by the longest beginning that fits."""
        fitting = [prefix for prefix in self.regions if pop.startswith(prefix)]
        return self.regions[max(fitting, key=len)] if fitting else "other"
