"""weir ingest and weir release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lake.deliveries import Delivery, read_ledger
from lake.ingest import Progress as IngestProgress
from lake.records import BRONZE
from lake.settings import load_settings
from orchestration.commands.output import console, grouped, print_json, table
from orchestration.operations import open_lake, run_ingest


def run(home: Path | None, released: Sequence[str], *, as_json: bool) -> int:
    """Ingest all tables; 0 also when deliveries were held: that is what holding is for."""
    settings = load_settings(home=home)
    out = console(stderr=True)
    ids = _released_ids(list(read_ledger(open_lake(settings)).values()), released)
    if ids is None:
        return 2
    changes: list[Delivery] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=out, transient=True, disable=as_json) as bar:
        for record in BRONZE:
            task = bar.add_task(record.identifier, total=None)

            def show(p: IngestProgress, task: object = task) -> None:
                bar.update(task, completed=p.deliveries_done, total=p.deliveries_total)  # type: ignore[arg-type]

            report = run_ingest(settings, record, datetime.now(UTC), ids, show)
            changes += report.changes
    if as_json:
        print_json({"changes": [_as_dict(d) for d in changes]})
    else:
        _print(changes)
    return 0


def _released_ids(ledger: Sequence[Delivery], wanted: Sequence[str]) -> list[str] | None:
    """Resolve beginnings of ids among held deliveries; None after an error was printed."""
    ids = []
    for text in wanted:
        matches = [d for d in ledger if d.delivery_id.startswith(text)]
        held = [d for d in matches if d.state == "held"]
        if len(held) != 1:
            found = ", ".join(f"{d.delivery_id} ({d.state})" for d in matches[:5]) or "none"
            console(stderr=True).print(
                f"{text!r}: expected one held delivery, found {found}. "
                "`weir status --held` lists them."
            )
            return None
        ids.append(held[0].delivery_id)
    return ids


def _as_dict(d: Delivery) -> dict[str, object]:
    return {
        "delivery_id": d.delivery_id,
        "source": d.source,
        "key": d.key,
        "state": d.state,
        "reason": d.reason,
        "lines": d.lines,
        "accepted": d.accepted,
        "rejected": d.rejected,
        "header": d.header,
        "blank": d.blank,
    }


def _print(changes: Sequence[Delivery]) -> None:
    out = console()
    if not changes:
        out.print("nothing new in landing; nothing changed")
        return
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for d in changes:
        groups.setdefault((d.source, d.state), []).append(d)
    rows = [
        (source, state, len(ds), *(grouped(sum(getattr(d, c) or 0 for d in ds)) for c in _COUNTS))
        for (source, state), ds in sorted(groups.items())
    ]
    out.print(table("What changed", ("source", "now", "deliveries", *_COUNTS), rows, range(2, 8)))
    for d in changes:
        if d.state in ("held", "rejected"):
            out.print(f"{d.state} {d.delivery_id} ", end="")
            out.print(table("", ("key", "reason"), [(d.key, d.reason)]))


_COUNTS = ("lines", "accepted", "rejected", "header", "blank")
