"""The oracle by itself: published vectors, edges, rounding, and the form of the tariff files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from simulator import Tariff, load_tariffs
from simulator.rating import Bill, Usage, rate
from simulator.terms import Charge, Tier

MONTH = date(2026, 11, 1)
GB = 10**9


def tariff(*edges_and_prices: str) -> Tariff:
    """Build tiers from alternating price, edge, price, edge, price."""
    edges = [Decimal(0), *map(Decimal, edges_and_prices[1::2]), None]
    prices = map(Decimal, edges_and_prices[::2])
    tiers = tuple(
        Tier(low, high, price)
        for low, high, price in zip(edges, edges[1:], prices, strict=False)
        if low is not None
    )
    return Tariff("c", "cloudfront", "USD", (Charge("per_gb_graduated", tiers),))


def bill_of(one: Tariff, delivered_bytes: int) -> Bill:
    slot = datetime(2026, 11, 3, tzinfo=UTC)
    return rate(one, MONTH, [Usage(slot, "a", delivered_bytes)])


@pytest.mark.parametrize(
    ("prices", "gigabytes", "total"),
    [
        # CloudFront price list: 10,240 GB at 0.085, the rest at 0.080.
        (("0.085", "10240", "0.080"), 51_200, "4147.20"),
        # Alibaba's worked example: the month, and the part before the last 90 GB.
        (("0.24", "10240", "0.23"), 10_290, "2469.10"),
        (("0.24", "10240", "0.23"), 10_200, "2448.00"),
        # Baidu's worked example.
        (("0.20", "10000", "0.17"), 10_300, "2051.00"),
        # On an edge the next tier is still empty.
        (("0.085", "100", "0.080"), 100, "8.50"),
        (("0.085", "100", "0.080"), 0, "0.00"),
    ],
)
def test_published_examples_come_out_to_the_cent(
    prices: tuple[str, ...], gigabytes: int, total: str
) -> None:
    assert bill_of(tariff(*prices), gigabytes * GB).total == Decimal(total)


def test_half_a_cent_rounds_up_on_each_line() -> None:
    bill = bill_of(tariff("0.005", "1", "0.005"), 2 * GB)
    assert [line.amount for line in bill.lines] == [Decimal("0.01"), Decimal("0.01")]
    assert bill.total == Decimal("0.02")


def test_quantities_add_up_to_the_last_byte() -> None:
    bill = bill_of(tariff("0.085", "1", "0.080"), 1_234_567_891)
    assert [line.quantity for line in bill.lines] == [1, Fraction(234567891, 10**9)]


def test_the_433rd_of_8640_samples_is_billed() -> None:
    # Alibaba CDN: 30 days, 8640 points in descending order, 432 dropped
    start = datetime(2026, 11, 1, tzinfo=UTC)
    usage = [
        Usage(start + timedelta(minutes=5 * i), "a", 37_500_000 * (i + 1)) for i in range(8640)
    ]
    price = Charge("p95", (Tier(Decimal(0), None, Decimal(1)),))
    bill = rate(Tariff("c", "v", "CNY", (price,)), MONTH, usage)
    assert bill.lines[0].quantity == 8640 - 432


DOCUMENT = """\
contract_id: cloudfront-2026
vendor: cloudfront
currency: USD
valid_from: 2026-01-01
unit: GB
components:
  - kind: per_gb_graduated
    tiers:
      - {from_gb: 0, to_gb: 100, price_per_gb: "0.085"}
      - {from_gb: 100, to_gb: 300, price_per_gb: "0.080"}
      - {from_gb: 300, price_per_gb: "0.060"}
"""


def test_a_tariff_file_is_read_with_its_written_digits(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(DOCUMENT, encoding="utf-8")
    (loaded,) = load_tariffs(tmp_path)
    assert loaded.valid_from == date(2026, 1, 1)
    assert loaded.charges[0].tiers[1] == Tier(Decimal(100), Decimal(300), Decimal("0.080"))
    assert bill_of(loaded, 400 * GB).total == Decimal("30.50")
