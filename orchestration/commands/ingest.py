"""weir ingest and weir release."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lake.deliveries import Delivery, read_ledger
from lake.geo import GeoError
from lake.ingest import Progress as IngestProgress
from lake.locations import LocationError, S3Location
from lake.notifications import MAX_BYTES, hinted_keys
from lake.outcome import CatalogError, in_plain_words
from lake.pseudonyms import KeyringError
from lake.settings import LakeSettings, load_settings
from lake.settling import Gone
from orchestration.commands.output import console, grouped, lines_safe, print_json, table
from orchestration.operations import feeds, landed, open_lake, run_ingest


def run(
    home: Path | None,
    released: Sequence[str],
    *,
    hints: Sequence[Path] | None = None,
    as_json: bool,
) -> int:
    """Ingest all tables; 0 also when deliveries were held: that is what holding is for.

    1 where the catalog does not answer, or the object of a release is gone; 2 where the keys or
    the geo files cannot be used.
    """
    try:
        with in_plain_words():
            return _run(home, released, hints, as_json=as_json)
    except CatalogError as err:
        console(stderr=True).print(str(err))
        return 1
    except (GeoError, KeyringError) as err:
        console(stderr=True).print(f"weir ingest: {lines_safe(str(err))}", soft_wrap=True)
        return 2


def _run(
    home: Path | None, released: Sequence[str], hints: Sequence[Path] | None, *, as_json: bool
) -> int:
    settings = load_settings(home=home)
    hinted = _hinted(settings, hints) if hints else None
    out = console(stderr=True)
    ids = _released_ids(list(read_ledger(open_lake(settings)).values()), released)
    if ids is None:
        return 2
    changes: list[Delivery] = []
    gone: list[Gone] = []
    vanished: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=out, transient=True, disable=as_json) as bar:
        for record in landed(feeds(settings).values()):
            task = bar.add_task(record.identifier, total=None)

            def show(p: IngestProgress, task: object = task) -> None:
                bar.update(task, completed=p.deliveries_done, total=p.deliveries_total)  # type: ignore[arg-type]

            report = run_ingest(settings, record, datetime.now(UTC), ids, show, hinted)
            changes += report.changes
            gone += report.gone
            vanished += report.vanished
    if as_json:
        print_json(
            {
                "changes": [as_dict(d) for d in changes],
                "gone": [asdict(g) for g in gone],
                "vanished": vanished,
            }
        )
    else:
        _print(changes)
        print_gone(gone)
        if vanished:
            console().print(
                f"{len(vanished)} vanished or were overwritten between listing and reading; the "
                "next ingest takes up what is there then"
            )
    return 1 if set(ids) & {g.delivery_id for g in gone} else 0


def _hinted(settings: LakeSettings, hints: Sequence[Path]) -> list[str]:
    """Return the keys that event notifications name; several files may name one twice."""
    if not isinstance(settings.landing, S3Location):
        raise LocationError(
            f"--hint takes S3 events and landing is the folder {settings.landing}; expected "
            "s3://bucket/prefix in WEIR_LANDING. Run weir ingest without it."
        )
    keys: dict[str, None] = {}
    for path in hints:
        if str(path) == "-":
            text = sys.stdin.read(MAX_BYTES + 1)
        else:
            with path.open(encoding="utf-8", errors="replace") as stream:
                text = stream.read(MAX_BYTES + 1)
        keys |= dict.fromkeys(hinted_keys(text, settings.landing))
    return list(keys)


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


def as_dict(d: Delivery) -> dict[str, object]:
    """Return what JSON says of a delivery."""
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


def print_gone(gone: Sequence[Gone]) -> None:
    """Print the deliveries whose object is wanted and not in landing."""
    if gone:
        rows = [(g.delivery_id, g.source, g.key, g.reason) for g in gone]
        out = console()
        out.print(table("Not in landing", ("delivery", "source", "key", "found"), rows))
        out.print("they stay as they are: put the objects back into landing, then run it again")


_COUNTS = ("lines", "accepted", "rejected", "header", "blank")
