"""Partitions: hours of event time for marts, days for roll-ups, months for bills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from lake.publish import merged_ranges
from lake.versions import Family
from orchestration.settings import partitions_start

HOURS = dg.HourlyPartitionsDefinition(
    start_date=f"{partitions_start()}-00:00", timezone="UTC", end_offset=1
)
DAYS = dg.DailyPartitionsDefinition(
    start_date=f"{partitions_start()}", timezone="UTC", end_offset=1
)
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=f"{partitions_start()}", timezone="UTC", end_offset=1
)
PARTITIONS: dict[Family, dg.TimeWindowPartitionsDefinition] = {
    "delivery": HOURS,
    "rollup": DAYS,
    "engagement": HOURS,
    "billing": MONTHS,
}
_FORMAT: dict[Family, str] = {
    "delivery": "%Y-%m-%d-%H:%M",
    "rollup": "%Y-%m-%d",
    "engagement": "%Y-%m-%d-%H:%M",
    "billing": "%Y-%m-%d",
}


def key_of(family: Family, start: datetime) -> str:
    """Return Dagster's key of a partition."""
    return start.strftime(_FORMAT[family])


def has_partition(family: Family, start: datetime) -> bool:
    """Tell whether Dagster has a partition for it: not before the first, not in the future."""
    definition = PARTITIONS[family]
    last = definition.get_last_partition_window()
    return definition.start <= start and last is not None and start <= last.start


def start_of(family: Family, key: str) -> datetime:
    """Return the first instant of a partition."""
    return datetime.strptime(key, _FORMAT[family]).replace(tzinfo=UTC)


def starts_between(family: Family, first: str, last: str) -> list[datetime]:
    """Return the partitions from one key to another, both included."""
    keys = PARTITIONS[family].get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
    return [start_of(family, k) for k in keys]


def stretches(family: Family, starts: Sequence[datetime]) -> list[list[datetime]]:
    """Return runs of partitions that follow each other without a gap."""
    if family == "billing":
        return [[s] for s in sorted(starts)]
    from datetime import timedelta

    step = timedelta(days=1) if family == "rollup" else timedelta(hours=1)
    return [
        [low + i * step for i in range(int((high - low) / step))]
        for low, high in merged_ranges(starts, step)
    ]
