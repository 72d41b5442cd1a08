"""Which hours, days and months are stale: the version of their inputs against the one published.

An hour's version is a hash over the loaded deliveries that touch it, and one over the capacities in
force in it where some are known. Compaction, expiry and re-runs do not change it; a late, replaced
or replayed delivery does, and a corrected capacity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pyiceberg.catalog import Catalog

from lake.capacities import CapacityVersions
from lake.catalog import table_of
from lake.ledger import Ledger
from lake.reads import connect, relation_sql
from lake.records import CDN_REQUESTS, REC_EVENTS, REFRESHES

Family = Literal["delivery", "rollup", "engagement", "billing"]
Partition = tuple[Family, datetime]

#: version of a partition that no loaded delivery touches
EMPTY = "empty"
FAMILY_OF: Mapping[str, Family] = {
    CDN_REQUESTS.identifier: "delivery",
    REC_EVENTS.identifier: "engagement",
}
#: a partition whose build failed this often for one version waits for another version
MAX_ATTEMPTS = 3
_LAST_SLOT = timedelta(minutes=55)
#: parts an hour's deliveries from its capacities, which no day or month is made of
_AND_CAPACITIES = "+"


@dataclass(frozen=True)
class Refreshes:
    """What ops.refreshes says: the version each partition was published from, and failures."""

    published: Mapping[Partition, str] = field(default_factory=dict)
    failed: Mapping[tuple[Partition, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stale:
    """A partition to build: the version to reach, and how often that failed before."""

    family: Family
    start: datetime
    version: str
    attempts: int

    @property
    def is_given_up(self) -> bool:
        """Tell whether it waits for other input or a person."""
        return self.attempts >= MAX_ATTEMPTS


_HOURS = """
select table_name, hour, sha256(string_agg(facts, chr(10) order by facts))[:24] as version
from (
    select table_name, h.hour as hour,
        concat_ws(' ', delivery_id, content_id, parser_version, h.rows, geo_version,
            rows_id) as facts
    from (select * exclude (hours), unnest(hours) as h from ({current}) where state = 'loaded')
)
group by all
"""


def hour_versions(
    ledger: Ledger, capacities: CapacityVersions | None = None
) -> dict[Partition, str]:
    """Return the version of every hour of a mart that a loaded delivery touches.

    capacities: of locations; None where nothing is asked of the delivery family.
    """
    found = {
        (FAMILY_OF[table], hour.astimezone(UTC)): version
        for table, hour, version in ledger.ask(_HOURS)
        if table in FAMILY_OF  # no mart is built from the vendors' own counters alone
    }
    for (family, hour), version in found.items():
        in_force = capacities.at(hour) if capacities and family == "delivery" else None
        if in_force is not None:
            found[family, hour] = f"{version}{_AND_CAPACITIES}{in_force}"
    return found


def month_versions(
    published: Mapping[Partition, str],
    contracts: str,
    zones: Iterable[str] = (),
    missing: Iterable[tuple[datetime, str]] = (),
) -> dict[Partition, str]:
    """Return the version of every month: its published hours, of both kinds, and the contracts.

    zones: time zones that contracts bill in; an hour belongs to its month in each of them.
    missing: hours that held and refused deliveries touch, with their facts (lake.completeness);
    a month without a published hour has no bill, so they make none stale.
    """
    clocks = [ZoneInfo(name) for name in zones]
    parts: dict[Partition, list[str]] = {}
    for (family, start), version in published.items():
        if family == "delivery":
            for month in _months_of(start, clocks):
                parts.setdefault(("billing", month), []).append(_of_rows(start, version))
    for (family, start), version in published.items():
        month = month_of(start)
        if family == "engagement" and ("billing", month) in parts:  # unit costs read it
            parts["billing", month].append(f"engagement {start} {version}")
    for hour, facts in set(missing):
        for month in _months_of(hour, clocks):
            if ("billing", month) in parts:
                parts["billing", month].append(f"missing {facts}")
    return {key: digest([*set(texts), contracts]) for key, texts in parts.items()}


def day_versions(published: Mapping[Partition, str]) -> dict[Partition, str]:
    """Return the version of every day: its published hours of delivery."""
    parts: dict[Partition, list[str]] = {}
    for (family, start), version in published.items():
        if family == "delivery":
            day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            parts.setdefault(("rollup", day), []).append(_of_rows(start, version))
    return {key: digest(texts) for key, texts in parts.items()}


def _of_rows(hour: datetime, version: str) -> str:
    return f"{hour} {version.partition(_AND_CAPACITIES)[0]}"


def _months_of(hour: datetime, clocks: Sequence[ZoneInfo]) -> set[datetime]:
    """Return the months that an hour lies in, by UTC and by other clocks, as UTC labels."""
    found = {month_of(hour)}
    for clock in clocks:
        for instant in (hour, hour + _LAST_SLOT):
            local = instant.astimezone(clock)
            found.add(datetime(local.year, local.month, 1, tzinfo=UTC))
    return found


def month_of(instant: datetime) -> datetime:
    """Return the first instant of the UTC month."""
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def digest(texts: Iterable[str]) -> str:
    """Return a hash that the order of the texts does not change."""
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:24]


def stale(current: Mapping[Partition, str], refreshes: Refreshes, family: Family) -> list[Stale]:
    """Return the partitions of a family whose published version is not the current one."""
    keys = {k for k in (*current, *refreshes.published) if k[0] == family}
    found = []
    for key in sorted(keys):
        version = current.get(key, EMPTY)
        if refreshes.published.get(key, EMPTY) != version:
            attempts = refreshes.failed.get((key, version), 0)
            found.append(Stale(family, key[1], version, attempts))
    return found


def read_refreshes(catalog: Catalog) -> Refreshes:
    """Read ops.refreshes."""
    history = relation_sql(table_of(catalog, REFRESHES))
    with connect(catalog) as connection:
        published = connection.execute(
            "select family, partition_start, max_by(input_version, refreshed_at) "
            f"from ({history}) where outcome = 'published' group by all"
        ).fetchall()
        failed = connection.execute(
            "select family, partition_start, input_version, count(*) "
            f"from ({history}) where outcome = 'failed' group by all"
        ).fetchall()
    return Refreshes(
        {(f, s.astimezone(UTC)): v for f, s, v in published},
        {((f, s.astimezone(UTC)), v): n for f, s, v, n in failed},
    )
