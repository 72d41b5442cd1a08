"""Rows of each mart as an hour gets denser: what fills its groups levels off, what does not grows.

Belongs here: counting and the words. Does not: time (benchmarks.marts), which prints this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.martlake import HOUR, START, Build, fill, fresh_home


@dataclass(frozen=True)
class Density:
    """One hour: its rows of bronze, and those of each mart."""

    bronze_rows: int
    marts: dict[str, int]


def measure(home: Path, densities: Sequence[int]) -> list[Density]:
    """Build one hour of each density in one lake and count."""
    hours = {START + n * HOUR: rows for n, rows in enumerate(densities)}
    fill(fresh_home(home), hours)
    build = Build(home)
    build.run([])
    build.run(list(hours))
    found = build.rows_by_hour()
    return [
        Density(rows, {mart: counts.get(hour, 0) for mart, counts in found.items()})
        for hour, rows in hours.items()
    ]


def growth(found: Sequence[Density], mart: str) -> list[float]:
    """Return how many times more rows a mart has at each density than at the one before."""
    counts = [f.marts[mart] for f in found]
    return [after / max(before, 1) for before, after in pairwise(counts)]


def text(found: Sequence[Density]) -> str:
    """Return the table, and a sentence that says whether a mart grows like bronze."""
    head = [f"{f.bronze_rows:,} rows an hour" for f in found]
    lines = [
        "",
        "Rows of a mart in one hour (for one of bronze), times those of the column before:",
    ]
    lines += ["", "| mart | " + " | ".join(head) + " |", "|---" * (len(found) + 1) + "|"]
    for mart in found[-1].marts:
        factors = ["", *(f", x{g:.2f}" for g in growth(found, mart))]
        cells = (
            f"{f.marts[mart]:,} ({f.marts[mart] / f.bronze_rows:.4f}){factor}"
            for f, factor in zip(found, factors, strict=True)
        )
        lines.append(f"| {mart} | " + " | ".join(cells) + " |")
    if len(found) > 1:
        lines += ["", _verdict(found)]
    return "\n".join(lines) + "\n"


def _verdict(found: Sequence[Density]) -> str:
    before, last = found[-2:]
    bronze = last.bronze_rows / before.bronze_rows
    grown = {mart: growth(found, mart)[-1] for mart in last.marts}
    fastest = max(grown, key=lambda mart: grown[mart])
    like = [mart for mart, factor in grown.items() if factor >= bronze]
    said = (
        f"From {before.bronze_rows:,} to {last.bronze_rows:,} rows an hour bronze grows "
        f"{bronze:.2f}-fold, {fastest} most of the marts: {grown[fastest]:.2f}-fold. "
    )
    return said + (f"Like bronze grows: {', '.join(like)}." if like else "None grows like bronze.")
