"""What incidents work on: the files of a run, what became of each, and the reports.

Belongs here: bookkeeping of arrivals, and the rule that one file meets at most one incident. Does
not belong here: what a particular incident does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from simulator.arrays import IntArray
from simulator.files import LogFile, Silence
from simulator.malform import KINDS
from simulator.scenario import Incident, Scenario

# Incidents together leave at least this share of each feed's files alone.
_UNTOUCHED_SHARE = 0.3
NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Counts:
    """Physical lines of a whole file by what they are; `malformed` follows KINDS."""

    header: int
    blank: int
    good: int
    malformed: tuple[int, ...] = (0,) * len(KINDS)

    @property
    def physical(self) -> int:
        """Return the number of lines in the file."""
        return self.header + self.blank + self.good + sum(self.malformed)


@dataclass(frozen=True)
class Arrival:
    """One version of one key. `at` is None for a file that never arrives.

    `counts` is None and `rows` empty where nothing whole arrives; else `rows` are the rows of the
    feed whose good lines the version holds.
    """

    feed: str
    key: str
    at: datetime | None
    data: bytes
    counts: Counts | None
    rows: IntArray
    fate: str = "loaded"
    same_content_as: str | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether the version arrives and can be read to its end."""
        return self.counts is not None


@dataclass(frozen=True)
class IncidentReport:
    """What an incident did, and what a platform that handles it well shows afterwards."""

    name: str
    kind: Incident
    feed: str
    keys: tuple[str, ...]
    what_happened: str
    expected_outcome: str


class Board:
    """Collects arrivals; files that no incident takes arrive once, whole and on time."""

    def __init__(self, scenario: Scenario, files: list[LogFile], silence: Silence | None) -> None:
        self.scenario = scenario
        self.files = files
        self.silence = silence
        self.reports: list[IncidentReport] = []
        last = max((one.on_time_at for one in files), default=scenario.end)
        # Late versions start ten minutes after this whole minute.
        self.on_time_until = last.replace(second=0) + timedelta(minutes=2)
        self._arrivals: list[Arrival] = []
        self._taken: set[str] = set()

    def free(self, feed: str, at_least: int = 1) -> list[LogFile]:
        """Return the files of a feed that no incident has and that hold enough rows."""
        return [
            one
            for one in self.files
            if one.feed == feed and one.key not in self._taken and one.rows.size >= at_least
        ]

    def budget(self, feed: str) -> int:
        """Return how many more files of a feed incidents may take."""
        keys = [one.key for one in self.files if one.feed == feed]
        taken = sum(key in self._taken for key in keys)
        return max(0, int(len(keys) * (1 - _UNTOUCHED_SHARE)) - taken)

    def pick(
        self,
        rng: np.random.Generator,
        feed: str,
        at_least: int = 1,
        where: Callable[[LogFile], bool] | None = None,
    ) -> LogFile | None:
        """Take one free file at random, None where the run is too small for it."""
        choice = [one for one in self.free(feed, at_least) if where is None or where(one)]
        if not choice or self.budget(feed) < 1:
            return None
        chosen = choice[int(rng.integers(len(choice)))]
        self.take(chosen)
        return chosen

    def take(self, file: LogFile) -> None:
        """Reserve a file for one incident, which must then add its arrivals."""
        self._taken.add(file.key)

    def add(self, *arrivals: Arrival) -> None:
        """Record what became of a taken file."""
        self._arrivals.extend(arrivals)

    def report(
        self,
        name: str,
        kind: Incident,
        feed: str,
        keys: list[str],
        *,
        happened: str,
        expected: str,
    ) -> None:
        """Record an incident that took place."""
        self.reports.append(IncidentReport(name, kind, feed, tuple(keys), happened, expected))

    def correction_at(self, rng: np.random.Generator) -> datetime:
        """Draw an instant after everything that is on time."""
        return self.on_time_until + timedelta(seconds=int(rng.integers(600, 5 * 3_600)))

    def shortly_after(self, rng: np.random.Generator, file: LogFile) -> datetime:
        """Draw an instant after a file's arrival that still counts as on time."""
        wanted = file.on_time_at + timedelta(seconds=int(rng.integers(60, 900)))
        return min(wanted, self.on_time_until - timedelta(seconds=1))

    def arrivals(self) -> list[Arrival]:
        """Return all versions in the order of arrival; those that never arrive come last."""
        rest = [clean_arrival(one) for one in self.files if one.key not in self._taken]
        never = datetime.max.replace(tzinfo=self.scenario.start.tzinfo)
        return sorted([*self._arrivals, *rest], key=lambda one: (one.at or never, one.key))


def clean_arrival(file: LogFile, at: datetime | None = None) -> Arrival:
    """Let a file arrive as generated, on time unless told otherwise."""
    return Arrival(
        feed=file.feed,
        key=file.key,
        at=at or file.on_time_at,
        data=file.data,
        counts=Counts(header=file.header_lines, blank=0, good=int(file.rows.size)),
        rows=file.rows,
    )


def failed_arrival(file: LogFile, at: datetime | None, data: bytes, fate: str) -> Arrival:
    """Let nothing whole of a file arrive: cut data, or no arrival at all."""
    return replace(clean_arrival(file), at=at, data=data, counts=None, rows=NO_ROWS, fate=fate)
