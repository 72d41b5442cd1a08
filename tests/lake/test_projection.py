"""Which rows of the fast read are good, and that the others go without the rows between them."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from lake import slices
from lake.projection import good_rows
from lake.slices import taken

LOW, HIGH = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


def test_good_is_valid_and_within_the_half_open_bounds() -> None:
    times = [LOW, HIGH, None, datetime(2026, 11, 1, 5, tzinfo=UTC), LOW]
    rows = pa.table(
        {
            "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "is_ok": [True, True, True, True, False],
        }
    )
    good, misplaced, untimed = good_rows(rows, LOW, HIGH)
    assert good.tolist() == [True, False, False, True, False]
    # neither one without a time nor one that is invalid is rejected for its time alone
    assert misplaced.tolist() == [False, True, False, False, False]
    assert untimed.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("many", [0, 1000], ids=["filter", "slices"])
@pytest.mark.parametrize("gone", [(), (0,), (4,), (1, 2), (0, 1, 2, 3, 4)], ids=str)
def test_what_is_taken_is_what_a_filter_takes(monkeypatch, many, gone) -> None:
    monkeypatch.setattr(slices, "_MANY_GONE", many)
    rows = pa.table({"n": [0, 1, 2, 3, 4]})
    kept = ~np.isin(np.arange(5), gone)
    assert taken(rows, kept).column("n").to_pylist() == [n for n in range(5) if n not in gone]
