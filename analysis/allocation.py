"""Sharing a cost that is not a sum: by shares, by the billed sample, and by Shapley's value.

Belongs here: pure functions over small numbers of parts. Does not: the bill (dbt_project) or its
marts. Money is in whole minor units, so that parts sum to the whole exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import factorial

#: coalitions double with each part; beyond this ask about groups of parts
MOST_PARTS = 16


def largest_remainder(total: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """Split whole minor units by weights; what is left over goes to the largest remainders.

    Ties go by name. Without any weight all parts share alike. A negative total is split like its
    absolute value.
    """
    if not weights:
        raise ValueError("no parts; expected at least one. Give the weights of those who share.")
    if any(w < 0 for w in weights.values()):
        raise ValueError("a weight below 0; expected none. A share of a cost cannot be negative.")
    counted = dict(weights) if any(weights.values()) else dict.fromkeys(weights, 1)
    whole = sum(counted.values(), Fraction(0))
    sign, left = (-1 if total < 0 else 1), abs(total)
    exact = {part: left * Fraction(w) / whole for part, w in counted.items()}
    shares = {part: int(value) for part, value in exact.items()}
    left -= sum(shares.values())
    for part in sorted(exact, key=lambda p: (shares[p] - exact[p], p))[:left]:
        shares[part] += 1
    return {part: sign * share for part, share in shares.items()}


def percentile_95(samples: Sequence[int]) -> int:
    """Return the sample that is highest when five per cent, rounded down, are dropped."""
    return sorted(samples, reverse=True)[len(samples) * 5 // 100] if samples else 0


def shapley(
    samples: Mapping[str, Sequence[int]], cost: Callable[[Sequence[int]], int] = percentile_95
) -> dict[str, Fraction]:
    """Return what each part adds to the cost of the sum, averaged over all orders of arrival.

    samples: equally long series, one a part. Exact: the values sum to the cost of all together,
    parts that add nothing to anyone have 0, equal parts have equal values. A part that lowers no
    peak can have a share though it was silent at the billed sample, and one that was there can have
    less than its bytes: that is the point of comparing. Costs grow with 2 ** parts.
    """
    parts = sorted(samples)
    if len(parts) > MOST_PARTS:
        raise ValueError(
            f"{len(parts)} parts; expected at most {MOST_PARTS}. Put small ones into one part."
        )
    lengths = {len(s) for s in samples.values()}
    if len(lengths) > 1:
        raise ValueError(f"series of {sorted(lengths)} samples; expected equal lengths.")
    costs = _costs(parts, samples, cost)
    n = len(parts)
    values = dict.fromkeys(parts, Fraction(0))
    for i, part in enumerate(parts):
        for coalition, without in costs.items():
            if coalition >> i & 1:
                continue
            size = coalition.bit_count()
            weight = Fraction(factorial(size) * factorial(n - size - 1), factorial(n))
            values[part] += weight * (costs[coalition | 1 << i] - without)
    return values


def _costs(
    parts: Sequence[str],
    samples: Mapping[str, Sequence[int]],
    cost: Callable[[Sequence[int]], int],
) -> dict[int, int]:
    """Return the cost of every coalition, as a bit set of parts."""
    sums: dict[int, Sequence[int]] = {0: [0] * len(next(iter(samples.values()), ()))}
    for coalition in range(1, 1 << len(parts)):
        last = coalition.bit_length() - 1
        rest = sums[coalition ^ 1 << last]
        sums[coalition] = [a + b for a, b in zip(rest, samples[parts[last]], strict=True)]
    return {coalition: cost(series) for coalition, series in sums.items()}
