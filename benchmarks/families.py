"""The families beside each other: what a line of each costs `weir`, as a share of the cheapest.

Belongs here: the comparison between families. Does not: that of candidates in one family (ingest).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer

from benchmarks.harness import Spread, Usage, ratios, rounds
from benchmarks.logs import Logs, make_logs
from benchmarks.setup import source_of
from lake.formats import family_of


@dataclass(frozen=True)
class Measured:
    """The runs of one family: as many lines as the others', `steady_cpu_s` by round."""

    family: str
    #: the table that its lines go to
    record: str
    lines: int
    raw_mb: float
    steady_cpu_s: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """A family beside the others: its lines per CPU second, and as shares, taken round by round."""

    family: str
    record: str
    bytes_per_line: float
    lines_per_cpu_s: Spread
    #: of those of the fastest family of the same table
    of_its_table: Spread
    #: of those of the fastest family of all
    of_all: Spread


def record_of(family: str) -> str:
    """Return the table that a family's lines go to."""
    return family_of(source_of(family).format).record.identifier


def measured(
    families: Sequence[str],
    lines: int,
    count: int,
    seed: int,
    run: Callable[[str, Path], Usage],
) -> list[Measured]:
    """Make the logs of all families, then run `weir` on each of them, `count` times in turns."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as root:
        logs: dict[str, Logs] = {}
        for name in families:
            folder = Path(root) / name
            folder.mkdir()
            logs[name] = make_logs(name, lines, folder, seed)
            typer.echo(f"{name} written, {logs[name].raw_bytes / 1e6:.0f} MB", err=True)
        runs: dict[str, list[float]] = {name: [] for name in families}
        turns = {name: partial(run, "weir", Path(root) / name) for name in families}
        for number, name, usage in rounds(turns, count):
            _exact(name, usage)
            runs[name].append(usage.steady_cpu_s)
            typer.echo(f"{number + 1}/{count} {name} {usage.steady_cpu_s:.2f} s", err=True)
        return [
            Measured(name, record_of(name), lines, logs[name].raw_bytes / 1e6, tuple(runs[name]))
            for name in families
        ]


def _exact(family: str, usage: Usage) -> None:
    if not usage.outcome["is_exact"]:
        raise RuntimeError(
            f"{family}: expected exactly the broken lines among the rejects, found "
            f"{usage.outcome['malformed']} that are not the same. A wrong result has no speed: run "
            f"`python -m benchmarks.ingest --family {family}`."
        )


def beside(runs: Sequence[Measured]) -> list[Row]:
    """Hold each family beside the fastest of its table and of all, the fastest first."""

    def fastest(of: Sequence[Measured]) -> Measured:
        return min(of, key=_middle)

    best = fastest(runs)
    best_of: Mapping[str, Measured] = {
        record: fastest([r for r in runs if r.record == record])
        for record in {r.record for r in runs}
    }
    return [
        Row(
            family=r.family,
            record=r.record,
            bytes_per_line=r.raw_mb * 1e6 / r.lines,
            lines_per_cpu_s=Spread.of(r.lines / s for s in r.steady_cpu_s),
            of_its_table=ratios(best_of[r.record].steady_cpu_s, r.steady_cpu_s),
            of_all=ratios(best.steady_cpu_s, r.steady_cpu_s),
        )
        for r in sorted(runs, key=_middle)
    ]


def _middle(runs: Measured) -> float:
    return Spread.of(runs.steady_cpu_s).median


def show_beside(rows: Sequence[Row]) -> None:
    """Print the families beside each other, by what `weir` costs."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="families beside each other, weir", title_justify="left")
    table.add_column("family", no_wrap=True)
    table.add_column("table", no_wrap=True)
    for name in ("bytes a line", "lines / CPU s", "of the fastest of its table", "of all"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.family,
            row.record,
            f"{row.bytes_per_line:,.0f}",
            f"{row.lines_per_cpu_s.median:,.0f}",
            _share(row.of_its_table),
            _share(row.of_all),
        )
    Console(width=max(Console().width, 120)).print(table)
    for record in sorted({row.record for row in rows}):
        of_it = [row for row in rows if row.record == record]
        last = min(of_it, key=lambda row: row.of_its_table.median)
        if len(of_it) > 1:
            typer.echo(
                f"{record}: the slowest family, {last.family}, reaches "
                f"{last.of_its_table.median:.2f} of the fastest's lines per CPU second."
            )


def _share(spread: Spread) -> str:
    if spread.low == spread.high:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"
