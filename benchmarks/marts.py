"""Marts: what a full build and the refresh of one hour cost as history grows.

Run as `python -m benchmarks.marts`; README.md says how to read it. A lake of so many days of equal
hours, built by dbt as the refresh does (one plan, the delivery family, no tests), then one hour
again. Beside it a roll-up (requests, bytes and hits by five minutes, CDN, POP and customer) of the
same files as plain DuckDB SQL, and in Polars where that is installed. And the rows of each mart
beside those of bronze as traffic grows (benchmarks.density): no mart may grow like bronze.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from benchmarks import density
from benchmarks.martlake import HOUR, START, Build, fill, fresh_home
from lake.catalog import open_catalog, table_of
from lake.reads import connect, relation_sql
from lake.records import CDN_REQUESTS
from lake.settings import LakeSettings

_ROLL_UP = """
select time_bucket(interval '5 minutes', event_time) as slot_start, cdn, pop, customer,
    count(*) as requests, sum(bytes_out_total) as bytes, count(*) filter (where is_edge_hit) as hits
from ({rows}) where is_viewer group by all
"""


@dataclass(frozen=True)
class Cost:
    """What one step cost: CPU of this process and its children, and wall time."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class RolledUp:
    """One roll-up in one tool: what it cost, and its groups with the sums over them."""

    cost: Cost
    groups: int
    requests: int
    bytes: int
    hits: int

    @property
    def counted(self) -> tuple[int, int, int, int]:
        """Return what any tool must count alike."""
        return self.groups, self.requests, self.bytes, self.hits


@dataclass(frozen=True)
class Days:
    """One length of history: each step's median."""

    days: int
    bronze_rows: int
    full: Cost
    hour: Cost
    duckdb: RolledUp
    polars: RolledUp | None


def main(
    days: Annotated[list[int], typer.Option(help="Lengths of history.")] = [1, 7, 30],  # noqa: B006
    rows: Annotated[int, typer.Option(help="Rows an hour.")] = 5000,
    rounds: Annotated[int, typer.Option(help="Refreshes measured.")] = 5,
    densities: Annotated[
        list[int], typer.Option("--density", help="Rows of an hour whose marts are counted.")
    ] = [3_000, 30_000, 100_000, 300_000, 1_000_000],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        found = [_measure(Path(folder), n, rows, rounds) for n in sorted(days)]
        grown = density.measure(Path(folder), sorted(densities))
    if as_json:
        report = {"days": [asdict(f) for f in found], "densities": [asdict(g) for g in grown]}
        sys.stdout.write(json.dumps(report) + "\n")
        return
    _show(found)
    sys.stdout.write(density.text(grown))


def _measure(home: Path, days: int, rows: int, rounds: int) -> Days:
    settings = fresh_home(home)
    hours = [START + n * HOUR for n in range(24 * days)]
    fill(settings, dict.fromkeys(hours, rows))
    build = Build(home)
    build.run([])  # parse, create tables
    full = _cost(lambda: build.run(hours))
    costs = [_cost(lambda: build.run([hours[len(hours) // 2]])) for _ in range(rounds)]
    hour = Cost(median(c.cpu_s for c in costs), median(c.wall_s for c in costs))
    plain, polars = _duckdb(settings), _polars(settings)
    if polars is not None and polars.counted != plain.counted:
        raise RuntimeError(
            f"the roll-ups differ: DuckDB counts {plain.counted}, Polars {polars.counted}; "
            "expected the same groups, requests, bytes and hits."
        )
    return Days(days, rows * len(hours), full, hour, plain, polars)


def _duckdb(settings: LakeSettings) -> RolledUp:
    """Measure the roll-up as SQL over the same files."""
    catalog = open_catalog(settings)
    query = _ROLL_UP.format(rows=relation_sql(table_of(catalog, CDN_REQUESTS)))
    with connect(catalog) as connection:
        connection.execute("set threads = 2")
        return _rolled_up(lambda: connection.sql(query).to_arrow_table())


def _polars(settings: LakeSettings) -> RolledUp | None:
    """Measure the roll-up in Polars; None where it is not installed."""
    try:
        import polars as pl
    except ImportError:
        return None
    tasks = table_of(open_catalog(settings), CDN_REQUESTS).scan().plan_files()
    files = [t.file.file_path.removeprefix("file://") for t in tasks]

    def run() -> pa.Table:
        slots = pl.col("event_time").dt.truncate("5m").alias("slot_start")
        counts = (
            pl.len().alias("requests"),
            pl.col("bytes_out_total").sum().alias("bytes"),
            pl.col("is_edge_hit").sum().alias("hits"),
        )
        rows = pl.scan_parquet(files).filter(pl.col("is_viewer"))
        groups: pa.Table = (
            rows.group_by(slots, "cdn", "pop", "customer").agg(*counts).collect().to_arrow()
        )
        return groups

    return _rolled_up(run)


def _rolled_up(run: Callable[[], pa.Table]) -> RolledUp:
    done: list[pa.Table] = []
    cost = _cost(lambda: done.append(run()))
    (table,) = done
    sums = (int(pc.sum(table[name]).as_py()) for name in ("requests", "bytes", "hits"))
    return RolledUp(cost, table.num_rows, *sums)


def _cost(step: Callable[[], Any]) -> Cost:
    def cpu() -> float:
        used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    before, began = cpu(), time.monotonic()
    step()
    return Cost(cpu() - before, time.monotonic() - began)


def _show(found: Sequence[Days]) -> None:
    out = sys.stdout.write
    out("| days | bronze rows | full build CPU s | one hour CPU s (wall) | DuckDB roll-up CPU s | "
        "Polars roll-up CPU s |\n|---|---|---|---|---|---|\n")  # fmt: skip
    for f in found:
        polars = "not installed" if f.polars is None else f"{f.polars.cost.cpu_s:.2f}"
        out(
            f"| {f.days} | {f.bronze_rows:,} | {f.full.cpu_s:.2f} | {f.hour.cpu_s:.2f} "
            f"({f.hour.wall_s:.2f}) | {f.duckdb.cost.cpu_s:.2f} | {polars} |\n"
        )
    first, last = found[0], found[-1]
    ratio = last.hour.cpu_s / first.hour.cpu_s
    out(f"\nOne hour with {last.days} days of history / {first.days}: {ratio:.2f} in CPU.\n")


if __name__ == "__main__":
    typer.run(main)
