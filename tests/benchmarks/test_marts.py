"""The benchmark of marts runs and counts right; how fast is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.density import Density, growth, text

PROJECT = Path(__file__).resolve().parents[2]
HOURS = [
    Density(100, {"flat_hourly": 40, "buckets_5m": 100}),
    Density(200, {"flat_hourly": 40, "buckets_5m": 190}),
    Density(600, {"flat_hourly": 44, "buckets_5m": 380}),
]


def test_growth_is_of_a_density_against_the_one_before() -> None:
    assert growth(HOURS, "flat_hourly") == [1, 1.1]
    assert growth(HOURS, "buckets_5m") == [1.9, 2]


def test_marts_that_level_off_are_told_from_one_that_grows_like_bronze() -> None:
    said = text(HOURS)
    assert "| flat_hourly | 40 (0.4000) | 40 (0.2000), x1.00 | 44 (0.0733), x1.10 |\n" in said
    assert said.endswith(
        "From 200 to 600 rows an hour bronze grows 3.00-fold, buckets_5m most of the marts: "
        "2.00-fold. None grows like bronze.\n"
    )
    like = [*HOURS, Density(1200, {"flat_hourly": 88, "buckets_5m": 400})]
    assert text(like).endswith(
        "flat_hourly most of the marts: 2.00-fold. Like bronze grows: flat_hourly.\n"
    )


@pytest.mark.slow
def test_history_roll_up_and_density_are_measured() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.marts", "--days", "1", "--rows", "40",
            "--rounds", "1", "--density", "50", "--density", "2000", "--json",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (days,) = report["days"]
    assert days["bronze_rows"] == 24 * 40
    assert days["duckdb"]["requests"] == 24 * 40
    assert days["polars"] is None or days["polars"]["requests"] == 24 * 40
    sparse, dense = report["densities"]
    assert (sparse["bronze_rows"], dense["bronze_rows"]) == (50, 2000)
    assert dense["marts"]["qos_hourly"] == 3 * 6  # CDNs, customers
    assert dense["marts"]["qos_hops_hourly"] == 3 * 12  # CDNs, locations
    assert sparse["marts"]["traffic_5m"] <= 50 < dense["marts"]["traffic_5m"] < 2000
