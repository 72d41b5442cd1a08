"""Settings of the orchestration: the other module that reads and sets the environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lake.locations import LocationError, catalog_uri_of
from lake.settings import LakeSettings, storage_environment

PROJECT = Path(__file__).resolve().parent.parent
DBT_PROJECT = PROJECT / "dbt_project"
PRICE_CONTRACTS = DBT_PROJECT / "price_contracts"
_DAGSTER_URL = "WEIR_DAGSTER_POSTGRES_URL"
_EVENTS_A_BATCH = "5000"
_SQLITE_STORAGE = """
storage:
  custom: # Dagster's own SQLite storage, with the events of a batch in one transaction
    module: orchestration.dagster_storage
    class: BatchingSqliteStorage
    config: {{base_dir: {folder}}}
"""


@dataclass(frozen=True)
class Ports:
    """Where `weir up` listens, on loopback."""

    ui: int
    docs: int


def ports() -> Ports:
    """Return the ports: WEIR_UI_PORT (3000) and WEIR_DOCS_PORT (3001)."""
    return Ports(
        int(os.environ.get("WEIR_UI_PORT", "3000")), int(os.environ.get("WEIR_DOCS_PORT", "3001"))
    )


def partitions_start() -> str:
    """Return the first hour that has a partition: WEIR_PARTITIONS_START, else 2019."""
    return os.environ.get("WEIR_PARTITIONS_START", "2019-01-01")


def price_contracts() -> Path:
    """Return the folder of price contracts."""
    return Path(os.environ.get("WEIR_PRICE_CONTRACTS") or PRICE_CONTRACTS)


def tool(name: str) -> str:
    """Return a program of this Python's environment."""
    return str(Path(sys.executable).parent / name)


def dagster_home(home: Path) -> Path:
    """Return Dagster's own folder under home."""
    return home / "dagster"


def dagster_storage_url() -> str | None:
    """Return the database of Dagster's storage: WEIR_DAGSTER_POSTGRES_URL; None is SQLite."""
    given = os.environ.get(_DAGSTER_URL)
    if not given:
        return None
    if given.split(":", 1)[0].split("+")[0] not in ("postgres", "postgresql"):
        raise LocationError(
            f"{_DAGSTER_URL} is no address of a PostgreSQL; expected "
            "postgresql://user:password@host/database. Unset it for SQLite under WEIR_HOME."
        )
    return catalog_uri_of(given)


def write_dagster_home(home: Path) -> Path:
    """Write Dagster's configuration of a home and return its folder.

    The file names the variable of the database, not the database: no password stands in it.
    """
    folder = dagster_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    text = (PROJECT / "dagster.yaml").read_text()
    url = dagster_storage_url()
    if url is not None:
        os.environ[_DAGSTER_URL] = url  # the driver's name in it, for this process and children
        text += f"\nstorage:\n  postgres:\n    postgres_url: {{env: {_DAGSTER_URL}}}\n"
    else:
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", _EVENTS_A_BATCH)
        text += _SQLITE_STORAGE.format(folder=json.dumps(str(folder)))
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        beside = target.with_name(f".dagster.yaml.{os.getpid()}")
        beside.write_text(text)
        beside.replace(target)
    return folder


def process_environment(settings: LakeSettings, **more: str) -> dict[str, str]:
    """Return the environment of a child process that is to use these settings."""
    return {
        **os.environ,
        "WEIR_HOME": str(settings.home),
        **storage_environment(settings),
        "WEIR_SOURCES": str(settings.sources),
        "WEIR_BUILD_FILE": str(settings.build_file),
        "DAGSTER_HOME": str(dagster_home(settings.home)),
        "DAGSTER_DISABLE_TELEMETRY": "true",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        **more,
    }


@contextmanager
def exported(settings: LakeSettings, **more: str) -> Iterator[None]:
    """Set this process's environment for children started meanwhile, and put it back."""
    before = dict(os.environ)
    os.environ.update(process_environment(settings, **more))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
