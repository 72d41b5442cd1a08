"""What a profile is made of: measures of one relation, and the expressions that they share.

Belongs here: the shape and small SQL. Does not: what is measured of which mart (qos, hours,
billing, costs), or how a profile is computed (profiles).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """Measures of one relation, grouped by partition; all are 0 where a partition has no rows."""

    relation: str
    key: str
    measures: Mapping[str, str] = field(repr=False)


def violations(predicate: str) -> str:
    """Count rows for which a predicate is not true; null is not true."""
    return f"count(*) filter (where ({predicate}) is not true)"


def count(predicate: str) -> str:
    """Count rows for which a predicate is true."""
    # not count_if: where the predicate is null in every row it gives null instead of 0
    return f"count(*) filter (where {predicate})"


def not_negative(*columns: str) -> str:
    """Count rows in which one of these is negative or missing."""
    return violations(" and ".join(f"{c} >= 0" for c in columns))


def doubled(*columns: str) -> str:
    """Count rows beyond the first of each key."""
    return f"count(*) - count(distinct ({', '.join(columns)}))"
