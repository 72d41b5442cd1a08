"""Rating beside reading: a year of 5-minute samples under the 95th percentile.

    python -m benchmarks.rating [--scopes 1000] [--csv-scopes 100] [--days 365] [--rounds 3]

Reading is what any rating must do at least: every column of the usage decoded and added up. Rating
is the whole of `orchestration.rating.rate`: calendar, ranks, tiers, lines, bills. Twice: all scopes
counted together, and each scope alone, where every sample of every scope is ranked. Beside them the
shortest SQL one would write by hand for the latter, and `weir bill` from file to bill, with the
checks of every row. A CSV file is read and billed too, of fewer scopes: it is four times as big.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.harness import Job, Spread, measure, ratios, rounds
from lake.contracts import parse_contract
from lake.contracts.folder import alone
from lake.reads import connect, quote_literal
from orchestration.rating import TRAFFIC, rate
from orchestration.usage_files import show_usage

_CONTRACT = """\
contract_id: bench
vendor: v
currency: USD
valid_from: 2024-01-01
components:
  - {{kind: p95, price_per_mbps: "1.5", per: {per}}}
"""
_WRITE = """
copy (
    select 'scope-' || (i // {slots}) as scope,
        make_timestamptz(1735689600000000 + (i % {slots}) * 300000000) as slot_start,
        (hash(i * 7) % 3000000000)::bigint as bytes, (hash(i) % 1000)::bigint as requests,
        0::bigint as bytes_in
    from range({slots}::bigint * {scopes}) as t(i)
) to {file} (format {kind})
"""
_PLAIN = """
select scope, date_trunc('month', slot_start), quantile_disc(bytes, 0.95) from {file} group by 1, 2
"""


def reading(file: str) -> Job:
    """Return the job that reads every column of a file of usage."""
    connection = connect(None)

    def run() -> None:
        connection.execute(
            "select count(scope), min(slot_start), sum(requests), sum(bytes), sum(bytes_in) "
            f"from {quote_literal(file)} where scope <> ''"
        ).fetchall()

    return Job(run, dict)


def plain(file: str) -> Job:
    """Return the job of the percentiles alone, as one would write them by hand."""
    connection = connect(None)
    sql = _PLAIN.format(file=quote_literal(file))
    return Job(lambda: connection.execute(sql).fetchall() and None, dict)


def rating(file: str, per: str, folder: str, *, with_checks: bool = False) -> Job:
    """Return the job that rates the file under one percentile."""
    connection = connect(None)
    contract = parse_contract(_CONTRACT.format(per=per), Path("bench.yaml"))

    def show() -> bool:
        return show_usage(connection, [Path(file)], contract, TRAFFIC, Path(folder))

    def run() -> None:
        is_complete = show() if with_checks else known
        rate(connection, [alone(contract, Path("bench.yaml"))], is_complete=is_complete)

    def outcome() -> Mapping[str, Any]:
        row = connection.execute("select count(*), sum(amount) from bill_lines").fetchone()
        return {"lines": row[0] if row else 0, "amount": str(row[1] if row else 0)}

    known = not with_checks and show()
    return Job(run, outcome)


def _candidates(folder: Path, days: int, scopes: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Write the files and return by kind what is measured on it."""
    found: dict[str, dict[str, Any]] = {}
    for kind, count in scopes.items():
        file = str(folder / f"usage.{kind}")
        with connect(None) as connection:
            connection.execute(
                _WRITE.format(slots=days * 288, scopes=count, kind=kind, file=quote_literal(file))
            )
        given = {"file": file, "folder": str(folder)}
        found[kind] = {
            "reading": ("reading", {"file": file}),
            "plain SQL": ("plain", {"file": file}),
            "rating, all together": ("rating", given | {"per": "account"}),
            "rating, each scope alone": ("rating", given | {"per": "scope"}),
            "weir bill, each scope alone": (
                "rating", given | {"per": "scope", "with_checks": True}
            ),
        }  # fmt: skip
    return found


def _measured(candidates: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return what each candidate cost, `reading` being one."""
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    peak: dict[str, float] = {}
    outcomes: dict[str, Mapping[str, Any]] = {}
    calls = {
        name: partial(measure, f"benchmarks.rating:{target}", arguments)
        for name, (target, arguments) in candidates.items()
    }
    for _, name, usage in rounds(calls, count):
        cpu[name].append(usage.steady_cpu_s)
        peak[name] = max(peak.get(name, 0.0), usage.peak_rss_mb)
        outcomes[name] = usage.outcome
    return [
        {
            "candidate": name,
            "cpu_s": asdict(Spread.of(values)),
            "ratio": asdict(ratios(values, cpu["reading"])),
            "peak_rss_mb": round(peak[name]),
            **outcomes[name],
        }
        for name, values in cpu.items()
    ]


def main(
    scopes: Annotated[int, typer.Option(help="Customers or domains of the Parquet file.")] = 1000,
    csv_scopes: Annotated[int, typer.Option(help="Those of the CSV file.")] = 100,
    days: Annotated[int, typer.Option(help="Days of samples.")] = 365,
    count: Annotated[int, typer.Option("--rounds", help="Measurements of each.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print what rating costs, reading being one."""
    sizes = {"parquet": scopes, "csv": csv_scopes}
    with tempfile.TemporaryDirectory(prefix="weir-rating-") as folder:
        found = {
            kind: {"rows": sizes[kind] * days * 288, "candidates": _measured(candidates, count)}
            for kind, candidates in _candidates(Path(folder), days, sizes).items()
        }
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for kind, report in found.items():
        sys.stdout.write(f"{report['rows']:,} samples, {kind}\n\n")
        sys.stdout.write("| | CPU s | times reading | peak MB |\n|---|---|---|---|\n")
        for one in report["candidates"]:
            cpu_s, ratio = Spread(**one["cpu_s"]), Spread(**one["ratio"])
            sys.stdout.write(
                f"| {one['candidate']} | {cpu_s.median:.2f} | {ratio.median:.1f} "
                f"({ratio.low:.1f} to {ratio.high:.1f}) | {one['peak_rss_mb']} |\n"
            )
        sys.stdout.write("\n")


if __name__ == "__main__":
    typer.run(main)
