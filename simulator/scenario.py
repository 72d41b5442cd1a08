"""What a caller asks for: the scenario of a run and the incidents that may happen in it.

Belongs here: parameters and their limits. Does not belong here: how traffic or incidents are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import numpy as np

CLOUDFRONT_SHARE = 0.40
CLOUDFLARE_SHARE = 0.35


class Incident(StrEnum):
    """One way in which a feed goes wrong; every member can be switched on and off."""

    GARBLED = "garbled"
    REDELIVERED = "redelivered"
    TRUNCATED = "truncated"
    LOST = "lost"
    OVERLAP = "overlap"
    DUPLICATE = "duplicate"
    LATE = "late"
    MALFORMED = "malformed"
    SILENT_PRODUCER = "silent_producer"


ALL_INCIDENTS = frozenset(Incident)


@dataclass(frozen=True)
class Scenario:
    """The parameters of one run; equal scenarios give byte-identical files.

    `lines` counts log lines as generated, before incidents add or remove any. `start` is a whole
    hour in UTC and inclusive; the run ends, exclusively, `hours` later.
    """

    seed: int = 7
    start: datetime = datetime(2026, 11, 16, tzinfo=UTC)
    hours: int = 48
    lines: int = 1_000_000
    incidents: frozenset[Incident] = field(default=ALL_INCIDENTS)
    #: let vendors publish usage counters, invoices, rosters and capacities as well
    counters: bool = False
    #: share by which vendors invoice more than they delivered
    invoice_discrepancy: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        """Refuse what the generator cannot honour."""
        if self.start.utcoffset() != timedelta(0):
            raise ValueError(f"start: expected a UTC instant, found {self.start!r}; add tzinfo=UTC")
        if (self.start.minute, self.start.second, self.start.microsecond) != (0, 0, 0):
            raise ValueError(f"start: expected a whole hour, found {self.start.isoformat()}")
        if self.seed < 0:
            raise ValueError(f"seed: expected a number >= 0, found {self.seed}")
        if self.hours < 1:
            raise ValueError(f"hours: expected at least 1, found {self.hours}")
        if self.invoice_discrepancy < 0:
            raise ValueError(
                f"invoice_discrepancy: expected a share >= 0, found {self.invoice_discrepancy}"
            )
        if self.lines < 100:
            raise ValueError(f"lines: expected at least 100, found {self.lines}")

    @property
    def end(self) -> datetime:
        """Return the first instant after the run."""
        return self.start + timedelta(hours=self.hours)

    @property
    def start_us(self) -> int:
        """Return the start as microseconds since the epoch."""
        return int(self.start.timestamp()) * 1_000_000

    @property
    def end_us(self) -> int:
        """Return the exclusive end as microseconds since the epoch."""
        return int(self.end.timestamp()) * 1_000_000

    @property
    def cdn_lines(self) -> int:
        """Return how many lines both CDN feeds carry together."""
        return round(self.lines * (CLOUDFRONT_SHARE + CLOUDFLARE_SHARE))

    @property
    def rec_lines(self) -> int:
        """Return how many recommendation events are generated."""
        return self.lines - self.cdn_lines

    def rng(self, stream: str) -> np.random.Generator:
        """Return the random stream of one concern, so that concerns do not disturb each other."""
        return np.random.default_rng([self.seed, *stream.encode()])
