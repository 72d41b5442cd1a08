"""Array types and the few numpy idioms that several modules share.

Does not belong here: anything that knows what a request, a file or an event is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.signedinteger[Any]]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def weighted(
    rng: np.random.Generator, weights: Sequence[float] | FloatArray, size: int
) -> IntArray:
    """Draw `size` indices with the given relative weights."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    return np.searchsorted(cumulative / cumulative[-1], rng.random(size), side="right").astype(
        np.int32
    )


def zipf_weights(count: int, exponent: float = 1.0) -> FloatArray:
    """Return the Zipf weight of each rank, most popular first."""
    return 1.0 / np.arange(1, count + 1, dtype=np.float64) ** exponent


def hex_strings(rng: np.random.Generator, count: int, digits: int) -> list[str]:
    """Draw `count` strings of an even number of hexadecimal digits."""
    text = rng.bytes(count * digits // 2).hex()
    return [text[at : at + digits] for at in range(0, count * digits, digits)]


def scrambled(seed: int, numbers: IntArray, lanes: int) -> npt.NDArray[np.uint64]:
    """Turn row numbers into `lanes` random-looking 64-bit words a row (splitmix64).

    The mix is a bijection of the word, so two rows never share the word of a lane.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    offsets = np.arange(lanes, dtype=np.uint64) << np.uint64(40)
    start = np.uint64((seed * 0xD1342543DE82EF95) % 2**64)
    word = (numbers.astype(np.uint64)[:, None] + offsets[None, :]) * golden + start
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.ascontiguousarray(word ^ (word >> np.uint64(31)))
