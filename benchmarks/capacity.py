"""From CPU seconds to what one machine takes in a day and what a TB costs.

Belongs here: the arithmetic. Does not: measuring, or a price: the market's is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

_DAY_S = 86_400
_HOUR_S = 3_600
_MB_PER_TB = 1_000_000


@dataclass(frozen=True)
class Capacity:
    """What a machine can take of one family, were all its cores busy with it all day.

    lines_per_day, tb_per_day: of raw text, decimal TB. cpu_hours_per_tb and cost_per_tb: of raw
    text; cost is in the currency that the price of a CPU hour was given in.
    """

    cores: int
    lines_per_day: float
    tb_per_day: float
    cpu_hours_per_tb: float
    cost_per_tb: float


def capacity(
    lines: int, raw_mb: float, cpu_s: float, cores: int, cpu_hour_price: float
) -> Capacity:
    """Return the capacity that follows from one run: so many lines and MB in so many CPU seconds.

    cpu_hour_price: of one core for one hour, in any currency.
    """
    if cpu_s <= 0 or cores < 1:
        raise ValueError(f"expected CPU seconds and cores above 0, found {cpu_s} and {cores}")
    tb = raw_mb / _MB_PER_TB
    cpu_hours_per_tb = cpu_s / _HOUR_S / tb
    return Capacity(
        cores=cores,
        lines_per_day=lines / cpu_s * cores * _DAY_S,
        tb_per_day=tb / cpu_s * cores * _DAY_S,
        cpu_hours_per_tb=cpu_hours_per_tb,
        cost_per_tb=cpu_hours_per_tb * cpu_hour_price,
    )


def sentence(found: Capacity, what: str) -> str:
    """Return a capacity in words."""
    return (
        f"{what}: {found.lines_per_day / 1e9:.1f} billion lines or {found.tb_per_day:.1f} TB raw "
        f"a day on {found.cores} cores; {found.cpu_hours_per_tb:.2f} CPU hours or "
        f"{found.cost_per_tb:.2f} (of the price's currency) a TB raw."
    )
