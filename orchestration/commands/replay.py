"""weir replay: read deliveries again after a fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lake.deliveries import read_ledger
from lake.ingest import Progress as Done
from lake.outcome import CatalogError, in_plain_words
from lake.replay import Replayed, ReplayReport
from lake.selection import STATES, Selection
from lake.settings import LakeSettings, load_settings
from orchestration.commands.ingest import as_dict
from orchestration.commands.output import console, grouped, iso, print_json, table
from orchestration.operations import feeds, landed, open_lake, run_replay


class _WrongQuestionError(Exception):
    """A condition that names nothing the lake knows."""


def run(
    home: Path | None,
    wanted: Selection,
    *,
    is_dry: bool,
    takes_fewer: bool,
    as_json: bool,
) -> int:
    """Replay what is selected; 1 where an object is gone or the catalog does not answer."""
    settings = load_settings(home=home)
    err = console(stderr=True)
    try:
        with in_plain_words():
            selection = _resolved(settings, wanted)
            reports = _replay(settings, selection, is_dry, takes_fewer, quiet=as_json)
    except (_WrongQuestionError, CatalogError) as problem:
        err.print(str(problem))
        return 2 if isinstance(problem, _WrongQuestionError) else 1
    if as_json:
        print_json(_as_json(reports, is_dry))
    else:
        _print(reports, is_dry)
    return 1 if any(r.outcome == "gone" for report in reports for r in report.replayed) else 0


def instant(text: str | None) -> datetime | None:
    """Read an ISO instant; without a zone it is UTC. Raises ValueError."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _replay(
    settings: LakeSettings, selection: Selection, is_dry: bool, takes_fewer: bool, *, quiet: bool
) -> list[ReplayReport]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    reports = []
    with Progress(*columns, console=console(stderr=True), transient=True, disable=quiet) as bar:
        for record in landed(feeds(settings).values()):
            task = bar.add_task(record.identifier, total=None)

            def show(p: Done, task: object = task) -> None:
                bar.update(task, completed=p.deliveries_done, total=p.deliveries_total)  # type: ignore[arg-type]

            now = datetime.now(UTC)
            reports.append(
                run_replay(
                    settings, record, now, selection,
                    is_dry=is_dry, takes_fewer=takes_fewer, progress=show,
                )
            )  # fmt: skip
    return reports


def _resolved(settings: LakeSettings, wanted: Selection) -> Selection:
    """Return the selection with whole ids; raises where it names what is not there."""
    unknown = wanted.states - set(STATES)
    if unknown:
        raise _WrongQuestionError(
            f"state {sorted(unknown)[0]!r}: expected one of {', '.join(STATES)}. Replaced "
            "deliveries and duplicates follow the one that counts."
        )
    known = set(feeds(settings))
    if wanted.sources - known:
        raise _WrongQuestionError(
            f"source {sorted(wanted.sources - known)[0]!r} is not known; "
            f"expected one of {', '.join(sorted(known))}."
        )
    if not wanted.delivery_ids:
        return wanted
    ledger = read_ledger(open_lake(settings))
    ids = set()
    for text in sorted(wanted.delivery_ids):
        found = [d for i, d in ledger.items() if i.startswith(text)]
        if len(found) != 1 or found[0].state not in STATES:
            names = ", ".join(f"{d.delivery_id} ({d.state})" for d in found[:5]) or "none"
            raise _WrongQuestionError(
                f"{text!r}: expected one delivery that is {', '.join(STATES)}; found {names}. "
                "`weir status DELIVERY` shows one."
            )
        ids.add(found[0].delivery_id)
    return replace(wanted, delivery_ids=frozenset(ids))


def _as_json(reports: Sequence[ReplayReport], is_dry: bool) -> dict[str, object]:
    return {
        "dry_run": is_dry,
        "by_outcome": _totals(reports),
        "hours": [h for r in reports for h in r.hours],
        "replayed": [
            {
                "outcome": one.outcome,
                "reason": one.reason,
                "before": as_dict(one.before),
                "after": as_dict(one.after) if one.after else None,
            }
            for r in reports
            for one in r.replayed
        ],
        "changes": [as_dict(d) for r in reports for d in r.changes],
    }


def _totals(reports: Sequence[ReplayReport]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for report in reports:
        for outcome, n in report.by_outcome.items():
            counts[outcome] = counts.get(outcome, 0) + n
    return dict(sorted(counts.items()))


_MEANING = {
    "moved": "its rows are in now",
    "changed": "read otherwise than before",
    "same": "read the same again: left alone",
    "kept": "the new reading is worse: what is loaded stays",
    "gone": "not in landing any more: left as it is",
}


def _print(reports: Sequence[ReplayReport], is_dry: bool) -> None:
    out = console()
    totals = _totals(reports)
    if not totals:
        out.print("nothing is selected: `weir status --held` lists what waits")
        return
    title = "What a replay would do" if is_dry else "What the replay did"
    out.print(
        table(title, ("outcome", "contents", ""), [(o, n, _MEANING[o]) for o, n in totals.items()],
              (1,))
    )  # fmt: skip
    told = [r for report in reports for r in report.replayed if r.outcome != "same"]
    if told:
        out.print(table("Deliveries", _COLUMNS, (_row(r) for r in told), (4,)))
    hours = [h for report in reports for h in report.hours]
    if hours:
        would = "would become" if is_dry else "are"
        span = iso(min(hours)) if len(hours) == 1 else f"{iso(min(hours))} to {iso(max(hours))}"
        out.print(f"{len(set(hours))} hours {would} stale: {span}. `weir refresh` builds them.")


_COLUMNS = ("outcome", "delivery", "key", "state", "accepted", "reason")


def _row(r: Replayed) -> tuple[object, ...]:
    new = r.after or r.before
    state = new.state if new.state == r.before.state else f"{r.before.state} -> {new.state}"
    accepted = f"{grouped(r.before.accepted)} -> {grouped(new.accepted)}"
    return r.outcome, new.delivery_id, new.key, state, accepted, r.reason
