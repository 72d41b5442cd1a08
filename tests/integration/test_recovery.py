"""Kills through Dagster, and a build file that is gone: gold ends as in an undisturbed lake."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lake.versions import Stale
from orchestration.local import run
from orchestration.sensors import SENSORS, Request

pytestmark = pytest.mark.slow


def land_first_wave(weir: Any, plan: Any) -> None:
    plan.write_geo(weir.settings.home / "geo")
    plan.deliver(weir.settings.landing, None, plan.on_time_until)


def land_second_wave(weir: Any, plan: Any) -> None:
    plan.deliver(weir.settings.landing, plan.on_time_until, plan.last_arrival_at)


def same(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> list[str]:
    """Return the tables that differ: money and counts exactly, floats to 1e-9."""
    wrong = []
    for table, rows in expected.items():
        if len(found[table]) != len(rows) or not all(
            _alike(a, b) for x, y in zip(found[table], rows, strict=True)
            for a, b in zip(x, y, strict=True)
        ):  # fmt: skip
            wrong.append(table)
    return wrong


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, rel=1e-9, abs=1e-9)
    return bool(a == b)


def test_kills_in_a_refresh_are_mended_by_the_next_one(
    make: Callable[[Path], Any], plan: Any, undisturbed: Any, tmp_path: Path
) -> None:
    weir = make(tmp_path / "home")
    land_first_wave(weir, plan)
    assert weir.command("refresh").returncode == 0
    land_second_wave(weir, plan)

    for point in ("bronze_committed", "gold_first_committed"):
        killed = weir.command("refresh", WEIR_CRASH_AT=point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    with weir.instance() as instance:
        cut = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert [r.job_name for r in cut] == ["refresh_delivery"]  # the cut ingest was ended since

    mended = weir.command("refresh")

    assert mended.returncode == 0, mended.stderr
    assert "refresh_delivery" in mended.stderr
    assert same(weir.gold(), undisturbed.weir.gold()) == []
    assert weir.versions() == undisturbed.weir.versions()
    with weir.instance() as instance:
        assert {r.status for r in instance.get_runs()} == {
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
        }
    assert weir.drain() == []


def test_a_deleted_build_file_changes_nothing_then_or_later(
    make: Callable[[Path], Any], plan: Any, undisturbed: Any, tmp_path: Path
) -> None:
    weir = make(tmp_path / "home")
    land_first_wave(weir, plan)
    outcomes = weir.drain()
    gold, snapshots = weir.gold(), weir.snapshots()
    weir.settings.build_file.unlink()

    again = [rerun(weir, o) for o in outcomes if o.job_name in ("refresh_delivery",
                                                                "refresh_billing")]  # fmt: skip

    assert all(o.is_success for o in again)
    assert weir.gold() == gold
    now = weir.snapshots()
    assert {n for n in now if now[n] != snapshots[n]} == {"ops.refreshes"}

    weir.settings.build_file.unlink()
    land_second_wave(weir, plan)
    assert all(o.is_success for o in weir.drain())
    assert same(weir.gold(), undisturbed.weir.gold()) == []


def rerun(weir: Any, outcome: Any) -> Any:
    """Build the partitions of a run once more, as a person would from the UI."""
    from orchestration.partitions import starts_between

    family = outcome.job_name.removeprefix("refresh_")
    first, _, last = outcome.partitions.partition(" .. ")
    partitions = tuple(
        Stale(family, s, "again", 0) for s in starts_between(family, first, last or first)
    )
    sensor = next(s for s in SENSORS if s.name == f"stale_{family}")
    with weir.running() as instance:
        request = Request(family, partitions, "by-hand", 0).run_request()
        return run(weir.defs, instance, sensor, request)
