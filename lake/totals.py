"""The counts of one object, as the parser adds them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lake.limits import Limits
from lake.refused import RefusedError
from lake.rejects import RejectedLine, long_line
from lake.unknown import MAX_NAMES, plain_name
from lake.unpacked import LongLine


@dataclass
class ParseTotals:
    """Counts of one object; lines = accepted + rejected + header + blank."""

    lines: int = 0
    accepted: int = 0
    header: int = 0
    blank: int = 0
    rejects: list[RejectedLine] = field(default_factory=list)
    unknown_fields: set[str] = field(default_factory=set)

    def count_long(self, found: LongLine) -> None:
        """Count a line that was too long to be looked at."""
        self.lines += 1
        self.rejects.append(long_line(found, self.lines))

    def note_unknown(self, names: Iterable[str]) -> None:
        """Add names of fields without a column, at most MAX_NAMES in all."""
        for name in names:
            if len(self.unknown_fields) >= MAX_NAMES:
                return
            self.unknown_fields.add(plain_name(name))

    def require_mostly_good(self, limits: Limits) -> None:
        """Refuse an object with more rejected lines than its limit; raises RefusedError."""
        if self.rejected > limits.max_rejected_lines:
            reasons = ", ".join(f"{n} {r}" for r, n in self.reasons().items())
            raise RefusedError(
                "too_many_rejects",
                f"expected at most {limits.max_rejected_lines} rejected lines "
                f"(limits.max_rejected_lines), found {self.rejected} in the first {self.lines} "
                f"lines: {reasons}.",
            )

    @property
    def rejected(self) -> int:
        """Return the number of rejected lines."""
        return len(self.rejects)

    def reasons(self) -> dict[str, int]:
        """Return rejected lines by reason."""
        return dict(sorted(Counter(r.reason for r in self.rejects).items()))
