"""Whatever the history of a lake, its refreshed marts are those of a full rebuild.

Several histories run side by side in one lake, each on a day of its own: what one dbt run costs,
they share, and a refresh has neighbours that it must leave alone.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import In

from lake.marts import MARTS
from lake.records import CDN_REQUESTS, REC_EVENTS

from .conftest import Row, Weir, at, event, message_of, request

FAMILIES = ("delivery", "engagement", "rollup")
DELIVERIES = ("d1", "d2", "d3")
KEYS = 7
DAYS = 6
#: a delivery of a day has these rows from now on and no others
Step = tuple[int, str, list[Row]]


def _hour(day: int, key: int) -> dt.datetime:
    return at("00:00") + dt.timedelta(days=day, hours=key % 3)


def _rows(steps: Sequence[Step]) -> tuple[list[Row], list[Row]]:
    """Return requests and events; rows of one identity have one event time."""
    requests, events = [], []
    for day, delivery, drawn in steps:
        for line, draw in enumerate(drawn):
            key, name = draw["key"], f"{day}-{draw['key']}"
            place = {"delivery_id": f"{day}-{delivery}", "source_line": line}
            place |= {"event_time": _hour(day, key) + dt.timedelta(minutes=key * 17 % 60)}
            own = {k: v for k, v in draw.items() if k not in ("key", "kind")}
            requests.append(request(name, "00:00", **own) | place)
            play = {"watch_ms": draw["bytes_out_total"], "scene": draw["pop"]}
            events.append(event(name, "00:00", draw["kind"], **play) | place)
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


def _rounds(histories: Sequence[Sequence[tuple[str, list[Row]]]]) -> list[list[Step]]:
    """Return the steps that happen between two refreshes; the first day ends without a row."""
    longest = max(len(history) for history in histories)
    rounds = [
        [(day, *history[n]) for day, history in enumerate(histories) if n < len(history)]
        for n in range(longest)
    ]
    rounds[-1] = [step for step in rounds[-1] if step[0]] + [(0, d, []) for d in DELIVERIES]
    return rounds


def _lay(weir: Weir, steps: Sequence[Step]) -> None:
    """Let deliveries have these rows and no others."""
    for record, rows in zip((CDN_REQUESTS, REC_EVENTS), _rows(steps), strict=True):
        with contextlib.suppress(NoSuchTableError):
            table = weir.catalog.load_table(record.identifier)
            table.delete(In("delivery_id", {f"{day}-{delivery}" for day, delivery, _ in steps}))
        if rows:
            weir.append(record, rows)


def _refresh(weir: Weir, hours: Sequence[dt.datetime], *, is_full: bool = False) -> None:
    """Build and publish the hours, then build their days of what is published, as the job does."""
    days = sorted({hour.replace(hour=0) for hour in hours})
    asked = [] if is_full else [hour.isoformat() for hour in hours]
    result = weir.run("tag:delivery tag:engagement", asked, verb="run")
    assert result.success, message_of(result)
    weir.publish(*hours)
    asked = [] if is_full else [day.date().isoformat() for day in days]
    result = weir.run("tag:rollup", days=asked, verb="run")
    assert result.success, message_of(result)


def _content(weir: Weir) -> dict[str, list[tuple[object, ...]]]:
    marts = [m for m in MARTS if m.family in FAMILIES]
    return {m.name: weir.rows(f"select * from {m.build} order by all") for m in marts}


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
@settings(
    max_examples=2,  # the first is the smallest: no rows at all
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),  # shrinking would take minutes; a history is short as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories=st.lists(_history, min_size=DAYS, max_size=DAYS))
def test_late_replaced_and_emptied_hours_end_as_a_full_rebuild_of_any_order(
    runner: dbtRunner,
    monkeypatch: pytest.MonkeyPatch,
    histories: list[list[tuple[str, list[Row]]]],
) -> None:
    for name in ("WEIR_WAREHOUSE", "WEIR_CATALOG_URI", "WEIR_BUILD_FILE", "WEIR_BUILD_PLAN"):
        monkeypatch.delenv(name, raising=False)
    now: dict[tuple[int, str], list[Row]] = {}
    seen: set[dt.datetime] = set()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        refreshed, rebuilt = Weir(Path(one), runner), Weir(Path(other), runner)
        monkeypatch.setenv("WEIR_HOME", one)
        for steps in _rounds(histories):
            _lay(refreshed, steps)
            touched = set()
            for day, delivery, drawn in steps:
                rows = (*now.get((day, delivery), ()), *drawn)
                touched |= {_hour(day, row["key"]) for row in rows}
                now[day, delivery] = drawn
            if touched:
                _refresh(refreshed, sorted(touched))
            seen |= touched
        if not seen:
            return
        monkeypatch.setenv("WEIR_HOME", other)
        _lay(rebuilt, [(day, delivery, rows) for (day, delivery), rows in reversed(now.items())])
        _refresh(rebuilt, sorted(seen), is_full=True)
        content = _content(rebuilt)
        assert _content(refreshed) == content
        assert all(content.values()), "a mart without rows was not compared"
