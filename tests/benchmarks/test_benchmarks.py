"""The benchmarks run and count right; how fast they were is nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.families import Measured, beside
from benchmarks.harness import Spread

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.ingest", "--lines", "2000", "--rounds", "1",
            "--family", "cloudflare", "--json",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (family,) = json.loads(done.stdout)["families"]
    return family


def test_weir_keeps_every_good_line_and_finds_every_broken_one(report) -> None:
    assert report["malformed_true"] == 2
    ours = [c for c in report["candidates"] if c["candidate"].startswith("weir")]
    assert len(ours) == 3
    for candidate in ours:
        assert candidate["malformed_found"] == 2, candidate
        assert candidate["is_exact"], candidate
        assert candidate["rows"] == 1998, candidate


def test_the_base_is_measured_and_is_one(report) -> None:
    (base,) = [c for c in report["candidates"] if c["candidate"] == "duckdb"]
    assert base["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert base["rows"] >= 1998
    assert base["steady_cpu_s"] > 0
    assert base["peak_rss_mb"] > 0


def test_load_canonicalisation_and_capacity_follow_from_the_rounds(report) -> None:
    cpu = {c["candidate"]: c["steady_cpu_s"] for c in report["candidates"]}
    load, canonical = (report[n]["median"] for n in ("load", "canonicalisation"))
    assert load == pytest.approx(cpu["weir_raw"] / cpu["duckdb"])
    flat = report["load_to_flat"]["median"]
    assert flat == pytest.approx(cpu["weir_raw"] / cpu["duckdb_flat"])
    assert canonical == pytest.approx((cpu["weir"] - cpu["weir_raw"]) / cpu["weir_raw"])
    found = report["capacity"]["weir"]
    assert found["cores"] >= 1
    assert found["cost_per_tb"] == pytest.approx(found["cpu_hours_per_tb"])  # at a price of 1
    assert found["cpu_hours_per_tb"] == pytest.approx(cpu["weir"] / 3600 / report["raw_mb"] * 1e6)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--no-others", "--beside"])
def test_families_stand_beside_each_other_within_their_table(how: str) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.ingest", "--lines", "1000", "--rounds", "1", how,
            "--family", "squid", "--family", "apache", "--family", "rec_events",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, beside = done.stdout.split("families beside each other")
    rows = [line.split("│")[1:-1] for line in beside.splitlines() if line.count("│") > 2]
    found = {row[0].strip(): (row[4].strip(), row[5].strip()) for row in rows}
    assert set(found) == {"squid", "apache", "rec_events"}
    assert found["rec_events"][0] == "1.00"  # alone in its table
    assert "1.00" in (found["squid"][0], found["apache"][0])
    assert max(float(of_all) for _, of_all in found.values()) == 1
    assert "bronze.cdn_requests: the slowest family" in beside


def test_shares_of_families_are_taken_round_by_round() -> None:
    def of(family: str, record: str, *cpu: float) -> Measured:
        return Measured(family, record, lines=100, raw_mb=0.05, steady_cpu_s=cpu)

    rows = beside([of("slow", "a", 4.0, 8.0), of("fast", "a", 2.0, 2.0), of("alone", "b", 1, 2)])
    alone, fast, slow = rows
    assert [r.family for r in rows] == ["alone", "fast", "slow"]
    assert slow.of_its_table == Spread(0.375, 0.25, 0.5)
    assert slow.of_all == Spread(0.25, 0.25, 0.25)
    assert (fast.of_its_table.median, alone.of_its_table.median) == (1, 1)
    assert (slow.bytes_per_line, fast.lines_per_cpu_s.median) == (500, 50)
