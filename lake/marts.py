"""The marts that are published: their tables in the build file and in gold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lake.versions import Family

Unit = Literal["hour", "day", "month"]


@dataclass(frozen=True)
class Mart:
    """A published mart: its table in the build file, its gold table, and its partition column."""

    name: str
    family: Family
    partition_by: str
    unit: Unit

    @property
    def gold(self) -> str:
        """Return the gold table's identifier."""
        return f"gold.{self.name}"

    @property
    def build(self) -> str:
        """Return the table in dbt's build file."""
        return f"marts.{self.name}"


MARTS = (
    Mart("traffic_5m", "delivery", "slot_start", "hour"),
    Mart("qos_hourly", "delivery", "hour", "hour"),
    Mart("ttfb_buckets_hourly", "delivery", "hour", "hour"),
    Mart("qos_5m", "delivery", "slot_start", "hour"),
    Mart("qos_places_hourly", "delivery", "hour", "hour"),
    Mart("qos_buckets_5m", "delivery", "slot_start", "hour"),
    Mart("qos_buckets_hourly", "delivery", "hour", "hour"),
    Mart("qos_hops_hourly", "delivery", "hour", "hour"),
    Mart("pop_headroom_hourly", "delivery", "hour", "hour"),
    Mart("rosetta_hourly", "delivery", "hour", "hour"),
    Mart("streams_hourly", "delivery", "hour", "hour"),
    Mart("qos_daily", "rollup", "day", "day"),
    Mart("qos_pops_daily", "rollup", "day", "day"),
    Mart("qos_buckets_daily", "rollup", "day", "day"),
    Mart("engagement_hourly", "engagement", "hour", "hour"),
    Mart("usage_monthly", "billing", "month", "month"),
    Mart("bill_lines", "billing", "month", "month"),
    Mart("bills", "billing", "month", "month"),
    Mart("bill_allocations", "billing", "month", "month"),
    Mart("what_ifs", "billing", "month", "month"),
    Mart("unit_costs", "billing", "month", "month"),
)


def marts_of(family: Family) -> list[Mart]:
    """Return the marts of a family."""
    return [m for m in MARTS if m.family == family]
