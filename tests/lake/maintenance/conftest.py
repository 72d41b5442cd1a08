"""A lake with deliveries of known hours, and the maintenance of it with a policy that bites."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.maintenance.policy import Policy, load_policy
from lake.records import REC_EVENTS

#: hours that are long closed by the clock of the tests
H = datetime(2026, 11, 16, 10, tzinfo=UTC)
BRONZE_TABLE = "bronze.rec_events"
LEDGER = ("ops.rejects", "ops.check_results", "ops.deliveries")


def changed_policy(**changes: Any) -> Policy:
    """The packaged policy with other defaults for every table; `top` changes the policy itself."""
    policy = load_policy()
    top = changes.pop("top", {})
    tables = {name: {**policy.tables[name], **changes} for name in policy.tables}
    defaults = policy.defaults.model_copy(update=changes)
    return Policy.model_validate(
        {**policy.model_dump(), "defaults": defaults.model_dump(), "tables": tables, **top}
    )


@dataclass
class Kept:
    """A lake box with deliveries, one batch each."""

    box: Any
    make: Any
    number: int = 0

    def land(self, hour: datetime = H, rows: int = 3, name: str | None = None, at=None) -> str:
        self.number += 1
        start = int(hour.timestamp() * 1000)
        lines = [
            self.make.line(
                "rec_events",
                {
                    "event_id": f"{self.number}-{i}",
                    "event_ts_ms": start + (rows - i) * 1000 + self.number,
                    "user_id": f"u-{i}",
                },
            )
            for i in range(rows)
        ]
        key = name or f"rec_events/{self.number}.gz"
        self.box.land(key, self.make.file("rec_events", [*lines, b"nonsense"]), at or self.box.now)
        return key

    def load(self, *hours: datetime, rows: int = 3, apart: bool = False) -> None:
        """Load one delivery per hour given: one batch, or apart: a batch each."""
        for hour in hours or (H,):
            self.land(hour, rows)
            if apart:
                self.run()
        self.run()

    def run(self):
        return self.box.run(REC_EVENTS)

    def rows(self) -> dict[str, Counter]:
        """Every row of bronze and ledger, however often."""
        return {t: Counter(map(repr, self.box.rows(t))) for t in (BRONZE_TABLE, *LEDGER)}

    def table(self, identifier: str = BRONZE_TABLE):
        return self.box.catalog.load_table(identifier)

    def age_files(self, by: timedelta) -> None:
        """Let every file of the warehouse look older, as the store's clock has it."""
        for path in Path(self.box.settings.warehouse).rglob("*"):
            if path.is_file():
                seconds = path.stat().st_mtime - by.total_seconds()
                os.utime(path, (seconds, seconds))

    def all_files(self) -> set[str]:
        root = Path(self.box.settings.warehouse)
        return {str(p) for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def kept(box, make) -> Kept:
    return Kept(box, make)


@pytest.fixture(scope="session")
def policy_with() -> Callable[..., Policy]:
    return changed_policy
