"""A line of a feed beside requests and events, before it is in a file.

Belongs here: what such feeds have in common. Does not belong here: what one of them says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeedLine:
    """One line: `at_ms` is its instant since 1970, `kind` what the truth counts it under.

    number: the producer's, which files are named by. entered_ms: when it was written down, where
    that is another hour than what it speaks of.
    """

    producer: str
    at_ms: int
    number: int
    kind: str
    text: str
    entered_ms: int | None = None

    @property
    def filed_ms(self) -> int:
        """Return the instant whose hour's file holds the line."""
        return self.at_ms if self.entered_ms is None else self.entered_ms
