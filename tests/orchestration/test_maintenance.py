"""Maintenance as assets and on the command line: what it did is told, what it refuses too."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lake.catalog import open_catalog
from lake.deliveries import read_ledger
from lake.maintenance.backup import backups_of
from lake.records import BRONZE
from lake.settings import PACKAGED_POLICY
from orchestration.assets.maintenance import MAINTENANCE_ASSETS
from orchestration.cli import app
from orchestration.resources import Clock, Lake


@pytest.fixture(scope="module")
def loaded(filled: Any) -> Any:
    """The filled home; the tests here run in order and go on from each other's state."""
    return filled


@pytest.fixture
def weir(loaded: Any) -> Callable[..., Result]:
    def invoke(*arguments: str) -> Result:
        given = ["maintain", *arguments, "--dir", str(loaded.path)]
        result = CliRunner().invoke(app, given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return invoke


def rows(home: Any) -> dict[str, int]:
    return {
        r.identifier: sum(
            t.file.record_count for t in home.catalog.load_table(r.identifier).scan().plan_files()
        )
        for r in BRONZE
    }


def metadata(home: Any, asset: dg.AssetsDefinition, at: datetime) -> dict[str, Any]:
    result = dg.materialize(
        [asset],
        resources={"lake": Lake(home=str(home.path)), "clock": Clock(fixed=at.isoformat())},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return {k: v.value for k, v in event.materialization.metadata.items()}


def test_upkeep_by_an_asset_says_what_it_did_and_twice_is_once(loaded: Any) -> None:
    upkeep, sweep, _ = MAINTENANCE_ASSETS
    before, later = rows(loaded), datetime.now(UTC) + timedelta(days=1)
    first = metadata(loaded, upkeep, later)
    assert first["partitions_compacted"] > 0
    assert first["data_files_after"] < first["data_files_before"]
    second = metadata(loaded, upkeep, later)
    assert second["partitions_compacted"] == 0
    assert second["data_files_after"] == second["data_files_before"] == first["data_files_after"]
    assert rows(loaded) == before
    left_over = loaded.settings.warehouse / "bronze/rec_events/data/of-a-killed-ingest.parquet"
    left_over.write_bytes(b"half")
    waiting = metadata(loaded, sweep, later + timedelta(days=30))
    assert waiting["files_deleted"] == 0
    assert waiting["files_waiting"] >= 1
    swept = metadata(loaded, sweep, later + timedelta(days=31))
    assert swept["files_deleted"] == waiting["files_waiting"]
    assert swept["bytes_freed"] >= 4
    assert not left_over.exists()
    assert rows(loaded) == before
    assert [r.changes for r in loaded.ingest()] == [(), ()]


def test_the_catalog_is_backed_up_and_no_more_are_kept_than_the_policy_says(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, backup = MAINTENANCE_ASSETS
    at, keep = datetime(2026, 11, 16, tzinfo=UTC), 1
    policy = tmp_path / "policy.yaml"
    policy.write_text(PACKAGED_POLICY.read_text().replace("backups: 14", "backups: 1"))
    monkeypatch.setenv("WEIR_MAINTENANCE", str(policy))
    for day in range(2):
        made = metadata(loaded, backup, at + timedelta(days=day))["backup"]
    assert len(backups_of(loaded.catalog)) == keep
    assert backups_of(loaded.catalog)[-1] == made


def test_the_commands_tell_the_same_as_json(weir: Callable[..., Result]) -> None:
    tables = json.loads(weir("tables", "--dry-run", "--json").output)
    assert tables["dry_run"] is True
    assert {t["identifier"] for t in tables["tables"]} >= {r.identifier for r in BRONZE}
    one = json.loads(weir("tables", "--table", "ops.releases", "--json").output)
    assert [t["identifier"] for t in one["tables"]] == ["ops.releases"]
    sweep = json.loads(weir("sweep", "--dry-run", "--json").output)
    assert {t["identifier"] for t in sweep["tables"]} >= {"ops.deliveries"}
    policy = json.loads(weir("policy", "--json").output)
    assert policy["tables"]["ops.releases"]["keep_snapshots"] > 0
    assert "_catalog_backups" in json.loads(weir("backup-catalog", "--json").output)["backup"]


def test_people_get_tables(weir: Callable[..., Result]) -> None:
    assert "What upkeep would do" in weir("tables", "--dry-run").output
    assert "Files that nothing refers to" in weir("sweep", "--dry-run").output
    assert "What is kept and rewritten" in weir("policy").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sweep", "--grace-hours", "0"), "expected at least the longest run"),
        (("tables", "--table", "bronze.none"), "no table bronze.none"),
        (("rebuild-catalog",), "--replace"),
        (("rebuild-catalog", "--take", "bronze.x"), "expected TABLE=FILE"),
        (("rebuild-catalog", "--backup", __file__), "is no backup of a catalog"),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else "",
)
def test_what_is_refused_is_said_in_a_sentence(
    weir: Callable[..., Result], arguments: tuple[str, ...], says: str
) -> None:
    result = weir(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_a_broken_policy_stops_maintenance_with_its_name(
    weir: Callable[..., Result], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        PACKAGED_POLICY.read_text().replace("orphan_grace_hours: 72", "orphan_grace_hours: 1")
    )
    monkeypatch.setenv("WEIR_MAINTENANCE", str(path))
    result = weir("tables")
    assert result.exit_code == 2
    assert "orphan_grace_hours is 1" in " ".join(result.stderr.split())


def test_a_lost_catalog_is_built_again_by_the_command(
    loaded: Any, weir: Callable[..., Result]
) -> None:
    before, ledger = rows(loaded), read_ledger(loaded.catalog)
    (loaded.path / "catalog.db").unlink()
    shown = weir("rebuild-catalog", "--dry-run")
    assert "Would be registered" in shown.output
    assert open_catalog(loaded.settings).list_namespaces() == []
    found = json.loads(weir("rebuild-catalog", "--json").output)
    assert {t["identifier"]: t["rows"] for t in found["tables"]}.items() >= before.items()
    assert rows(loaded) == before
    assert read_ledger(loaded.catalog) == ledger
    assert [r.changes for r in loaded.ingest()] == [(), ()]
