"""Marts: what a full build and the refresh of one hour cost as history grows.

Run as `python -m benchmarks.marts`; README.md says how to read it. A lake of so many days of equal
hours, built by dbt as the refresh does (one plan, the delivery family, no tests), then one hour
again. Beside it a roll-up (requests, bytes and hits by five minutes, CDN, POP and customer) of the
same files as plain DuckDB SQL, and in Polars where that is installed. And the rows of each mart for
one of bronze: no mart may grow like bronze.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import duckdb
import pyarrow as pa
import typer
from dbt.cli.main import dbtRunner

from lake.catalog import ensure_all, open_catalog, table_of
from lake.marts import marts_of
from lake.reads import connect, relation_sql
from lake.records import CDN_REQUESTS
from lake.settings import LakeSettings, load_settings

PROJECT = Path(__file__).resolve().parent.parent / "dbt_project"
START = datetime(2026, 10, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)

#: one hour of requests of a mid-sized platform: 3 CDNs, 12 locations each, 6 customers, 40 networks
_ROWS = """
select
    timestamptz '{start}' + to_microseconds((hash(i, 1) % 3600000000)::bigint) as event_time,
    'start_ms' as event_time_precision, 'feed' as source, 'd' as delivery_id, i as source_line,
    unhex(md5(i::varchar || '{start}')) as row_key, 'c' || (hash(i, 2) % 6) as customer,
    'bench/1' as parser_version, timestamptz '{start}' as ingested_at,
    ['cloudfront', 'cloudflare', 'akamai'][(hash(i, 3) % 3 + 1)::bigint] as cdn,
    'P' || (hash(i, 4) % 12) as pop,
    ['DE', 'FR', 'US', 'BR'][(hash(i, 5) % 4 + 1)::bigint] as country,
    64496 + (hash(i, 5) % 40)::bigint as asn, 'GET' as method,
    case hash(i, 6) % 100 when 0 then 404 when 1 then 503 else 200 end as status,
    (hash(i, 7) % 2000000)::bigint as bytes_out_total, 500::bigint as bytes_in,
    exp(2 + (hash(i, 8) % 1000) / 250.0) as ttfb_ms,
    exp(2 + (hash(i, 8) % 1000) / 250.0) + 1 + (hash(i, 9) % 900) as duration_ms,
    case when hash(i, 10) % 10 = 0 then 'MISS' else 'HIT' end as cache_status,
    hash(i, 10) % 10 > 0 as is_edge_hit, hash(i, 10) % 10 = 0 as is_origin_fetch,
    false as client_aborted, 'HTTP/2.0' as http_version, 1::decimal(18, 6) as sample_weight,
    true as is_viewer, ['segment', 'manifest'][(hash(i, 11) % 2 + 1)::bigint] as object_type,
    'hls' as stream_kind
from range({rows}) as t(i)
"""
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
class Days:
    """One length of history: each step's median, and the rows of each mart per row of bronze."""

    days: int
    bronze_rows: int
    full: Cost
    hour: Cost
    duckdb_full: Cost
    polars_full: Cost | None
    rows_per_bronze_row: dict[str, float]


