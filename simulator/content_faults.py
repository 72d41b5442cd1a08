"""Incidents that change what a file holds: garbled, redelivered, truncated, malformed.

Belongs here: the choice of files and what happens to their bytes. Does not belong here: what a
broken line looks like (malform), and incidents that leave contents alone (delivery_faults).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.board import NO_ROWS, Arrival, Board, Counts, clean_arrival, failed_arrival
from simulator.files import FEEDS, LogFile, pack, unpack
from simulator.malform import KINDS, break_type, malform
from simulator.scenario import Incident

_GARBLED_SHARE = 0.3
_MALFORMED_SHARE = 0.0015
# In a smaller file one broken line would already be more than one per cent.
_MALFORMED_MIN_ROWS = 100


def _parts(file: LogFile) -> tuple[list[bytes], list[bytes]]:
    """Return the header lines and the row lines of a clean file."""
    lines = unpack(file.data)
    return lines[: file.header_lines], lines[file.header_lines :]


def _subset(file: LogFile, kept: list[int], fate: str = "loaded") -> Arrival:
    """Write a version of a file that holds only some of its rows."""
    header, lines = _parts(file)
    return replace(
        clean_arrival(file),
        data=pack([*header, *(lines[at] for at in kept)]),
        counts=Counts(header=file.header_lines, blank=0, good=len(kept)),
        rows=file.rows[kept] if kept else NO_ROWS,
        fate=fate,
    )


def _kept(rng: np.random.Generator, file: LogFile, dropped: int) -> list[int]:
    """Choose which rows stay when some are dropped, in file order."""
    size = int(file.rows.size)
    gone = set(rng.choice(size, dropped, replace=False).tolist())
    return [at for at in range(size) if at not in gone]


def garbled(board: Board, rng: np.random.Generator) -> None:
    """Break three lines in ten of one file per CDN, and send it again clean."""
    for feed in ("cloudfront", "cloudflare"):
        file = board.pick(rng, feed, at_least=10)
        if file is None:
            continue
        header, lines = _parts(file)
        size = len(lines)
        broken = set(rng.choice(size, round(size * _GARBLED_SHARE), replace=False).tolist())
        kept = [at for at in range(size) if at not in broken]
        body = [break_type(feed, line) if at in broken else line for at, line in enumerate(lines)]
        by_kind = tuple(len(broken) if kind == "wrong_type" else 0 for kind in KINDS)
        board.add(
            replace(
                clean_arrival(file),
                data=pack([*header, *body]),
                counts=Counts(file.header_lines, 0, len(kept), by_kind),
                rows=file.rows[kept],
                fate="held_then_replaced",
            ),
            clean_arrival(file, board.correction_at(rng)),
        )
        board.report(
            f"garbled-{feed}",
            Incident.GARBLED,
            feed,
            [file.key],
            happened=f"{len(broken)} of {size} lines have letters as byte count; sent again clean",
            expected="the first version is held, the second replaces it and is loaded",
        )


def redelivered(board: Board, rng: np.random.Generator) -> None:
    """Send keys again with other content: more rows, fewer rows, no rows."""
    shrunk = board.pick(rng, "cloudfront")
    if shrunk is not None:
        later = replace(_subset(shrunk, []), at=board.correction_at(rng))
        board.add(replace(clean_arrival(shrunk), fate="replaced"), later)
        _report_redelivery(board, "emptied", shrunk, f"{shrunk.rows.size} rows became none")
    grown = board.pick(rng, "cloudflare", at_least=11)
    if grown is not None:
        size = int(grown.rows.size)
        first = _subset(grown, _kept(rng, grown, round(size / 11)), fate="replaced")
        board.add(first, clean_arrival(grown, board.correction_at(rng)))
        _report_redelivery(board, "grown", grown, f"{first.rows.size} rows became {size}")
    reduced = board.pick(rng, "rec_events", at_least=20)
    if reduced is not None:
        size = int(reduced.rows.size)
        later = _subset(reduced, _kept(rng, reduced, round(size / 20)))
        board.add(
            replace(clean_arrival(reduced), fate="replaced"),
            replace(later, at=board.correction_at(rng)),
        )
        _report_redelivery(board, "reduced", reduced, f"{size} rows became {later.rows.size}")


def _report_redelivery(board: Board, name: str, file: LogFile, happened: str) -> None:
    """Report one changed re-delivery."""
    board.report(
        f"redelivered-{name}",
        Incident.REDELIVERED,
        file.feed,
        [file.key],
        happened=f"same key, new content: {happened}",
        expected="the rows of the first version are replaced in one step; its hours are refreshed",
    )


def truncated(board: Board, rng: np.random.Generator) -> None:
    """Cut two files in the middle of their gzip stream; one of them comes again whole."""
    healed = board.pick(rng, "rec_events", at_least=10)
    if healed is not None:
        board.add(
            failed_arrival(healed, healed.on_time_at, _cut(healed), "rejected"),
            clean_arrival(healed, board.correction_at(rng)),
        )
        board.report(
            "truncated-then-whole",
            Incident.TRUNCATED,
            healed.feed,
            [healed.key],
            happened="gzip cut in the middle; sent again whole later",
            expected="the first version is rejected whole, the second is loaded",
        )
    broken = board.pick(rng, "cloudflare", at_least=10)
    if broken is not None:
        board.add(failed_arrival(broken, broken.on_time_at, _cut(broken), "rejected"))
        board.report(
            "truncated-for-good",
            Incident.TRUNCATED,
            broken.feed,
            [broken.key],
            happened=f"gzip cut in the middle; {broken.rows.size} rows never arrive",
            expected="rejected whole; completeness of its hour is below one",
        )


def _cut(file: LogFile) -> bytes:
    """Return the first half of a file's bytes."""
    return file.data[: len(file.data) // 2]


def malformed(board: Board, rng: np.random.Generator) -> None:
    """Put a few broken and blank lines between the good ones of many files."""
    for feed in FEEDS:
        files = board.free(feed, at_least=_MALFORMED_MIN_ROWS)
        chosen = [file for file in files if rng.random() < 0.6] or files[:1]
        serial = int(rng.integers(len(KINDS)))
        keys = []
        for number, file in enumerate(chosen):
            extra = max(1, round(int(file.rows.size) * _MALFORMED_SHARE))
            kinds = [KINDS[(serial + at) % len(KINDS)] for at in range(extra)]
            serial += extra
            board.take(file)
            board.add(_insert(rng, file, kinds, blank=int(number % 4 == 0)))
            keys.append(file.key)
        if keys:
            board.report(
                f"malformed-{feed}",
                Incident.MALFORMED,
                feed,
                keys,
                happened="broken and blank lines stand between the good ones of these files",
                expected="loaded; broken lines are rejects with a reason, blank ones are counted",
            )


def _insert(rng: np.random.Generator, file: LogFile, kinds: list[str], blank: int) -> Arrival:
    """Write a version of a file with extra lines at random places after the header."""
    header, lines = _parts(file)
    extras: list[tuple[int, bytes]] = []
    for number, kind in enumerate(kinds):
        at = int(rng.integers(len(lines)))
        extras.append((at, malform(file.feed, kind, lines[at], f"{file.key}#{number}")))
    extras += [(int(rng.integers(len(lines))), b"") for _ in range(blank)]
    for at, line in sorted(extras, key=lambda one: one[0], reverse=True):
        lines.insert(at, line)
    counts = Counts(
        header=file.header_lines,
        blank=blank,
        good=int(file.rows.size),
        malformed=tuple(kinds.count(kind) for kind in KINDS),
    )
    return replace(clean_arrival(file), data=pack([*header, *lines]), counts=counts)
