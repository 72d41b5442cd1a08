"""Named points at which a test can end the process, to prove that a restart mends everything."""

from __future__ import annotations

import os
import signal

from lake.settings import crash_at

#: every step of the way at which a kill is tested, in order
POINTS = (
    "listed",
    "staged",
    "audited",
    "manifest_written",
    "deliveries_committed",
    "bronze_committed",
    "rejects_committed",
    "check_results_committed",
    "gold_first_committed",
    "gold_committed",
    "refreshes_committed",
    "released",
)
#: the steps of maintenance
MAINTENANCE_POINTS = (
    "compaction_written",
    "compaction_committed",
    "manifests_merged",
    "snapshots_expired",
    "orphan_deleted",
    "backup_written",
    "table_registered",
)


def crashpoint(name: str) -> None:
    """End here where WEIR_CRASH_AT names this point.

    At once, as by a power cut; `point:SIGTERM` asks the process to stop instead.
    """
    if name not in POINTS and name not in MAINTENANCE_POINTS:
        raise ValueError(f"crash point {name!r} is not declared; add it to lake.crash.POINTS")
    wanted, _, how = (crash_at() or "").partition(":")
    if wanted == name:
        os.kill(os.getpid(), signal.Signals[how or "SIGKILL"])
