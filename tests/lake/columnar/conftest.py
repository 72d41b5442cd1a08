"""An event, and a table of events read as an object of a feed that declares Parquet."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lake.limits import Limits

from .parquet import packed


@pytest.fixture(scope="module")
def event(make):
    base = json.loads(make.line("rec_events"))
    return lambda **changes: {**base, **changes}


@pytest.fixture(scope="module")
def read(parse, feed_of):
    """Parse Parquet bytes or a table of events; check what holds for every object."""

    def of(data, *, limits=None, **changes):
        data = packed(data) if isinstance(data, pa.Table) else data
        given = {"limits": Limits(**limits)} if limits else {}
        source = feed_of("rec_events", container="parquet", **given)
        found = parse("rec_events", data, source=source, name="in/a.parquet", **changes)
        t = found.totals
        assert t.lines == t.accepted + t.rejected
        assert (t.header, t.blank) == (0, 0)
        numbers = [r["source_line"] for r in found.rows] + [r.line for r in t.rejects]
        assert sorted(numbers) == list(range(1, t.lines + 1))
        return found

    return of
