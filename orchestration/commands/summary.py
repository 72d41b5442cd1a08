"""The demo's summary: for a stranger, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestration.commands.output import console, grouped, table

if TYPE_CHECKING:
    from orchestration.commands.demo_figures import DemoResult


def as_document(result: DemoResult) -> dict[str, Any]:
    """Return the result as a JSON document; money as text, counts as numbers."""
    return {
        "scenario": result.scenario,
        "is_right": result.is_right,
        "checks": [
            {
                "group": c.group,
                "name": c.name,
                "pipeline": c.pipeline,
                "truth": c.truth,
                "difference": 0 if c.difference == 0 else c.difference,
            }
            for c in result.checks
        ],
        "estimates": [
            {
                "name": e.name,
                "pipeline": e.pipeline,
                "truth": e.truth,
                "relative_error": e.relative_error,
                "bound": e.bound,
            }
            for e in result.estimates
        ],
        "deliveries": result.deliveries,
        "duplicates": result.duplicates,
        "incidents": result.incidents,
        "expectations": result.checks_by_layer,
        "qos": result.qos,
        "engagement": result.engagement,
        "places": result.places,
        "bills": result.bills,
        "runs": [vars(r) for r in result.runs],
        "repeat": {"runs": result.repeat_runs, "snapshots": result.repeat_snapshots},
        "release_no": result.release_no,
        "home": result.settings.home,
        "seconds": round(result.seconds, 1),
        "peak_mb": round(result.peak_mb),
    }


def show(result: DemoResult) -> None:
    """Print the summary."""
    out = console()
    _deliveries(result)
    _incidents(result)
    _numbers(result)
    _bills(result)
    _beside_truth(result)
    wrong = [c for c in result.checks if c.difference != 0]
    late = [e for e in result.estimates if not e.is_within]
    out.print()
    if result.is_right:
        out.print(
            f"{len(result.checks)} of {len(result.checks)} figures equal the truth of what was "
            f"delivered, difference 0; {len(result.estimates)} percentiles within 1 %.",
            soft_wrap=True,
        )
    else:
        out.print(
            f"NOT RIGHT: {len(wrong)} of {len(result.checks)} figures differ, {len(late)} "
            f"percentiles off, {sum(not r.is_success for r in result.runs)} runs failed, the "
            f"repeat made {result.repeat_runs} runs and {result.repeat_snapshots} snapshots."
        )
    out.print(
        f"Run again on the same landing: {result.repeat_runs} runs, {result.repeat_snapshots} "
        f"snapshots. {len(result.runs)} Dagster runs, release {result.release_no}, "
        f"{result.seconds:.0f} s, peak {result.peak_mb:.0f} MB."
    )
    home = result.settings.home
    out.print("\nWhere to look next")
    for what, how in (
        ("the Dagster UI and the dbt docs of this lake", f".venv/bin/weir up --dir {home}"),
        ("ask it", f'.venv/bin/weir sql --dir {home} "select * from gold.qos_hourly limit 5"'),
        ("what is in, held, stale", f".venv/bin/weir status --dir {home}"),
        ("what a log file means to Weir", f".venv/bin/weir inspect {home}/landing/cloudfront/*.gz"),
    ):
        out.print(f"  {what:45} {how}", soft_wrap=True)


def _deliveries(result: DemoResult) -> None:
    out = console()
    columns = ("lines", "accepted", "rejected", "header", "blank")
    rows = []
    for r in result.deliveries:
        counts = [int(r[c] or 0) for c in columns]
        adds_up = counts[0] == sum(counts[1:])
        rows.append(
            (r["source"], r["state"], grouped(r["deliveries"]), *(grouped(n) for n in counts),
             "yes" if adds_up else "NO")
        )  # fmt: skip
    out.print(
        table(
            "Deliveries by state: lines = accepted + rejected + header + blank",
            ("feed", "state", "deliveries", *columns, "adds up"),
            rows,
            range(2, 8),
        )
    )
    found = ", ".join(f"{d['source']} {grouped(d['duplicate_rows'])}" for d in result.duplicates)
    out.print(f"Rows in bronze that repeat another row, counted once in every mart: {found}")
    judged = [
        (c["layer"], c["severity"], grouped(c["judged"]), grouped(c["failed"]))
        for c in result.checks_by_layer
    ]
    out.print(
        table("Checks (Great Expectations)", ("layer", "severity", "judged", "failed"), judged,
              (2, 3))
    )  # fmt: skip


def _incidents(result: DemoResult) -> None:
    rows = [(i["name"], i["what_happened"], i["became"]) for i in result.incidents]
    console().print(
        table(
            "Incidents and what became of their deliveries",
            ("incident", "what happened", "deliveries and their states"),
            rows,
        )
    )


def _numbers(result: DemoResult) -> None:
    out = console()
    out.print(
        table(
            "Quality of service by CDN",
            ("CDN", "requests", "GB", "hit ratio", "byte hit ratio", "4xx", "5xx", "no response",
             "aborted"),
            [
                (r["cdn"], grouped(int(r["requests"])), f"{r['bytes'] / 1e9:,.1f}",
                 f"{r['hit_ratio_requests']:.4f}", f"{r['hit_ratio_bytes']:.4f}",
                 *(grouped(int(r[c])) for c in ("errors_4xx", "errors_5xx", "no_response",
                                                "aborted")))
                for r in result.qos
            ],
            range(1, 9),
        )
    )  # fmt: skip
    out.print(
        table(
            "Engagement by customer",
            ("customer", "impressions", "clicks", "CTR", "plays", "valid plays", "watch hours"),
            [
                (r["customer"], grouped(int(r["impressions"])), grouped(int(r["clicks"])),
                 f"{r['ctr']:.4f}", grouped(int(r["plays"])), grouped(int(r["valid_plays"])),
                 f"{r['watch_hours']:,.1f}")
                for r in result.engagement
            ],
            range(1, 7),
        )
    )  # fmt: skip
    out.print(
        table(
            "Viewers by country, by the geo files",
            ("country", "networks", "requests", "GB", "share"),
            [
                (r["country"], grouped(int(r["networks"])), grouped(int(r["requests"])),
                 f"{r['bytes'] / 1e9:,.1f}", f"{r['share']:.1%}")
                for r in result.places
            ],
            range(1, 5),
        )
    )  # fmt: skip


def _bills(result: DemoResult) -> None:
    out = console()
    out.print(
        table(
            "Bills: low counts delivered rows alone; expected and high fill incomplete slots up",
            ("month", "contract", "low", "expected", "high", "currency", "incomplete slots"),
            [
                (f"{r['month']:%Y-%m}", r["contract_id"],
                 *(grouped(plain_money(r[c])) for c in ("amount_low", "amount", "amount_high")),
                 r["currency"], grouped(r["incomplete_slots"]))
                for r in result.bills
            ],
            (2, 3, 4, 6),
        )
    )  # fmt: skip
    for r in result.bills:
        if r["estimated_bytes"]:
            out.print(why_incomplete(r), soft_wrap=True)


def why_incomplete(bill: Mapping[str, Any]) -> str:
    """Return why a bill is not complete, as a sentence."""
    return (
        f"{bill['contract_id']}, {bill['month']:%Y-%m}: {grouped(bill['incomplete_slots'])} "
        "five-minute slots lack deliveries that are held or were refused; beside the "
        f"{grouped(bill['logged_bytes'])} logged bytes these are taken to hold "
        f"{grouped(int(bill['estimated_bytes']))}, by their lines or their size. Release them, or "
        "let them come again whole (weir status --held)."
    )


def plain_money(value: Decimal) -> Decimal:
    """Return an amount with two digits, more only where they say something."""
    short = value.quantize(Decimal("0.01"))
    return short if short == value else value.normalize()


def _beside_truth(result: DemoResult) -> None:
    rows: list[tuple[str, ...]] = [
        (c.group, c.of, c.figure, grouped(c.pipeline), grouped(c.truth), _difference(c.difference))
        for c in result.checks
    ]
    rows += [
        ("ttfb", e.of, e.figure, f"{e.pipeline:,.2f}", f"{e.truth:,.2f}", f"{e.relative_error:.2%}")
        for e in result.estimates
    ]
    console().print(
        table(
            "The pipeline beside the truth of what was delivered",
            ("mart", "of", "figure", "pipeline", "truth", "difference"),
            rows,
            (3, 4, 5),
        )
    )


def _difference(value: int | Decimal) -> str:
    return "0" if value == 0 else grouped(value)
