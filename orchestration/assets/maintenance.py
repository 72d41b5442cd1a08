"""Maintenance by schedule: upkeep of every table, the sweep of orphans, the catalog's backup."""

import dagster as dg

from lake.maintenance.backup import back_up
from lake.maintenance.policy import load_policy
from lake.records import RECORDS
from orchestration.operations import run_sweep, run_upkeep
from orchestration.resources import Clock, Lake

UPKEEP = dg.AssetKey(["maintenance", "tables"])
SWEEP = dg.AssetKey(["maintenance", "orphans"])
BACKUP = dg.AssetKey(["maintenance", "catalog_backup"])
#: one after the other, beside ingests and builds, which never wait for it
_POOL = "maintenance"
_TABLES = [dg.AssetKey([r.namespace, r.name]) for r in RECORDS.values()]


@dg.asset(
    key=UPKEEP,
    deps=_TABLES,
    description="Closed hours compacted and sorted, manifests merged, old snapshots expired, as "
    "the maintenance policy says. Rows, hour versions and releases stay as they are.",
    owners=["team:data"],
    group_name="maintenance",
    kinds={"iceberg"},
    pool=_POOL,
)
def maintained_tables(lake: Lake, clock: Clock) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Bring every table to what the policy says."""
    reports = run_upkeep(lake.settings(), clock.now())
    return dg.MaterializeResult(
        metadata={
            "data_files_before": sum(r.before.data_files for r in reports),
            "data_files_after": sum(r.after.data_files for r in reports),
            "bytes_before": sum(r.before.data_bytes for r in reports),
            "bytes_after": sum(r.after.data_bytes for r in reports),
            "partitions_compacted": sum(r.compaction.partitions for r in reports),
            "partitions_given_up": sum(r.compaction.given_up for r in reports),
            "manifests_merged": sum(r.manifests_merged for r in reports),
            "snapshots_expired": sum(r.snapshots_expired for r in reports),
            "tables": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "table": r.identifier,
                            "snapshots": f"{r.before.snapshots} -> {r.after.snapshots}",
                            "manifests": f"{r.before.manifests} -> {r.after.manifests}",
                            "data files": f"{r.before.data_files} -> {r.after.data_files}",
                            "metadata bytes": (
                                f"{r.before.metadata_bytes} -> {r.after.metadata_bytes}"
                            ),
                        }
                    )
                    for r in reports
                ]
            ),
        }
    )


@dg.asset(
    key=SWEEP,
    deps=[UPKEEP],
    description="Files of the warehouse that no kept snapshot, version or unfinished batch refers "
    "to, older than the graces of the policy, deleted. Landing is never touched.",
    owners=["team:data"],
    group_name="maintenance",
    kinds={"file"},
    pool=_POOL,
)
def swept_orphans(lake: Lake, clock: Clock) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Delete orphans."""
    report = run_sweep(lake.settings(), clock.now())
    return dg.MaterializeResult(
        metadata={
            "files_deleted": report.orphans,
            "bytes_freed": report.orphan_bytes,
            "files_waiting": report.waiting,
            "files_too_young": sum(t.young for t in report.tables),
            "files": sum(t.files for t in report.tables),
            "folders_of_no_table": list(report.unknown),
        }
    )


@dg.asset(
    key=BACKUP,
    deps=_TABLES,
    description="Which metadata each table has, as a JSON file in the warehouse: from it, or from "
    "the warehouse alone, `weir maintain rebuild-catalog` builds a lost catalog again.",
    owners=["team:data"],
    group_name="maintenance",
    kinds={"json"},
    pool=_POOL,
)
def catalog_backup(lake: Lake, clock: Clock) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Back the catalog up."""
    keep = load_policy(lake.settings().policy).backups
    return dg.MaterializeResult(metadata={"backup": back_up(lake.catalog(), keep, clock.now())})


MAINTENANCE_ASSETS = [maintained_tables, swept_orphans, catalog_backup]
