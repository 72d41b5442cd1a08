"""Whatever the history of a lake, its refreshed marts are those of a full rebuild."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.exceptions import NoSuchTableError

from lake.records import CDN_REQUESTS, REC_EVENTS

from .conftest import Row, Weir, event, hour, message_of, request

MARTS = (
    "traffic_5m",
    "qos_hourly",
    "ttfb_buckets_hourly",
    "engagement_hourly",
    "qos_5m",
    "qos_places_hourly",
    "qos_buckets_5m",
    "qos_buckets_hourly",
    "qos_hops_hourly",
    "pop_headroom_hourly",
    "rosetta_hourly",
)
DELIVERIES = ("d1", "d2", "d3")
KEYS = 7


def _time(key: int) -> str:
    """Return the time of a key: rows of one identity have one event time."""
    return f"{key % 3:02d}:{key * 17 % 60:02d}"


def _rows(delivery: str, drawn: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    requests, events = [], []
    for line, draw in enumerate(drawn):
        key, place = draw["key"], {"delivery_id": delivery, "source_line": line}
        own = {k: v for k, v in draw.items() if k not in ("key", "kind")}
        requests.append(request(str(key), _time(key), **own, **place))
        play = {"watch_ms": draw["bytes_out_total"], "scene": draw["pop"]}
        events.append(event(str(key), _time(key), draw["kind"], **play, **place))
    return requests, events


_drawn = st.fixed_dictionaries(
    {
        "key": st.integers(0, KEYS - 1),
        "kind": st.sampled_from(["impression", "click", "play"]),
        "cdn": st.sampled_from(["cloudfront", "cloudflare"]),
        "pop": st.sampled_from(["FRA", None]),
        "status": st.sampled_from([200, 404, 499]),
        "ttfb_ms": st.sampled_from([None, 0.0, 20.0, 300.0]),
        "bytes_out_total": st.sampled_from([None, 5, 8000]),
        "is_viewer": st.sampled_from([True, True, False]),
        "country": st.sampled_from(["DE", None]),
        "asn": st.sampled_from([3320, None]),
        "http_version": st.sampled_from(["HTTP/2.0", "h3"]),
        "duration_ms": st.sampled_from([None, 25.5, 900.0]),
        "bytes_out_body": st.sampled_from([None, 70_000]),
        "is_origin_fetch": st.booleans(),
        "sample_weight": st.sampled_from([Decimal(1), Decimal("2.5")]),
    }
)
#: a delivery arrives late, is replaced, or (without rows) is taken away
_step = st.tuples(st.sampled_from(DELIVERIES), st.lists(_drawn, max_size=6))
_history = st.lists(_step, min_size=3, max_size=4)


def _lay(weir: Weir, delivery: str, drawn: Sequence[Row]) -> None:
    """Let a delivery have these rows and no others."""
    for record, rows in zip((CDN_REQUESTS, REC_EVENTS), _rows(delivery, drawn), strict=True):
        with contextlib.suppress(NoSuchTableError):
            weir.catalog.load_table(record.identifier).delete(f"delivery_id = '{delivery}'")
        if rows:
            weir.append(record, rows)


def _run(weir: Weir, hours: Sequence[str] = ()) -> None:
    result = weir.run("tag:delivery tag:engagement", hours, verb="run")
    assert result.success, message_of(result)


def _content(weir: Weir) -> dict[str, list[tuple[object, ...]]]:
    return {mart: weir.rows(f"select * from marts.{mart} order by all") for mart in MARTS}


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),  # shrinking would take minutes; a history is short as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=_history)
def test_late_replaced_and_emptied_hours_end_as_a_full_rebuild_of_any_order(
    runner: dbtRunner, monkeypatch: pytest.MonkeyPatch, history: list[tuple[str, list[Row]]]
) -> None:
    for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
        monkeypatch.delenv(name, raising=False)
    final = dict(history)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        refreshed, rebuilt = Weir(Path(one), runner), Weir(Path(other), runner)
        monkeypatch.setenv("WEIR_HOME", one)
        before: dict[str, list[Row]] = {}
        for delivery, drawn in history:
            _lay(refreshed, delivery, drawn)
            touched = {row["key"] % 3 for row in (*before.get(delivery, ()), *drawn)}
            before[delivery] = drawn
            if touched:
                _run(refreshed, [hour(number) for number in touched])
        monkeypatch.setenv("WEIR_HOME", other)
        for delivery in reversed(final):
            _lay(rebuilt, delivery, final[delivery])
        _run(rebuilt)
        if any(drawn for _, drawn in history):
            assert _content(refreshed) == _content(rebuilt)
