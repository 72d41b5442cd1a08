"""Rating beside reading: a year of 5-minute samples under the 95th percentile.

    python -m benchmarks.rating [--scopes 1000] [--days 365] [--rounds 3] [--json]

Reading is what any rating must do at least: every column of the usage decoded and added up. Rating
is the whole of `orchestration.rating.rate`: calendar, regions, ranks, tiers, lines, bills. Twice:
all scopes counted together, and each scope alone, where every sample of every scope is ranked.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.harness import Job, Spread, measure, ratios, rounds
from lake.contracts import parse_contract
from lake.contracts.folder import alone
from lake.reads import connect, quote_literal
from orchestration.rating import TRAFFIC, rate

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
    select 'v' as vendor, 'scope-' || (i // {slots}) as scope, null::varchar as pop,
        null::varchar as region, null::varchar as scheme,
        make_timestamptz(1735689600000000 + (i % {slots}) * 300000000) as slot_start,
        null::date as period, (hash(i) % 1000)::bigint as requests,
        (hash(i * 7) % 3000000000)::bigint as bytes, 0::bigint as bytes_in,
        1000000::integer as completeness_ppm
    from range({slots}::bigint * {scopes}) as t(i)
) to {file} (format parquet)
"""


def reading(file: str) -> Job:
    """Return the job that reads every column that rating reads."""
    connection = connect(None)

    def run() -> None:
        connection.execute(
            "select count(vendor), count(scope), min(slot_start), sum(requests), sum(bytes), "
            f"sum(bytes_in), min(completeness_ppm) from read_parquet({quote_literal(file)}) "
            "where vendor <> '' and scope <> ''"
        ).fetchall()

    return Job(run, dict)


def rating(file: str, per: str) -> Job:
    """Return the job that rates the file under one percentile."""
    connection = connect(None)
    contract = parse_contract(_CONTRACT.format(per=per), Path("bench.yaml"))
    connection.execute(
        f"create temp view {TRAFFIC} as select * from read_parquet({quote_literal(file)})"
    )

    def outcome() -> Mapping[str, Any]:
        row = connection.execute("select count(*), sum(amount) from bill_lines").fetchone()
        return {"lines": row[0] if row else 0, "amount": str(row[1] if row else 0)}

    return Job(lambda: rate(connection, [alone(contract, Path("bench.yaml"))]), outcome)


def main(
    scopes: Annotated[int, typer.Option(help="Customers or domains.")] = 1000,
    days: Annotated[int, typer.Option(help="Days of samples.")] = 365,
    count: Annotated[int, typer.Option("--rounds", help="Measurements of each.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print what rating costs, reading being one."""
    with tempfile.TemporaryDirectory(prefix="weir-rating-") as folder:
        file = str(Path(folder) / "usage.parquet")
        with connect(None) as connection:
            connection.execute(
                _WRITE.format(slots=days * 288, scopes=scopes, file=quote_literal(file))
            )
        candidates = {
            "reading": lambda: measure("benchmarks.rating:reading", {"file": file}),
            "rating, all together": lambda: measure(
                "benchmarks.rating:rating", {"file": file, "per": "account"}
            ),
            "rating, each scope alone": lambda: measure(
                "benchmarks.rating:rating", {"file": file, "per": "scope"}
            ),
        }
        cpu: dict[str, list[float]] = {name: [] for name in candidates}
        peak: dict[str, float] = {}
        outcomes: dict[str, Mapping[str, Any]] = {}
        for _, name, usage in rounds(candidates, count):
            cpu[name].append(usage.steady_cpu_s)
            peak[name] = max(peak.get(name, 0.0), usage.peak_rss_mb)
            outcomes[name] = usage.outcome
    found = [
        {
            "candidate": name,
            "cpu_s": asdict(Spread.of(values)),
            "ratio": asdict(ratios(values, cpu["reading"])),
            "peak_rss_mb": round(peak[name]),
            **outcomes[name],
        }
        for name, values in cpu.items()
    ]
    if as_json:
        sys.stdout.write(json.dumps({"rows": scopes * days * 288, "candidates": found}) + "\n")
        return
    sys.stdout.write(f"{scopes * days * 288:,} samples\n\n")
    sys.stdout.write("| | CPU s | times reading | peak MB |\n|---|---|---|---|\n")
    for one in found:
        cpu_s, ratio = Spread(**one["cpu_s"]), Spread(**one["ratio"])
        sys.stdout.write(
            f"| {one['candidate']} | {cpu_s.median:.2f} | {ratio.median:.1f} "
            f"({ratio.low:.1f} to {ratio.high:.1f}) | {one['peak_rss_mb']} |\n"
        )


if __name__ == "__main__":
    typer.run(main)
