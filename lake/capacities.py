"""Which capacities are in force when, as a version: a corrected one makes its hours stale.

Belongs here: reading bronze.capacities for versions, by the rule of the mart that uses them
(pop_headroom_hourly). Does not: hours and their deliveries (lake.versions).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog

from lake.catalog import table_of
from lake.counters import CAPACITIES
from lake.reads import connect, relation_sql

#: the capacities in force from each instant at which one begins or ends, as a hash; null: none
_IN_FORCE = """
with spans as (
    select cdn, name, event_time as valid_from, valid_to, capacity_bps
    from (
        select *, row_number() over (
            partition by row_key
            order by published_at desc nulls last, valid_to desc nulls first, capacity_bps desc
        ) as place
        from ({capacities}) where kind = 'pop'
    ) where place = 1
), changes as (
    select valid_from as starts_at from spans
    union
    select valid_to from spans where valid_to is not null
), in_force as (
    select
        starts_at,
        to_json([cdn, name, arg_max(capacity_bps, valid_from)::varchar])::varchar as facts
    from changes
    join spans on starts_at >= valid_from and (starts_at < valid_to or valid_to is null)
    group by starts_at, cdn, name
)
select
    starts_at,
    sha256(string_agg(facts, '' order by facts))[:12]
from changes left join in_force using (starts_at)
group by starts_at order by starts_at
"""


@dataclass(frozen=True)
class CapacityVersions:
    """The version of the capacities in force, from each instant at which it changes."""

    starts: tuple[datetime, ...] = ()
    versions: tuple[str | None, ...] = ()

    def at(self, instant: datetime) -> str | None:
        """Return the version in force; None where no capacity is known."""
        place = bisect_right(self.starts, instant)
        return self.versions[place - 1] if place else None


def capacity_versions(catalog: Catalog) -> CapacityVersions:
    """Read bronze.capacities as it is now."""
    table = table_of(catalog, CAPACITIES)
    if table.current_snapshot() is None:
        return CapacityVersions()
    with connect(catalog) as connection:
        found = connection.execute(_IN_FORCE.format(capacities=relation_sql(table))).fetchall()
    return CapacityVersions(
        tuple(at.astimezone(UTC) for at, _ in found), tuple(version for _, version in found)
    )
