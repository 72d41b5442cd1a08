"""The ingest side by side: Weir with and without its checks, without its columns, and DuckDB alone.

Run as `python -m benchmarks.ingest --lines 500000 --rounds 3`; README.md says how to read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.capacity import Capacity, capacity, sentence
from benchmarks.harness import Job, Spread, Usage, measure, ratios, rounds

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from benchmarks.logs import Logs
    from lake.audit import AuditReport, DeliveryAudit, DeliverySubject
    from lake.formats.base import Layout
    from lake.records import Record
    from lake.settings import LakeSettings
    from lake.source import Source

#: candidate -> what it is
CANDIDATES = {
    "weir": "Weir, nothing audited",
    "weir_checked": "Weir with its Great Expectations audit",
    "duckdb": "DuckDB and pyiceberg, raw columns, no quarantine",
    "weir_raw": "Weir, raw columns",
}
BASE = "duckdb"
_EXAMPLE_SOURCES = Path(__file__).parents[1] / "docs/sources"
_NOW = datetime(2026, 11, 17, tzinfo=UTC)
_HEAD_BYTES = 1 << 18


# --- candidates: each function runs in a fresh process, see benchmarks.harness ------------------


def weir(manifest: str, home: str) -> Job:
    """Gzip to committed bronze: exact quarantine, canonical columns, privacy; audits pass."""
    return _ingest(manifest, home, _pass_everything)


def weir_checked(manifest: str, home: str) -> Job:
    """Do the same with the audit that the pipeline has."""
    from expectations.runner import delivery_audit
    from lake.audit import DeliverySubject
    from lake.catalog import ensure_all, open_catalog
    from lake.records import BRONZE, RECORDS

    catalog = open_catalog(_settings(home))
    ensure_all(catalog)
    fields = {r.identifier: list(catalog.load_table(r.identifier).schema().fields) for r in BRONZE}
    audit = delivery_audit(fields)
    # Great Expectations takes seconds to import and set up, once a process: that is set-up
    for table in (r.identifier for r in RECORDS.values() if r in BRONZE):
        audit([DeliverySubject("none", "", table, "", (), 0, 0, 0, 0, 0, {}, None, None)])
    return _ingest(manifest, home, audit)


def weir_raw(manifest: str, home: str) -> Job:
    """Do the same as `weir` with the columns as the vendor has them."""
    from benchmarks.logs import load_logs
    from benchmarks.rawfamily import RawColumns
    from lake.formats import FAMILIES, family_of
    from lake.records import RECORDS

    logs = load_logs(Path(manifest))
    source, layout = _source_and_layout(logs)
    raw = RawColumns(family_of(source.format), layout, _keys(logs))
    FAMILIES[raw.name] = raw
    RECORDS[raw.record.identifier] = raw.record
    renamed = source.model_copy(update={"format": raw.name})
    return _ingest(manifest, home, _pass_everything, renamed, raw.record)


def _ingest(
    manifest: str,
    home: str,
    audit: DeliveryAudit,
    source: Source | None = None,
    record: Record | None = None,
) -> Job:
    """Return an ingest of one source as orchestration puts it together."""
    from benchmarks.logs import load_logs
    from lake.catalog import ensure_all, open_catalog, table_of
    from lake.formats import family_of
    from lake.ingest import Ingest
    from lake.landing import FolderLanding
    from lake.protection import Protection
    from lake.pseudonyms import Keyring
    from lake.reads import relation_sql
    from lake.records import REJECTS

    _import_what_runs()
    logs = load_logs(Path(manifest))
    settings = _settings(home)
    source = source or source_of(logs.family)
    record = record or family_of(source.format).record
    catalog = open_catalog(settings)
    ensure_all(catalog)
    table_of(catalog, record)
    job = Ingest(
        catalog=catalog,
        landing=FolderLanding(logs.landing),
        sources={source.name: source},
        record=record,
        audit=audit,
        protection=Protection(Keyring.of(b"benchmark")),
        now=_NOW,
    )

    def run() -> None:
        job.run()

    def outcome() -> dict[str, Any]:
        import duckdb

        rejects = relation_sql(table_of(catalog, REJECTS))
        with duckdb.connect() as connection:
            rows = connection.execute(f"select key, line from ({rejects}) order by all").fetchall()
        found: dict[str, list[int]] = {key: [] for key in logs.malformed}
        for key, line in rows:
            found.setdefault(key, []).append(line)
        return {
            "rows": _total_records(table_of(catalog, record)),
            "malformed": sum(map(len, found.values())),
            "is_exact": found == {key: list(lines) for key, lines in logs.malformed.items()},
        }

    return Job(run, outcome)


def duckdb(manifest: str, home: str) -> Job:
    """Let DuckDB read the raw columns and pyiceberg append them; what does not parse is ignored."""
    import duckdb as engine

    from benchmarks.logs import load_logs
    from lake.reads import quote_literal

    logs = load_logs(Path(manifest))
    source = source_of(logs.family)
    table, types, layout = raw_table(logs, home)
    files = quote_literal(f"{logs.landing / source.landing.prefix}/**/*{source.landing.suffix}")
    sql = _base_sql(logs.family, files, layout, types)

    def run() -> None:
        with engine.connect(config={"threads": 2}) as connection:
            table.append(connection.sql(sql).to_arrow_table())

    return Job(run, lambda: {"rows": _total_records(table), "malformed": None, "is_exact": None})


def raw_table(logs: Logs, home: str) -> tuple[Table, dict[str, str], Layout]:
    """Return an unpartitioned table of typed raw columns, their DuckDB types, and the layout."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    from benchmarks.rawfamily import iceberg_type, raw_types
    from lake.catalog import ensure_table, open_catalog

    _import_what_runs()
    source, layout = _source_and_layout(logs)
    types = raw_types(layout, _keys(logs))
    if logs.family == "delimited":  # as the file has them
        types = dict.fromkeys(layout.header, "VARCHAR")
    if logs.family == "akamai_structured":
        types = {c: types.get(c, "VARCHAR") for c in source.fields}
    fields = [NestedField(i, c, iceberg_type(t)) for i, (c, t) in enumerate(types.items(), 1)]
    properties = {"write.parquet.compression-level": "1"}  # zstd, as Weir's
    catalog = open_catalog(_settings(home))
    table = ensure_table(catalog, "bench.raw", Schema(*fields), properties=properties)
    return table, types, layout


