"""Dagster's SQLite storage, writing the events of a range of partitions in one transaction.

Dagster's own opens two databases and waits for the disk twice for every single event; a run over
48 hours of 22 assets has two thousand of them, which took longer than the run's dbt build. Dagster
hands events over in batches where DAGSTER_EVENT_BATCH_SIZE is set, and this takes them as such.
The files, their tables and all reading are Dagster's.

Databases are opened by one process at a time: the first to open them makes their tables and stamps
their version, and of two that do so at once (the UI and the daemon of `weir up` in a new home)
either may stamp it twice. Every process after them then fails to load the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from filelock import FileLock

_OPENING_SECONDS = 120


class BatchingEventLog(SqliteEventLogStorage):
    """Stores a batch of one run's asset events with two transactions in all."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events; first those that are not about an asset alone, one by one."""
        by_run: dict[str, list[EventLogEntry]] = {}
        for event in events:
            if event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS:
                by_run.setdefault(event.run_id, []).append(event)
            else:
                self.store_event(event)
        for of_run in by_run.values():
            self._store_asset_events(of_run)

    def _store_asset_events(self, events: list[EventLogEntry]) -> None:
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            for insert in inserts:
                connection.execute(insert)
        with self.index_transaction() as connection:
            for event, insert in zip(events, inserts, strict=True):
                key = connection.execute(insert).inserted_primary_key
                if key is None:
                    raise RuntimeError(f"event {event.dagster_event_type} was given no id")
                event_id = key[0]
                self._store_asset_event_tags(connection, [event], [event_id])
                self._store_asset_event(connection, event, event_id)


class BatchingSqliteStorage(DagsterSqliteStorage):
    """DagsterSqliteStorage with the event log above; named in dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        folder = Path(base_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".opening.lock", timeout=_OPENING_SECONDS):
            super().__init__(base_dir, inst_data)
            self._event_log_storage = BatchingEventLog(str(folder / "history" / "runs"))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> BatchingSqliteStorage:
        """Return the storage that a dagster.yaml asks for."""
        return cls.from_local(inst_data=inst_data, **config_value)
