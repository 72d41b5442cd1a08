"""Sharing a cost: exact sums, Shapley's axioms, and a published game."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.allocation import largest_remainder, percentile_95, shapley

_SERIES = st.lists(st.integers(0, 50), min_size=25, max_size=25)


@given(
    st.integers(-(10**9), 10**9),
    st.dictionaries(st.text("abcd", min_size=1), st.integers(0, 10**12), min_size=1),
)
def test_shares_sum_to_the_whole_and_are_less_than_a_unit_off(total, weights):
    shares = largest_remainder(total, weights)
    assert sum(shares.values()) == total
    whole = sum(weights.values())
    for part, share in shares.items():
        if whole:
            assert abs(share - Fraction(total) * weights[part] / whole) < 1


def test_what_is_left_over_goes_to_the_largest_remainder_and_ties_by_name():
    assert largest_remainder(10, {"a": 2, "b": 2, "c": 3}) == {"a": 3, "b": 3, "c": 4}
    assert largest_remainder(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert largest_remainder(-10, {"b": 0, "a": 0, "c": 0}) == {"a": -4, "b": -3, "c": -3}


@pytest.mark.parametrize(("weights", "says"), [({}, "no parts"), ({"a": -1}, "below 0")])
def test_what_cannot_be_shared_is_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        largest_remainder(1, weights)


def test_two_domains_in_disjoint_halves_share_alike():
    halves = {"a": [100] * 500 + [0] * 500, "b": [0] * 500 + [100] * 500}
    assert percentile_95([x + y for x, y in zip(*halves.values(), strict=True)]) == 100
    assert shapley(halves) == {"a": 50, "b": 50}


def test_the_airport_game_has_its_known_value():
    # Littlechild and Owen 1973: runways of 12, 28 and 30 cost 4, 12 and 14 by rank
    values = shapley({"small": [12], "middle": [28], "large": [30]}, lambda s: s[0])
    assert values == {"small": 12, "middle": 28, "large": 30}  # a sum is no game
    longest = {"small": [1, 0, 0], "middle": [1, 1, 0], "large": [1, 1, 1]}
    cost = (12, 16, 2)

    def runway(series):
        return sum(c for c, planes in zip(cost, series, strict=True) if planes)

    assert shapley(longest, runway) == {"small": 4, "middle": 12, "large": 14}


@given(_SERIES, _SERIES, _SERIES)
def test_values_sum_to_the_cost_of_all_and_a_silent_part_has_none(a, b, c):
    values = shapley({"a": a, "b": b, "c": c, "silent": [0] * 25})
    assert sum(values.values()) == percentile_95(
        [x + y + z for x, y, z in zip(a, b, c, strict=True)]
    )
    assert values["silent"] == 0
    assert shapley({"x": a, "y": a})["x"] == shapley({"x": a, "y": a})["y"]


def test_too_many_parts_and_series_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="expected at most 16"):
        shapley({str(i): [1] for i in range(17)})
    with pytest.raises(ValueError, match="equal lengths"):
        shapley({"a": [1], "b": [1, 2]})