def _base_sql(family: str, files: str, layout: Layout, types: Mapping[str, str]) -> str:
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


def _pass_everything(subjects: Sequence[DeliverySubject]) -> AuditReport:
    from lake.audit import AuditReport, CheckResult

    return AuditReport(
        tuple(
            CheckResult("delivery", "none", "none", s.delivery_id, "warning", True, None, None)
            for s in subjects
        )
    )


def _import_what_runs() -> None:
    """Import what the libraries import on first use, so that it counts as set-up everywhere."""
    with suppress(ImportError):
        import pandas as pd  # noqa: F401  (by pyarrow, where it is installed)
    import pyarrow.dataset as ds  # noqa: F401
    import pyarrow.parquet as pq  # noqa: F401
    from pyiceberg.io import pyarrow as io  # noqa: F401


def _settings(home: str) -> LakeSettings:
    from lake.settings import load_settings

    return load_settings({}, Path(home))


def source_of(family: str) -> Source:
    """Return the source of a family: packaged with Weir, or an example of the docs."""
    from lake.settings import PACKAGED_SOURCES
    from lake.source import load_sources
    from simulator.families import CDN_FAMILIES

    name = CDN_FAMILIES[family].source if family in CDN_FAMILIES else family
    packaged = load_sources(PACKAGED_SOURCES)
    return packaged[name] if name in packaged else load_sources(_EXAMPLE_SOURCES)[name]


def _source_and_layout(logs: Logs) -> tuple[Source, Layout]:
    """Return the source of a family, and the layout of its first file."""
    from isal import igzip

    from lake.formats import family_of

    source = source_of(logs.family)
    with igzip.open(logs.landing / min(logs.malformed)) as stream:
        head = stream.read(_HEAD_BYTES)
    return source, family_of(source.format).layout(head, source, None)


def _keys(logs: Logs) -> tuple[str, ...]:
    """Return the keys of the first object of a log whose family reads whole lines."""
    from isal import igzip

    if logs.family != "fastly":
        return ()
    with igzip.open(logs.landing / min(logs.malformed)) as stream:
        first: bytes = stream.read(_HEAD_BYTES).split(b"\n")[0]
    return tuple(json.loads(first[first.index(b"{") :]))


def _total_records(table: Any) -> int:
    snapshot = table.refresh().current_snapshot()
    return int(snapshot.summary["total-records"]) if snapshot else 0


