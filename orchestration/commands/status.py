"""weir status: what is in, held, stale and released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lake.deliveries import Delivery, history_of, read_ledger
from lake.publish import last_release
from lake.settings import load_settings
from lake.versions import Family
from orchestration.commands.drift import drift_of, shown_rows
from orchestration.commands.output import console, grouped, iso, print_json, table
from orchestration.operations import feeds, open_lake
from orchestration.refresh import find_stale
from orchestration.settings import price_contracts

_FAMILIES: tuple[Family, ...] = ("delivery", "rollup", "engagement", "billing")
_COUNTS = ("lines", "accepted", "rejected", "header", "blank")


def run(home: Path | None, *, held: bool, as_json: bool) -> int:
    """Print the state of the lake."""
    settings = load_settings(home=home)
    catalog = open_lake(settings)
    ledger = sorted(read_ledger(catalog).values(), key=lambda d: (d.source, d.key, d.etag))
    if held:
        return _print_held([d for d in ledger if d.state in ("held", "rejected")], as_json)
    stale = {f: find_stale(catalog, f, price_contracts()) for f in _FAMILIES}
    drift = drift_of(catalog, ledger)
    shown = last_release(catalog)
    known = sorted({d.source for d in ledger} | set(feeds(settings)))
    if as_json:
        print_json(
            {
                "home": settings.home,
                "deliveries": {s: _states([d for d in ledger if d.source == s]) for s in known},
                "lines": {s: _lines([d for d in ledger if d.source == s]) for s in known},
                "drift": [asdict(d) for d in drift],
                "stale": {
                    f: {
                        "partitions": len(found),
                        "given_up": sum(p.is_given_up for p in found),
                        "first": found[0].start if found else None,
                        "last": found[-1].start if found else None,
                    }
                    for f, found in stale.items()
                },
                "release": {"release_no": shown.release_no, "released_at": shown.released_at}
                if shown
                else None,
            }
        )
        return 0
    out = console()
    out.print(f"lake at {settings.home}")
    rows = []
    for source in known:
        own = [d for d in ledger if d.source == source]
        states = ", ".join(f"{n} {s}" for s, n in _states(own).items()) or "no delivery yet"
        rows.append((source, states, *(grouped(v) for v in _lines(own).values())))
    out.print(table("Deliveries and their lines", ("source", "deliveries", *_COUNTS), rows,
                    range(2, 7)))  # fmt: skip
    if drift:
        columns = ("source", "what", "deliveries", "last in")
        out.print(table("What vendors changed, or looks odd", columns, shown_rows(drift), (2,)))
    late = [
        (f, len(found), sum(p.is_given_up for p in found),
         iso(found[0].start) if found else "-", iso(found[-1].start) if found else "-")
        for f, found in stale.items()
    ]  # fmt: skip
    out.print(
        table("Stale partitions", ("marts", "stale", "given up", "first", "last"), late, (1, 2))
    )
    out.print(
        f"readers see release {shown.release_no} of {iso(shown.released_at)}"
        if shown
        else "no release yet: weir refresh, or weir up"
    )
    return 0


def show(home: Path | None, text: str, *, as_json: bool) -> int:
    """Print the facts and the history of one delivery; 2 where the id names none or several."""
    catalog = open_lake(load_settings(home=home))
    ledger = read_ledger(catalog)
    found = [d for i, d in sorted(ledger.items()) if i.startswith(text)]
    if len(found) != 1:
        names = ", ".join(f"{d.delivery_id} ({d.state})" for d in found[:5]) or "none"
        console(stderr=True).print(
            f"{text!r}: expected the beginning of one delivery's id, found {names}. "
            "`weir sql` over ops.deliveries lists them all."
        )
        return 2
    d = found[0]
    history = history_of(catalog, d.delivery_id)
    facts = {
        name: value
        for name, value in asdict(d).items()
        if name not in ("change_no", "changed_at", "batch_id")
    }
    if as_json:
        print_json({**facts, "history": [_change(h) for h in history]})
        return 0
    out = console()
    shown = {**facts, "hours": ", ".join(f"{iso(h.hour)} ({grouped(h.rows)})" for h in d.hours)}
    shown["unknown_fields"] = ", ".join(d.unknown_fields)
    out.print(table("Delivery", ("", "now"), shown.items()))
    columns = ("change", "at", "state", "accepted", "rejected", "parser", "reason", "other")
    rows = [
        (h.change_no, h.changed_at, h.state, h.accepted, h.rejected, h.parser_version, h.reason,
         h.other_delivery_id)
        for h in history
    ]  # fmt: skip
    out.print(table("History", columns, rows, (0, 3, 4)))
    return 0


def _change(d: Delivery) -> dict[str, object]:
    names = ("change_no", "changed_at", "batch_id", "state", "verdict", "reason",
             "other_delivery_id", "parser_version", *_COUNTS)  # fmt: skip
    return {name: getattr(d, name) for name in names}


def _states(deliveries: Sequence[Delivery]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for d in deliveries:
        counts[d.state] = counts.get(d.state, 0) + 1
    return dict(sorted(counts.items()))


def _lines(deliveries: Sequence[Delivery]) -> dict[str, int]:
    return {c: sum(getattr(d, c) or 0 for d in deliveries) for c in _COUNTS}


def _print_held(found: Sequence[Delivery], as_json: bool) -> int:
    if as_json:
        print_json(
            [
                {"delivery_id": d.delivery_id, "source": d.source, "key": d.key, "state": d.state,
                 "reason": d.reason}
                for d in found
            ]
        )  # fmt: skip
        return 0
    out = console()
    if not found:
        out.print("no delivery is held or rejected")
        return 0
    rows = [(d.delivery_id, d.state, d.source, d.key, d.reason) for d in found]
    out.print(table("Held and rejected", ("delivery", "state", "source", "key", "reason"), rows))
    out.print("held: weir release <delivery>, or let the vendor send it again. rejected: it is "
              "read again when the object changes. Both after a fix: weir replay.")  # fmt: skip
    return 0