def main(
    days: Annotated[list[int], typer.Option(help="Lengths of history.")] = [1, 7, 30],  # noqa: B006
    rows: Annotated[int, typer.Option(help="Rows an hour.")] = 5000,
    rounds: Annotated[int, typer.Option(help="Refreshes measured.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure and print."""
    found = [_measure(n, rows, rounds) for n in sorted(days)]
    if as_json:
        sys.stdout.write(json.dumps([asdict(f) for f in found]) + "\n")
        return
    _show(found)


def _measure(days: int, rows: int, rounds: int) -> Days:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["WEIR_HOME"] = str(home)
        os.environ["WEIR_BUILD_PLAN"] = str(home / "builds" / "dbt-plan.json")
        settings = load_settings(home=home)
        hours = [START + n * _HOUR for n in range(24 * days)]
        _fill(settings, hours, rows)
        build = _Build(home)
        build.run([])  # parse, create tables
        full = _cost(lambda: build.run(hours))
        costs = [_cost(lambda: build.run([hours[len(hours) // 2]])) for _ in range(rounds)]
        hour = Cost(median(c.cpu_s for c in costs), median(c.wall_s for c in costs))
        catalog = open_catalog(settings)
        relation = relation_sql(table_of(catalog, CDN_REQUESTS))
        with connect(catalog) as connection:
            connection.execute("set threads = 2")
            plain = _cost(lambda: connection.execute(_ROLL_UP.format(rows=relation)).fetchall())
        files = [t.file.file_path for t in table_of(catalog, CDN_REQUESTS).scan().plan_files()]
        total = rows * len(hours)
        return Days(days, total, full, hour, plain, _polars(files), build.rows_per(total))


def _fill(settings: LakeSettings, hours: Sequence[datetime], rows: int) -> None:
    """Write the hours into bronze, one commit a day."""
    catalog = open_catalog(settings)
    ensure_all(catalog)
    table = table_of(catalog, CDN_REQUESTS)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for n in range(0, len(hours), 24):
            parts = [
                connection.sql(_ROWS.format(start=h.isoformat(), rows=rows)).to_arrow_table()
                for h in hours[n : n + 24]
            ]
            table.append(_as_bronze(pa.concat_tables(parts)))


def _as_bronze(found: pa.Table) -> pa.Table:
    schema = CDN_REQUESTS.arrow
    columns = [
        found[f.name].cast(f.type) if f.name in found.column_names
        else pa.nulls(found.num_rows, f.type)
        for f in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=schema)


class _Build:
    """dbt over one home, as the refresh calls it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "builds").mkdir(exist_ok=True)
        self._runner = dbtRunner()

    def run(self, hours: Sequence[datetime]) -> None:
        """Build the delivery family for these hours; none: make the tables of an empty hour."""
        asked = hours or [START - _HOUR]
        plan = {"hours": [h.isoformat() for h in asked]}
        (self._home / "builds" / "dbt-plan.json").write_text(json.dumps(plan))
        paths = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        paths += ["--target-path", str(self._home / "dbt"), "--log-path", str(self._home / "dbt")]
        done = self._runner.invoke(
            ["--quiet", "--no-write-json", "run", "--select", "tag:delivery", *paths]
        )
        _close()
        if not done.success:
            raise RuntimeError(f"dbt run failed: {done.exception}; see {self._home / 'dbt'}")

    def rows_per(self, total: int) -> dict[str, float]:
        """Return the rows of each mart for one of bronze."""
        with duckdb.connect(str(self._home / "build.duckdb"), read_only=True) as connection:
            marts = marts_of("delivery")
            counts = " union all ".join(f"select count(*) from {m.build}" for m in marts)
            found = connection.execute(counts).fetchall()
            return {m.name: n / total for m, (n,) in zip(marts, found, strict=True)}


def _close() -> None:
    """Let go of the build file, which dbt keeps open in this process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


def _polars(files: Sequence[str]) -> Cost | None:
    """Measure the roll-up in Polars; None where it is not installed."""
    try:
        import polars as pl
    except ImportError:
        return None

    def run() -> None:
        (
            pl.scan_parquet([f.removeprefix("file://") for f in files])
            .filter(pl.col("is_viewer"))
            .group_by(pl.col("event_time").dt.truncate("5m"), "cdn", "pop", "customer")
            .agg(pl.len(), pl.col("bytes_out_total").sum(), pl.col("is_edge_hit").sum())
            .collect()
        )

    return _cost(run)


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
        polars = "not installed" if f.polars_full is None else f"{f.polars_full.cpu_s:.2f}"
        out(
            f"| {f.days} | {f.bronze_rows:,} | {f.full.cpu_s:.2f} | {f.hour.cpu_s:.2f} "
            f"({f.hour.wall_s:.2f}) | {f.duckdb_full.cpu_s:.2f} | {polars} |\n"
        )
    first, last = found[0], found[-1]
    ratio = last.hour.cpu_s / first.hour.cpu_s
    out(f"\nOne hour with {last.days} days of history / {first.days}: {ratio:.2f} in CPU.\n")
    out(f"\n| mart | rows per bronze row at {last.days} days |\n|---|---|\n")
    for name, share in last.rows_per_bronze_row.items():
        out(f"| {name} | {share:.4f} |\n")


if __name__ == "__main__":
    typer.run(main)
