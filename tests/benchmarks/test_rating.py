"""The benchmark of rating runs and bills what it should; how fast is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_both_ways_of_rating_are_measured_beside_reading() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.rating", "--scopes", "3", "--days", "40",
            "--rounds", "1", "--json",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == 3 * 40 * 288
    reading, together, alone = report["candidates"]
    assert reading["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert (together["lines"], alone["lines"]) == (2, 6)  # of two months
    assert float(alone["amount"]) > float(together["amount"]) > 0
