"""A lake of made requests in a temporary home, and dbt over it as the refresh calls it.

Belongs here: what benchmarks of marts build and count. Does not: what is measured (marts, density).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
from dbt.cli.main import dbtRunner

from lake.catalog import ensure_all, open_catalog, table_of
from lake.marts import marts_of
from lake.records import CDN_REQUESTS
from lake.settings import LakeSettings, load_settings

PROJECT = Path(__file__).resolve().parent.parent / "dbt_project"
START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_HOURS_A_COMMIT = 24

#: one hour of requests of a mid-sized platform: 3 CDNs of 12 locations and 6 customers, all equally
#: busy, and 400 networks, an eighth of which send half. Each customer has ten channels with six
#: tenths of its requests, and 3,000 titles, an eighth of which send half of the others. Times lie
#: evenly over 200 buckets, so that groups fill late.
_ROWS = """
select
    timestamptz '{start}' + to_microseconds((hash(i || ':1') % 3600000000)::bigint) as event_time,
    'start_ms' as event_time_precision, 'feed' as source, 'd' as delivery_id, i as source_line,
    unhex(md5(i::varchar || '{start}')) as row_key, 'c' || (hash(i || ':2') % 6) as customer,
    'bench/1' as parser_version, timestamptz '{start}' as ingested_at,
    ['cloudfront', 'cloudflare', 'akamai'][(hash(i || ':3') % 3 + 1)::bigint] as cdn,
    'P' || (hash(i || ':4') % 12) as pop,
    ['DE', 'FR', 'US', 'BR'][network % 4 + 1] as country,
    64496 + network as asn, 'GET' as method,
    case hash(i || ':6') % 100 when 0 then 404 when 1 then 503 else 200 end as status,
    (hash(i || ':7') % 2000000)::bigint as bytes_out_total, 500::bigint as bytes_in,
    exp(2 + (hash(i || ':8') % 1000) / 250.0) as ttfb_ms,
    exp(2 + (hash(i || ':8') % 1000) / 250.0) + 1 + (hash(i || ':9') % 900) as duration_ms,
    case when hash(i || ':10') % 10 = 0 then 'MISS' else 'HIT' end as cache_status,
    hash(i || ':10') % 10 > 0 as is_edge_hit, hash(i || ':10') % 10 = 0 as is_origin_fetch,
    false as client_aborted, 'HTTP/2.0' as http_version, 1::decimal(18, 6) as sample_weight,
    true as is_viewer, ['segment', 'manifest'][(hash(i || ':11') % 2 + 1)::bigint] as object_type,
    'hls' as stream_kind,
    case when hash(i || ':12') % 10 < 6
        then '/live/' || floor(10 * ((hash(i || ':13') % 1000000) / 1e6) ** 2)::bigint
        else '/vod/' || floor(3000 * ((hash(i || ':13') % 1000000) / 1e6) ** 3)::bigint
    end || '/720p/seg-' || (i % 600) || '.m4s' as path
from (
    select i, floor(400 * ((hash(i || ':5') % 1000000) / 1e6) ** 3)::bigint as network
    from range({rows}) as t(i)
)
"""


def fresh_home(home: Path) -> LakeSettings:
    """Empty a home but for what dbt has parsed, and point Weir at it."""
    for path in home.iterdir():
        if path.is_dir() and path.name != "dbt":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    os.environ["WEIR_HOME"] = str(home)
    os.environ["WEIR_BUILD_PLAN"] = str(home / "builds" / "dbt-plan.json")
    return load_settings(home=home)


def fill(settings: LakeSettings, hours: Mapping[datetime, int]) -> None:
    """Write hours of so many rows into bronze, one commit a day."""
    catalog = open_catalog(settings)
    ensure_all(catalog)
    table = table_of(catalog, CDN_REQUESTS)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        left = iter(hours.items())
        while day := list(islice(left, _HOURS_A_COMMIT)):
            parts = [
                connection.sql(_ROWS.format(start=h.isoformat(), rows=rows)).to_arrow_table()
                for h, rows in day
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


class Build:
    """dbt over one home, as the refresh calls it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "builds").mkdir(exist_ok=True)
        self._runner = dbtRunner()

    def run(self, hours: Sequence[datetime]) -> None:
        """Build the delivery family for these hours; none: make the tables of an empty hour."""
        asked = hours or [START - HOUR]
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

    def rows_by_hour(self) -> dict[str, dict[datetime, int]]:
        """Return how many rows each mart has in each hour."""
        with duckdb.connect(str(self._home / "build.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return {
                m.name: dict(
                    connection.execute(
                        f"select date_trunc('hour', {m.partition_by}) as h, count(*) "
                        f"from {m.build} group by all order by h"
                    ).fetchall()
                )
                for m in marts_of("delivery")
            }


def _close() -> None:
    """Let go of the build file, which dbt keeps open in this process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()
