"""Which incidents happen, and in which order they choose their files.

Belongs here: the table of incidents. Does not belong here: what each of them does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.board import Board
from simulator.content_faults import garbled, malformed, redelivered, truncated
from simulator.delivery_faults import duplicate, late, lost, overlap, silent
from simulator.files import Silence
from simulator.scenario import Incident, Scenario


def plan_silence(scenario: Scenario) -> Silence | None:
    """Choose the silent hours, up to three in the middle of the run; None for very short runs."""
    if Incident.SILENT_PRODUCER not in scenario.incidents or scenario.hours < 3:
        return None
    length = min(3, scenario.hours // 3)
    first = (scenario.hours - length) // 2
    return Silence(first, first + length)


def apply_incidents(board: Board) -> None:
    """Let the incidents of the scenario happen, those with the rarest needs first."""
    steps: tuple[tuple[Incident, Callable[[Board, np.random.Generator], None]], ...] = (
        (Incident.GARBLED, garbled),
        (Incident.REDELIVERED, redelivered),
        (Incident.TRUNCATED, truncated),
        (Incident.LOST, lost),
        (Incident.OVERLAP, overlap),
        (Incident.LATE, late),
        (Incident.DUPLICATE, duplicate),
        (Incident.MALFORMED, malformed),
        (Incident.SILENT_PRODUCER, silent),
    )
    for kind, happen in steps:
        if kind in board.scenario.incidents:
            happen(board, board.scenario.rng(f"incident-{kind}"))
