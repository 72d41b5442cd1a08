"""Incidents that leave contents alone: lost, overlapping, late and repeated files, and silence.

Belongs here: the choice of files, when they arrive and under which name. Does not belong here:
incidents that change what is in a file (content_faults).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from simulator.board import Arrival, Board, Counts, clean_arrival, failed_arrival
from simulator.files import (
    FEEDS,
    LogFile,
    cloudflare_key,
    cloudfront_key,
    event_key,
    pack,
    unpack,
)
from simulator.scenario import Incident, Scenario
from simulator.world import POPS, PRODUCERS, SILENT_POP, SILENT_PRODUCER


def lost(board: Board, rng: np.random.Generator) -> None:
    """Lose one file of Cloudflare and one of a recommendation producer."""
    for feed in ("cloudflare", "rec_events"):
        file = board.pick(rng, feed)
        if file is None:
            continue
        board.add(failed_arrival(file, None, b"", "lost"))
        board.report(
            f"lost-{feed}",
            Incident.LOST,
            feed,
            [file.key],
            happened=f"{file.rows.size} rows never arrive",
            expected="the missing file shows in completeness of its period",
        )


def overlap(board: Board, rng: np.random.Generator) -> None:
    """Send two neighbouring Cloudflare files once more as one file under a new name."""
    free = board.free("cloudflare")
    pairs = [(one, two) for one, two in pairwise(free) if one.period_end == two.period_start]
    if not pairs or board.budget("cloudflare") < 2:
        return
    one, two = pairs[int(rng.integers(len(pairs)))]
    board.take(one)
    board.take(two)
    union = Arrival(
        feed=one.feed,
        key=cloudflare_key(board.scenario, one.period_start, two.period_end, "overlap"),
        at=board.shortly_after(rng, two),
        data=pack([*unpack(one.data), *unpack(two.data)]),
        counts=Counts(header=0, blank=0, good=int(one.rows.size + two.rows.size)),
        rows=np.concatenate([one.rows, two.rows]),
    )
    board.add(clean_arrival(one), clean_arrival(two), union)
    board.report(
        "overlap",
        Incident.OVERLAP,
        one.feed,
        [one.key, two.key, union.key],
        happened=f"the third file repeats all {union.rows.size} rows of the first two",
        expected="each row counts once: the repeats are duplicates inside accepted",
    )


def late(board: Board, rng: np.random.Generator) -> None:
    """Hold files of a few neighbouring hours back by 6 to 26 hours, part of them per feed."""
    scenario = board.scenario
    length = max(1, min(3, scenario.hours // 12))
    earliest = board.on_time_until + timedelta(minutes=10)
    # An hour must be young enough that 26 hours reach past everything that is on time.
    hours = [
        hour
        for hour in range(scenario.hours - length + 1)
        if scenario.start + timedelta(hours=hour + 26) > earliest
    ]
    if not hours:
        return
    first = hours[int(rng.integers(len(hours)))]
    groups = {
        "cloudfront": range(first, first + length),
        "cloudflare": range(first, first + 1),
        "rec_events": range(first, first + length),
    }
    for feed, wanted in groups.items():
        candidates = [one for one in board.free(feed) if one.hour in wanted]
        group = candidates[-1].group if candidates else ""
        files = [one for one in candidates if one.group == group][: board.budget(feed)]
        for file in files:
            board.take(file)
            low = max(file.period_end + timedelta(hours=6), earliest)
            room = int((file.period_end + timedelta(hours=26) - low).total_seconds())
            board.add(clean_arrival(file, low + timedelta(seconds=int(rng.integers(room)))))
        if files:
            board.report(
                f"late-{feed}",
                Incident.LATE,
                feed,
                [one.key for one in files],
                happened=f"{len(files)} files arrive 6 to 26 hours late, unchanged",
                expected="loaded when they arrive; their hours are refreshed and then complete",
            )


def duplicate(board: Board, rng: np.random.Generator) -> None:
    """Send files again unchanged, under the same key and under another one."""
    for feed in FEEDS:
        file = board.pick(rng, feed)
        if file is not None:
            again = replace(
                clean_arrival(file, board.correction_at(rng)),
                fate="duplicate",
                same_content_as=file.key,
            )
            board.add(clean_arrival(file), again)
            _report_duplicate(board, "same-key", file, [file.key])
        file = board.pick(rng, feed)
        if file is not None:
            copy = replace(
                clean_arrival(file, board.shortly_after(rng, file)),
                key=_other_key(board.scenario, file),
                fate="duplicate",
                same_content_as=file.key,
            )
            board.add(clean_arrival(file), copy)
            _report_duplicate(board, "other-key", file, [file.key, copy.key])


def _report_duplicate(board: Board, name: str, file: LogFile, keys: list[str]) -> None:
    """Report one unchanged re-delivery."""
    board.report(
        f"duplicate-{name}-{file.feed}",
        Incident.DUPLICATE,
        file.feed,
        keys,
        happened=f"{file.rows.size} rows arrive twice, byte for byte",
        expected="set aside as a duplicate: no row and no snapshot",
    )


def _other_key(scenario: Scenario, file: LogFile) -> str:
    """Name another file that the source could have written for the same period."""
    if file.feed == "cloudfront":
        return cloudfront_key(scenario, file.group, file.period_start, f"copy of {file.key}")
    if file.feed == "cloudflare":
        return cloudflare_key(scenario, file.period_start, file.period_end, "copy")
    sequence = int(file.key.rsplit("-", 1)[1].split(".")[0])
    return event_key(file.group, file.period_start, sequence + 1)


def silent(board: Board, rng: np.random.Generator) -> None:  # noqa: ARG001
    """Report the silence, which the files already show: their writers left the rows out."""
    silence = board.silence
    if silence is None:
        return
    hours = [
        board.scenario.start + timedelta(hours=hour)
        for hour in range(silence.first_hour, silence.last_hour)
    ]
    span = f"{hours[0]:%Y-%m-%dT%HZ} to {hours[-1] + timedelta(hours=1):%Y-%m-%dT%HZ}"
    board.report(
        "silent-producer",
        Incident.SILENT_PRODUCER,
        "rec_events",
        [],
        happened=f"{PRODUCERS[SILENT_PRODUCER]} writes nothing from {span}; its numbers go on",
        expected="the gap in the sequence shows as missing rows in completeness of these hours",
    )
    board.report(
        "silent-pop",
        Incident.SILENT_PRODUCER,
        "cloudfront",
        [],
        happened=f"{POPS[SILENT_POP].name} logs nothing from {span}",
        expected="the PoP's usual share is missing: an alert on completeness, not on traffic",
    )
