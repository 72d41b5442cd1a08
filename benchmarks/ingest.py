"""The ingest side by side: Weir with and without its checks, without its columns, and DuckDB alone.

Run as `python -m benchmarks.ingest --lines 500000 --rounds 3`; README.md says how to read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.capacity import Capacity, capacity, sentence
from benchmarks.harness import Spread, Usage, measure, ratios, rounds

if TYPE_CHECKING:
    from benchmarks.families import Measured

#: candidate -> what it is
CANDIDATES = {
    "weir": "Weir, nothing audited",
    "weir_checked": "Weir with its Great Expectations audit",
    "duckdb": "DuckDB and pyiceberg, raw columns by hour, no quarantine",
    "duckdb_flat": "the same without partitions and time of the event",
    "weir_raw": "Weir, raw columns",
}
BASE, FLAT = "duckdb", "duckdb_flat"


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
    #: the table that its lines go to
    record: str
    lines: int
    files: int
    raw_mb: float
    gz_mb: float
    malformed_true: int
    rounds: int
    #: of `weir`, by round
    weir_cpu_s: tuple[float, ...]
    candidates: tuple[Figures, ...]
    checks_share: Spread
    canonical_share: Spread
    #: weir_raw / duckdb: the typed load with its quarantine beside the append without one
    load: Spread
    #: weir_raw / duckdb_flat
    load_to_flat: Spread
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
    from benchmarks.families import record_of
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
        record=record_of(family),
        lines=lines,
        files=logs.files,
        raw_mb=logs.raw_bytes / 1e6,
        gz_mb=logs.gz_bytes / 1e6,
        malformed_true=logs.true_malformed,
        rounds=count,
        weir_cpu_s=tuple(steady["weir"]),
        candidates=tuple(_figures(name, lines, runs) for name in candidates),
        checks_share=_share(steady["weir_checked"], steady["weir"]),
        canonical_share=_share(steady["weir"], steady["weir_raw"]),
        load=ratios(steady["weir_raw"], steady[BASE]),
        load_to_flat=ratios(steady["weir_raw"], steady[FLAT]),
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
        ours, bases = ("weir", "weir_checked", "weir_raw"), (BASE, FLAT)
        module = "weir" if name in ours else "base" if name in bases else "others"
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
    typer.echo(
        f"load: weir_raw costs {_times(report.load)} what duckdb costs, "
        f"{_times(report.load_to_flat)} what duckdb_flat costs."
    )
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


def _beside(runs: Sequence[Measured], as_json: bool) -> None:
    """Print the families beside each other."""
    from benchmarks.families import beside, show_beside

    rows = beside(runs)
    if as_json:
        typer.echo(json.dumps({"beside": list(map(asdict, rows))}, indent=1))
    else:
        show_beside(rows)


def main(
    lines: Annotated[int, typer.Option(min=1000, help="Data lines a family.")] = 500_000,
    count: Annotated[int, typer.Option("--rounds", min=1, help="Runs of each candidate.")] = 3,
    family: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the logs.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    others: Annotated[bool, typer.Option(help="Also Polars and PySpark, if installed.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Only weir: the families beside each other, in turns.")
    ] = False,
    cpu_hour_price: Annotated[
        float,
        typer.Option(
            min=0, help="Price of one core for one hour; 1 prints a TB's cost in CPU hours."
        ),
    ] = 1.0,
) -> None:
    """Measure the ingest against what DuckDB and pyiceberg do by themselves."""
    from benchmarks import families
    from benchmarks.logs import FAMILIES
    from benchmarks.others import OTHERS, installed

    candidates = (*CANDIDATES, *installed()) if others else tuple(CANDIDATES)
    wanted = family or list(FAMILIES)
    unknown = sorted(set(wanted) - set(FAMILIES))
    if unknown:
        raise typer.BadParameter(f"found {unknown}, expected some of {list(FAMILIES)}")
    if beside and others:
        raise typer.BadParameter("found --others with --beside, which measures weir alone")
    if beside:
        _beside(families.measured(wanted, lines, count, seed, _measured), as_json)
        return
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
        reports.append(report)
    if len(reports) > 1 and not as_json:
        _beside(
            [
                families.Measured(r.family, r.record, r.lines, r.raw_mb, r.weir_cpu_s)
                for r in reports
            ],
            as_json,
        )
    if as_json:
        known = {**CANDIDATES, **OTHERS}
        described = {name: known[name] for name in candidates}
        typer.echo(
            json.dumps({"candidates": described, "families": list(map(asdict, reports))}, indent=1)
        )


if __name__ == "__main__":
    typer.run(main)
