"""Jobs: ingest, the refresh of each family, the freshness checks, and maintenance."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from lake.publish import marts_of
from lake.records import BRONZE
from lake.versions import Family
from orchestration.assets.ingest import asset_key
from orchestration.assets.maintenance import BACKUP, SWEEP, UPKEEP
from orchestration.partitions import PARTITIONS

FAMILIES: tuple[Family, ...] = ("delivery", "rollup", "engagement", "billing")

#: without it a killed run stays "started" on a plain launcher for ever
_LIMITS = {"dagster/max_runtime": "3600"}

INGEST = dg.define_asset_job(
    "ingest",
    # by group: tables of counters are assets only where a source feeds them
    selection=dg.AssetSelection.groups("bronze")
    - dg.AssetSelection.checks(*(dg.AssetCheckKey(asset_key(r), "events_fresh") for r in BRONZE)),
    description="Bring every new delivery into bronze.",
    tags=_LIMITS,
)

FRESHNESS = dg.define_asset_job(
    "freshness",
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(asset_key(r), "events_fresh") for r in BRONZE),
        dg.AssetCheckKey(dg.AssetKey(["gold", "traffic_5m"]), "hours_fresh"),
    ),
    description="Judge the freshness objectives of feeds and marts.",
    tags=_LIMITS,
)

MAINTAIN = dg.define_asset_job(
    "maintain",
    selection=dg.AssetSelection.assets(UPKEEP),
    description="Compact, merge, expire: what the maintenance policy says of every table.",
    tags=_LIMITS,
)

SWEEP_ORPHANS = dg.define_asset_job(
    "sweep_orphans",
    selection=dg.AssetSelection.assets(SWEEP),
    description="Delete files of the warehouse that nothing refers to any more.",
    tags=_LIMITS,
)

BACK_UP = dg.define_asset_job(
    "back_up_catalog",
    selection=dg.AssetSelection.assets(BACKUP),
    description="Write which metadata each table has into the warehouse.",
    tags=_LIMITS,
)


def refresh_job_name(family: Family) -> str:
    """Return the name of a family's refresh job."""
    return f"refresh_{family}"


def refresh_job(family: Family) -> UnresolvedAssetJobDefinition:
    """Return the job that builds, audits, publishes and releases a family's marts."""
    gold = [dg.AssetKey(["gold", m.name]) for m in marts_of(family)]
    marts = [dg.AssetKey(["marts", m.name]) for m in marts_of(family)]
    models: dg.AssetSelection = dg.AssetSelection.assets(*marts)
    if family == "billing":  # whose upstream reaches back through gold into the hourly marts
        models |= dg.AssetSelection.key_substring("intermediate/int_billing__")
    elif family != "rollup":  # the same
        models = models.upstream() - dg.AssetSelection.key_prefixes(
            ["bronze"], ["landing"], ["contracts"], ["gold"]
        )
    selection = models | dg.AssetSelection.assets(*gold)
    return dg.define_asset_job(
        refresh_job_name(family),
        selection=selection
        - dg.AssetSelection.checks(
            dg.AssetCheckKey(dg.AssetKey(["gold", "traffic_5m"]), "hours_fresh")
        ),
        partitions_def=PARTITIONS[family],
        description=f"Build, audit and publish the {family} marts for the given partitions.",
        tags=_LIMITS,
    )
