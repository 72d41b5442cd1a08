"""The base of the ingest benchmark: DuckDB reads, pyiceberg appends, broken lines are ignored.

Twice: into a table of the hours of event time, as Weir's and as anybody's who will read it by time,
and into one without partitions. Each function runs in a fresh process, see benchmarks.harness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Job
from benchmarks.setup import (
    import_what_runs,
    keys_of,
    settings_of,
    source_and_layout,
    source_of,
    total_records,
)

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from benchmarks.logs import Logs
    from lake.formats.base import Layout

_EPOCH = "make_timestamptz(cast({} as bigint))"
_CLOUDFRONT = _EPOCH.format('epoch_us("date" + "time")')
_AKAMAI = _EPOCH.format('cast("reqTimeSec" as double) * 1000000')
_OF_SERVERS = "strptime(start_local, '%d/%b/%Y:%H:%M:%S %z')"
_OF_PROXIES = _EPOCH.format("cast({} as double) * 1000000")
#: family -> the time of a line as one would write it for a log of which one knows the form
_EVENT_TIME = {
    "cloudflare": _EPOCH.format('cast("EdgeStartTimestamp" as bigint) // 1000'),
    "cloudfront": _CLOUDFRONT,
    "cloudfront_v2": _EPOCH.format('cast("timestamp(ms)" as bigint) * 1000'),
    "cloudfront_realtime": _EPOCH.format('cast("timestamp" as double) * 1000000'),
    "akamai": _AKAMAI,
    "akamai_structured": _AKAMAI,
    "fastly": "cast(time_start as timestamptz)",
    "gcp": 'cast("timestamp" as timestamptz)',
    "azure": 'cast("time" as timestamptz)',
    "delimited": "timezone('Asia/Tehran', strptime(ended, '%d.%m.%Y %H:%M:%S.%g'))",
    "nginx": _OF_PROXIES.format("end_epoch_s"),
    "apache": _OF_SERVERS,
    "varnishncsa": _OF_SERVERS,
    "squid": _OF_PROXIES.format("end_epoch_s"),
    "ats_squid": _OF_PROXIES.format("start_epoch_s"),
    "rec_events": _EPOCH.format("event_ts_ms * 1000"),
}


def duckdb(manifest: str, home: str) -> Job:
    """Let DuckDB read the raw columns and pyiceberg append them by the hour of their event."""
    return _append(manifest, home, by_hour=True)


def duckdb_flat(manifest: str, home: str) -> Job:
    """Do the same without partitions and without a time of the event."""
    return _append(manifest, home, by_hour=False)


def _append(manifest: str, home: str, *, by_hour: bool) -> Job:
    import duckdb as engine

    from benchmarks.logs import load_logs
    from lake.reads import quote_literal

    logs = load_logs(Path(manifest))
    source = source_of(logs.family)
    table, types, layout = raw_table(logs, home)
    files = quote_literal(f"{logs.landing / source.landing.prefix}/**/*{source.landing.suffix}")
    sql = _read_sql(logs.family, files, layout, types)
    if by_hour:
        _partition_by_hour(table)
        sql = f"select *, try({_EVENT_TIME[logs.family]}) as event_time from ({sql})"

    def run() -> None:
        with engine.connect(config={"threads": 2}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            table.append(connection.sql(sql).to_arrow_table())

    return Job(run, lambda: {"rows": total_records(table), "malformed": None, "is_exact": None})


def _partition_by_hour(table: Table) -> None:
    from pyiceberg.transforms import HourTransform
    from pyiceberg.types import TimestamptzType

    with table.update_schema() as schema:
        schema.add_column("event_time", TimestamptzType())
    with table.update_spec() as spec:
        spec.add_field("event_time", HourTransform(), "event_time_hour")


def raw_table(logs: Logs, home: str) -> tuple[Table, dict[str, str], Layout]:
    """Return an unpartitioned table of typed raw columns, their DuckDB types, and the layout."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    from benchmarks.rawfamily import iceberg_type, raw_types
    from lake.catalog import ensure_table, open_catalog

    import_what_runs()
    source, layout = source_and_layout(logs)
    types = raw_types(layout, keys_of(logs))
    if logs.family == "delimited":  # as the file has them
        types = dict.fromkeys(layout.header, "VARCHAR")
    if logs.family == "akamai_structured":
        types = {c: types.get(c, "VARCHAR") for c in source.fields}
    fields = [NestedField(i, c, iceberg_type(t)) for i, (c, t) in enumerate(types.items(), 1)]
    properties = {"write.parquet.compression-level": "1"}  # zstd, as Weir's
    catalog = open_catalog(settings_of(home))
    table = ensure_table(catalog, "bench.raw", Schema(*fields), properties=properties)
    return table, types, layout


def _read_sql(family: str, files: str, layout: Layout, types: Mapping[str, str]) -> str:
    """Return the read of typed raw columns as one would write it without Weir."""
    from lake.formats import ndjson
    from lake.formats.template import TemplateLayout
    from lake.formats.templatesql import select_sql
    from lake.reads import quote_identifier, quote_literal

    columns, picked = ndjson.columns_of(types)
    csv = "quote='', escape='', header=false, auto_detect=false, ignore_errors=true, "
    csv += "hive_partitioning=false"
    if isinstance(layout, TemplateLayout):
        lines = f"(from read_csv({files}, delim='\x02', {csv}, columns={{'line': 'VARCHAR'}}))"
        casts = (
            f"try_cast({quote_identifier(c)} as {t}) as {quote_identifier(c)}"
            for c, t in types.items()
        )
        return f"select {', '.join(casts)} from ({select_sql(layout.template, lines)})"
    if family == "fastly":
        shape = quote_literal(json.dumps(types))
        return (
            "select unnest(d) from (select try(json_transform(substr(line, strpos(line, '{')), "
            f"{shape})) as d from read_csv({files}, delim='\x1f', {csv}, "
            "columns={'line': 'VARCHAR'})) where d is not null"
        )
    if family == "delimited":
        return (
            f"from read_csv({files}, delim=';', quote='\"', escape='\"', header=true, "
            f"auto_detect=false, ignore_errors=true, hive_partitioning=false, "
            f"columns={{{columns}}}, nullstr='-')"
        )
    if family in ("cloudfront", "cloudfront_realtime", "akamai_structured"):
        return (
            f"from read_csv({files}, delim='\t', {csv}, skip={layout.header_lines}, "
            f"columns={{{columns}}}, nullstr='-')"
        )
    return (
        f"select {picked} from read_ndjson({files}, columns={{{columns}}}, ignore_errors=true, "
        "hive_partitioning=false) raw"
    )
