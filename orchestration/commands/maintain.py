"""weir maintain: upkeep of tables, the sweep, backup and rebuild of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake.catalog import open_catalog
from lake.maintenance.backup import BackupError, back_up, io_of, read_backup
from lake.maintenance.policy import PolicyError, load_policy
from lake.maintenance.recovery import RecoveryError, rebuild
from lake.maintenance.run import UnknownTableError, Upkeep, all_tables
from lake.maintenance.sweep import SweepRefusedError, SweepReport
from lake.settings import load_settings
from orchestration.commands.output import console, grouped, lines_safe, print_json, table
from orchestration.operations import open_lake, run_sweep, run_upkeep

_REFUSALS = (PolicyError, RecoveryError, SweepRefusedError, UnknownTableError, BackupError)


def _told(command: str, do: Callable[[], int]) -> int:
    """Run a command; what it refuses is said without a trace of calls."""
    try:
        return do()
    except _REFUSALS as err:
        console(stderr=True).print(f"weir maintain {command}: {lines_safe(str(err))}")
        return 2


def tables(home: Path | None, only: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Bring tables to what the policy says."""

    def do() -> int:
        settings = load_settings(home=home)
        reports = run_upkeep(settings, datetime.now(UTC), only, dry_run=dry_run)
        if as_json:
            print_json({"dry_run": dry_run, "tables": [asdict(r) for r in reports]})
        else:
            _show_upkeep(reports, dry_run=dry_run)
        return 0

    return _told("tables", do)


def _show_upkeep(reports: Sequence[Upkeep], *, dry_run: bool) -> None:
    out = console()
    rows = [
        (
            r.identifier,
            f"{r.before.snapshots} -> {r.before.snapshots - r.snapshots_expired}"
            if dry_run
            else f"{r.before.snapshots} -> {r.after.snapshots}",
            f"{r.before.manifests} -> {r.after.manifests}",
            f"{r.compaction.files_before} -> {r.compaction.files_after or '?'}"
            if r.compaction.files_before
            else "-",
            f"{r.before.data_files} -> {r.after.data_files}",
            grouped(r.before.data_bytes - r.after.data_bytes),
        )
        for r in reports
    ]
    title = "What upkeep would do" if dry_run else "What upkeep did"
    out.print(
        table(
            title,
            ("table", "snapshots", "manifests", "compacted", "data files", "bytes fewer"),
            rows,
            range(1, 6),
        )
    )
    given_up = sum(r.compaction.given_up for r in reports)
    if given_up:
        out.print(f"{given_up} partitions kept changing; the next upkeep tries them again")


def sweep_orphans(
    home: Path | None, grace_hours: float | None, *, dry_run: bool, as_json: bool
) -> int:
    """Delete orphans."""

    def do() -> int:
        settings = load_settings(home=home)
        grace = None if grace_hours is None else timedelta(hours=grace_hours)
        report = run_sweep(settings, datetime.now(UTC), grace, dry_run=dry_run)
        if as_json:
            print_json({"dry_run": dry_run, **asdict(report)})
        else:
            _show_sweep(report, dry_run=dry_run)
        return 0

    return _told("sweep", do)


def _show_sweep(report: SweepReport, *, dry_run: bool) -> None:
    out = console()
    word = "to delete" if dry_run else "deleted"
    rows = [
        (t.identifier, grouped(t.files), grouped(t.young), grouped(t.waiting),
         grouped(t.orphans), grouped(t.orphan_bytes))
        for t in report.tables
    ]  # fmt: skip
    columns = ("table", "files", "too young", "waiting", word, "bytes")
    out.print(table("Files that nothing refers to", columns, rows, range(1, 6)))
    for t in report.tables if dry_run else ():
        for uri in t.examples:
            out.print(lines_safe(uri), soft_wrap=True)
    if report.waiting:
        out.print(
            f"{report.waiting} orphans wait until nobody can be reading them; a later sweep "
            "deletes them"
        )
    for folder in report.unknown:
        out.print(f"belongs to no table, left alone: {lines_safe(folder)}", soft_wrap=True)


def backup_catalog(home: Path | None, *, as_json: bool) -> int:
    """Write a backup of the catalog."""

    def do() -> int:
        settings = load_settings(home=home)
        uri = back_up(open_lake(settings), load_policy(settings.policy).backups, datetime.now(UTC))
        if as_json:
            print_json({"backup": uri})
        else:
            console().print(lines_safe(uri), soft_wrap=True)
        return 0

    return _told("backup-catalog", do)


def rebuild_catalog(
    home: Path | None,
    backup: str | None,
    take: Sequence[str],
    *,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Register what the warehouse holds; opens the catalog without making tables in it."""

    def do() -> int:
        catalog = open_catalog(load_settings(home=home))
        found = rebuild(
            catalog,
            backup=read_backup(io_of(catalog), _uri(backup)) if backup else None,
            take=_taken(take),
            replace=replace,
            dry_run=dry_run,
        )
        if as_json:
            print_json({"dry_run": dry_run, "tables": [asdict(r) for r in found]})
            return 0
        title = "Would be registered" if dry_run else "Registered"
        rows = [
            (r.identifier, grouped(r.rows), r.versions, len(r.passed_over),
             r.metadata_location.rsplit("/", 1)[-1])
            for r in found
        ]  # fmt: skip
        columns = ("table", "rows", "versions", "passed over", "metadata")
        console().print(table(title, columns, rows, (1, 2, 3)))
        return 0

    return _told("rebuild-catalog", do)


def _uri(place: str) -> str:
    return place if "://" in place else Path(place).absolute().as_uri()


def _taken(take: Sequence[str]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in take)
    if wrong := [name for name, file in found.items() if not file]:
        raise RecoveryError(f"--take {wrong[0]}: expected TABLE=FILE, as bronze.rec_events=00007-")
    return found


def policy(home: Path | None, *, as_json: bool) -> int:
    """Print the policy in force."""

    def do() -> int:
        settings = load_settings(home=home)
        found = load_policy(settings.policy)
        known = {t: found.of(t).model_dump() for t in all_tables(open_lake(settings))}
        if as_json:
            top = found.model_dump(exclude={"tables", "defaults"})
            print_json({"file": settings.policy, **top, "tables": known})
            return 0
        out = console()
        out.print(f"policy of {lines_safe(str(settings.policy))}", soft_wrap=True)
        out.print(
            f"orphans go after {found.orphan_grace_hours:g} h, and {found.reader_grace_minutes} "
            f"min after the last reader may have begun; runs end within "
            f"{found.longest_run_minutes} min; {found.backups} backups",
            soft_wrap=True,
        )
        rows = [
            (t, p["keep_snapshots"], p["snapshot_minutes"], p["metadata_versions"],
             p["max_manifests"], p["min_files"], p["target_rows"],
             "any age" if p["closed_after_minutes"] is None else p["closed_after_minutes"],
             ", ".join(p["sort_by"]) or "-")
            for t, p in known.items()
        ]  # fmt: skip
        columns = ("table", "snapshots", "minutes", "versions", "manifests", "files from",
                   "rows a file", "closed min", "sorted by")  # fmt: skip
        out.print(table("What is kept and rewritten", columns, rows, range(1, 8)))
        return 0

    return _told("policy", do)
