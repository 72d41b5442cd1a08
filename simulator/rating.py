"""Price tariffs and the bills that follow from delivered bytes, in decimal arithmetic throughout.

Belongs here: graduated prices per GB, which is what the truth ledger needs. Does not belong here:
any other price component; a file with one is refused rather than billed wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path

import yaml

_CENT = Decimal("0.01")
_GB_EXPONENT = -9

Tier = tuple[Decimal, Decimal | None, Decimal]


@dataclass(frozen=True)
class Tariff:
    """What a vendor charges. A tier is (from GB inclusive, to GB exclusive or None, price per GB).

    Months that begin before `valid_from` are not billed.
    """

    contract_id: str
    vendor: str
    currency: str
    tiers: tuple[Tier, ...]
    valid_from: date | None = None

    def __post_init__(self) -> None:
        """Refuse tiers with gaps: they would bill some bytes twice or not at all."""
        edge: Decimal | None = Decimal(0)
        for from_gb, to_gb, _ in self.tiers:
            if edge is None or from_gb != edge:
                raise ValueError(
                    f"{self.contract_id}: expected a tier from {edge} GB, found one from {from_gb}"
                )
            edge = to_gb
        if not self.tiers or edge is not None:
            raise ValueError(f"{self.contract_id}: the last tier must have no upper end")


@dataclass(frozen=True)
class BillLine:
    """The amount of one tier."""

    tier_from_gb: Decimal
    tier_to_gb: Decimal | None
    price_per_gb: Decimal
    quantity_gb: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Bill:
    """What one contract costs in one month; the total is the sum of the rounded lines."""

    contract_id: str
    vendor: str
    currency: str
    month: date
    lines: tuple[BillLine, ...]

    @property
    def total(self) -> Decimal:
        """Return the sum of the lines."""
        return sum((line.amount for line in self.lines), Decimal("0.00"))


def rate(tariff: Tariff, month: date, delivered_bytes: int) -> Bill:
    """Spread a month's bytes over the tiers, each slice at its own price; a GB is 10^9 bytes."""
    with localcontext(prec=50):
        gigabytes = Decimal(delivered_bytes).scaleb(_GB_EXPONENT)
        lines = []
        for from_gb, to_gb, price in tariff.tiers:
            top = gigabytes if to_gb is None else min(gigabytes, to_gb)
            quantity = max(top - from_gb, Decimal(0))
            amount = (quantity * price).quantize(_CENT, rounding=ROUND_HALF_UP)
            lines.append(BillLine(from_gb, to_gb, price, quantity, amount))
    return Bill(tariff.contract_id, tariff.vendor, tariff.currency, month, tuple(lines))


def load_tariffs(directory: Path) -> tuple[Tariff, ...]:
    """Read the tariffs of a folder of YAML files, in the order of their names."""
    return tuple(_load(path) for path in sorted(directory.glob("*.y*ml")))


def _load(path: Path) -> Tariff:
    """Read one tariff."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    components = document["components"]
    kinds = [one["kind"] for one in components]
    if kinds != ["per_gb_graduated"] or document["unit"] != "GB":
        raise ValueError(
            f"{path}: expected one component per_gb_graduated in GB, found {kinds} in "
            f"{document['unit']}; keep other contracts out of this folder"
        )
    return Tariff(
        contract_id=str(document["contract_id"]),
        vendor=str(document["vendor"]),
        currency=str(document["currency"]),
        tiers=tuple(_tier(tier) for tier in components[0]["tiers"]),
        valid_from=document.get("valid_from"),
    )


def _tier(tier: Mapping[str, object]) -> Tier:
    """Read one tier; numbers go through text, so that a YAML float keeps its written digits."""
    upper = tier.get("to_gb")
    return (
        Decimal(str(tier["from_gb"])),
        None if upper is None else Decimal(str(upper)),
        Decimal(str(tier["price_per_gb"])),
    )
