"""What a day and a TB come to, by hand."""

import pytest

from benchmarks.capacity import capacity, sentence


def test_a_day_is_all_cores_for_86400_seconds() -> None:
    found = capacity(lines=1_000, raw_mb=2.0, cpu_s=4.0, cores=2, cpu_hour_price=1.0)
    assert found.lines_per_day == 1_000 / 4 * 2 * 86_400
    assert found.tb_per_day == pytest.approx(0.0864)  # half a MB a CPU second, twice, all day


def test_a_tb_costs_its_cpu_hours_at_the_price_given() -> None:
    # 100 MB in 36 CPU seconds is 0.01 hours for 0.0001 TB
    free, dear = (capacity(1, 100.0, 36.0, 1, price) for price in (1.0, 0.05))
    assert free.cpu_hours_per_tb == pytest.approx(100)
    assert free.cost_per_tb == pytest.approx(100)
    assert dear.cost_per_tb == pytest.approx(5)


def test_the_cost_does_not_depend_on_the_cores() -> None:
    one, many = (capacity(10, 10.0, 1.0, cores, 1.0) for cores in (1, 64))
    assert one.cost_per_tb == many.cost_per_tb
    assert many.lines_per_day == 64 * one.lines_per_day


def test_no_time_is_no_capacity() -> None:
    with pytest.raises(ValueError, match="above 0"):
        capacity(1, 1.0, 0.0, 2, 1.0)


def test_a_capacity_is_told_with_its_units() -> None:
    found = capacity(lines=1_000_000, raw_mb=1_000.0, cpu_s=10.0, cores=2, cpu_hour_price=2.0)
    assert sentence(found, "weir") == (
        "weir: 17.3 billion lines or 17.3 TB raw a day on 2 cores; 2.78 CPU hours or 5.56 "
        "(of the price's currency) a TB raw."
    )