# --- the report ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """One candidate over all rounds: medians, and ratios to the base taken round by round."""

    candidate: str
    rows: int
    malformed_found: int | None
    is_exact: bool | None
    steady_cpu_s: float
    setup_cpu_s: float
    process_cpu_s: float
    steady_wall_s: float
    lines_per_cpu_s: float
    ratio: Spread
    process_ratio: Spread
    peak_rss_mb: float
    #: what the tool made of the broken lines, in words; None for those that count them
    lost: str | None = None


@dataclass(frozen=True)
class Report:
    """One family: its logs, its candidates, and the shares that follow from them."""

    family: str
    lines: int
    files: int
    raw_mb: float
    gz_mb: float
    malformed_true: int
    rounds: int
    candidates: tuple[Figures, ...]
    checks_share: Spread
    canonical_share: Spread
    #: weir_raw / duckdb: the typed load with its quarantine beside the append without one
    load: Spread
    #: (weir - weir_raw) / weir_raw: what the canonical columns and privacy add to the load
    canonicalisation: Spread
    capacity: Mapping[str, Capacity]


def compare(
    family: str,
    lines: int,
    count: int,
    folder: Path,
    seed: int,
    *,
    candidates: Sequence[str] = tuple(CANDIDATES),
    cpu_hour_price: float = 1.0,
) -> Report:
    """Make the logs of a family and run every candidate on them, `count` times each."""
    from benchmarks.logs import make_logs

    logs = make_logs(family, lines, folder, seed)
    runs: dict[str, list[Usage]] = {name: [] for name in candidates}
    measured = {name: partial(_measured, name, folder) for name in candidates}
    for number, name, usage in rounds(measured, count):
        runs[name].append(usage)
        typer.echo(f"{family} {number + 1}/{count} {name} {usage.steady_cpu_s:.2f} s", err=True)
    steady = {name: [u.steady_cpu_s for u in used] for name, used in runs.items()}
    return Report(
        family=family,
        lines=lines,
        files=logs.files,
        raw_mb=logs.raw_bytes / 1e6,
        gz_mb=logs.gz_bytes / 1e6,
        malformed_true=logs.true_malformed,
        rounds=count,
        candidates=tuple(_figures(name, lines, runs) for name in candidates),
        checks_share=_share(steady["weir_checked"], steady["weir"]),
        canonical_share=_share(steady["weir"], steady["weir_raw"]),
        load=ratios(steady["weir_raw"], steady[BASE]),
        canonicalisation=ratios(
            [a - b for a, b in zip(steady["weir"], steady["weir_raw"], strict=True)],
            steady["weir_raw"],
        ),
        capacity={
            name: capacity(
                lines,
                logs.raw_bytes / 1e6,
                Spread.of(steady[name]).median,
                os.cpu_count() or 1,
                cpu_hour_price,
            )
            for name in ("weir", "weir_checked")
        },
    )


