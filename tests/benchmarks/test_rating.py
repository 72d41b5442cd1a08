"""The benchmark of rating runs and bills what it should; how fast is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_rating_is_measured_beside_reading_and_plain_sql_of_both_kinds_of_file() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.rating", "--scopes", "3", "--csv-scopes", "2",
            "--days", "40", "--rounds", "1", "--json",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["parquet"]["rows"] == 3 * 40 * 288
    for kind, scopes in (("parquet", 3), ("csv", 2)):
        reading, plain, together, alone, bill = report[kind]["candidates"]
        assert reading["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
        assert plain["candidate"] == "plain SQL"
        assert (together["lines"], alone["lines"]) == (2, 2 * scopes)  # of two months
        assert float(alone["amount"]) > float(together["amount"]) > 0
        assert (bill["lines"], bill["amount"]) == (alone["lines"], alone["amount"])
