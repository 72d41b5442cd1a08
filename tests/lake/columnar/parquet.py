"""Parquet bytes of a table, and the reason an object is refused for."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings

from lake.refused import REASONS, RefusedError

BOUNDED = settings(
    derandomize=True,
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def packed(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def reason(read, data, **limits) -> str:
    with pytest.raises(RefusedError) as refusal:
        read(data, limits=limits)
    found = refusal.value
    assert str(found).startswith(f"{found.reason}: expected ")
    assert "found" in found.detail
    assert found.detail.endswith(REASONS[found.reason])
    return found.reason