def _measured(name: str, folder: Path) -> Usage:
    """Run one candidate on a lake of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{name}-") as home:
        manifest = str(folder / "logs.json")
        module = "ingest" if name in CANDIDATES else "others"
        return measure(f"benchmarks.{module}:{name}", {"manifest": manifest, "home": home})


def _figures(name: str, lines: int, runs: Mapping[str, Sequence[Usage]]) -> Figures:
    def middle(value: Callable[[Usage], float]) -> float:
        return Spread.of(map(value, runs[name])).median

    outcomes = [u.outcome for u in runs[name]]
    if any(o != outcomes[0] for o in outcomes):
        raise RuntimeError(
            f"{name}: expected the same outcome in every round, found {outcomes}. Times of "
            "different results cannot be compared: find what is not deterministic."
        )
    cpu = [u.steady_cpu_s for u in runs[name]]
    base = runs[BASE]
    return Figures(
        candidate=name,
        rows=outcomes[0]["rows"],
        malformed_found=outcomes[0]["malformed"],
        is_exact=outcomes[0]["is_exact"],
        steady_cpu_s=Spread.of(cpu).median,
        setup_cpu_s=middle(lambda u: u.setup_cpu_s),
        process_cpu_s=middle(lambda u: u.process_cpu_s),
        steady_wall_s=middle(lambda u: u.steady_wall_s),
        lines_per_cpu_s=lines / Spread.of(cpu).median,
        ratio=ratios(cpu, [u.steady_cpu_s for u in base]),
        process_ratio=ratios(
            [u.process_cpu_s for u in runs[name]], [u.process_cpu_s for u in base]
        ),
        peak_rss_mb=middle(lambda u: u.peak_rss_mb),
        lost=outcomes[0].get("lost"),
    )


def _share(whole: Sequence[float], without: Sequence[float]) -> Spread:
    """Return which share of the whole is gone without a part, round by round."""
    return Spread.of((a - b) / a for a, b in zip(whole, without, strict=True))


def show(report: Report) -> None:
    """Print a family as a table and two sentences."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report.family}: {report.lines:,} lines, {report.files} files, "
        f"{report.raw_mb:.0f} MB raw, {report.gz_mb:.0f} MB gz, {report.rounds} rounds",
        title_justify="left",
    )
    table.add_column("candidate", no_wrap=True)
    for name in (
        "rows kept", "malformed found / true", "steady CPU s", "lines / CPU s", "ratio to duckdb",
        "process CPU s", "ratio", "peak RSS MB",
    ):  # fmt: skip
        table.add_column(name, justify="right", no_wrap="/" not in name)
    for f in report.candidates:
        found = "not told" if f.malformed_found is None else f"{f.malformed_found}"
        exact = {True: " exact", False: " NOT THE SAME LINES", None: ""}[f.is_exact]
        table.add_row(
            f.candidate,
            f"{f.rows:,}",
            f"{found} / {report.malformed_true}{exact}",
            f"{f.steady_cpu_s:.2f}",
            f"{f.lines_per_cpu_s:,.0f}",
            f"{f.ratio.median:.2f} ({f.ratio.low:.2f}-{f.ratio.high:.2f})",
            f"{f.process_cpu_s:.2f}",
            f"{f.process_ratio.median:.2f}",
            f"{f.peak_rss_mb:,.0f}",
        )
    Console(width=max(Console().width, 140)).print(table)
    typer.echo(f"Checks take {_percent(report.checks_share)} of the audited ingest's steady CPU.")
    typer.echo(
        f"Canonical columns, privacy and lineage take {_percent(report.canonical_share)} of the "
        "unaudited ingest's steady CPU, their share of the Parquet files included."
    )
    typer.echo(f"load: weir_raw costs {_times(report.load)} what duckdb costs.")
    typer.echo(
        f"canonicalisation: costs {_times(report.canonicalisation)} what the load (weir_raw) costs."
    )
    for f in report.candidates:
        if f.lost is not None:
            typer.echo(f"{f.candidate}: {f.lost}")
    for name, taken in report.capacity.items():
        typer.echo(sentence(taken, name))
    typer.echo("")


def _times(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f}) times"


def _percent(share: Spread) -> str:
    return f"{share.median:.0%} ({share.low:.0%} to {share.high:.0%})"


def main(
    lines: Annotated[int, typer.Option(min=1000, help="Data lines a family.")] = 500_000,
    count: Annotated[int, typer.Option("--rounds", min=1, help="Runs of each candidate.")] = 3,
    family: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the logs.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    others: Annotated[bool, typer.Option(help="Also Polars and PySpark, if installed.")] = False,
    cpu_hour_price: Annotated[
        float,
        typer.Option(
            min=0, help="Price of one core for one hour; 1 prints a TB's cost in CPU hours."
        ),
    ] = 1.0,
) -> None:
    """Measure the ingest against what DuckDB and pyiceberg do by themselves."""
    from benchmarks.logs import FAMILIES
    from benchmarks.others import OTHERS, installed

    candidates = (*CANDIDATES, *installed()) if others else tuple(CANDIDATES)
    wanted = family or list(FAMILIES)
    unknown = sorted(set(wanted) - set(FAMILIES))
    if unknown:
        raise typer.BadParameter(f"found {unknown}, expected some of {list(FAMILIES)}")
    reports = []
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            report = compare(
                name,
                lines,
                count,
                Path(folder),
                seed,
                candidates=candidates,
                cpu_hour_price=cpu_hour_price,
            )
        if not as_json:
            show(report)
        reports.append(asdict(report))
    if as_json:
        known = {**CANDIDATES, **OTHERS}
        described = {name: known[name] for name in candidates}
        typer.echo(json.dumps({"candidates": described, "families": reports}, indent=1))


if __name__ == "__main__":
    typer.run(main)
