"""A slice of the ledger says of its members what the whole ledger says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lake.deliveries import Delivery, changed, deliveries_of, record, settle, to_arrow
from lake.ledger import Ledger

T0 = datetime(2026, 11, 20, tzinfo=UTC)
NAMES = "UVWXYZ"
EMPTY = """reason other_delivery_id period_start period_end rejected header blank event_time_min
    event_time_max lateness_s"""


def content_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def delivery(key: str, content: str, verdict: str, minute: int, etag: str) -> Delivery:
    return Delivery(
        delivery_id=f"{key}/{etag}",
        change_no=0,
        changed_at=T0,
        batch_id="b",
        source="feed",
        table_name="bronze.cdn_requests",
        key=key,
        etag=etag,
        size_bytes=1,
        last_modified=T0 + timedelta(minutes=minute),
        state="rejected",
        verdict=verdict,
        content_id=content_of(content),
        content_sha256=content_of(content),
        parser_version="p/1",
        hours=(),
        lines=None if verdict == "rejected" else 1,
        accepted=None if verdict == "rejected" else 1,
        **dict.fromkeys(EMPTY.split()),
    )


@st.composite
def histories(draw):
    """Seen deliveries in batches, as an ingest records them, and some that are new."""
    verdicts = {
        c: draw(st.sampled_from(["passed", "passed", "held", "rejected"])) for c in "UVWXYZ"
    }
    seeds = draw(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.sampled_from(NAMES), st.integers(0, 3)),
            min_size=2,
            max_size=10,
        )
    )
    seen = [delivery(k, c, verdicts[c], m, f"e{n}") for n, (k, c, m) in enumerate(seeds)]
    new = draw(st.integers(1, len(seen) - 1))
    rows: list[Delivery] = []
    known: dict[str, Delivery] = {}
    for d in seen[new:]:
        everything = {**known, d.delivery_id: d}
        for i, target in settle(everything.values()).items():
            if changed(everything[i], target):
                known[i] = record(everything[i], target, "b", T0)
                rows.append(known[i])
    return rows, known, seen[:new]


@given(histories())
@settings(deadline=None, max_examples=60)
def test_what_hangs_together_is_settled_as_the_whole_is(history):
    rows, known, new = history
    with Ledger(to_arrow(rows)) as ledger:
        part = ledger.related(new)
        repeated = ledger.repeated()
    whole = settle([*known.values(), *new])
    for d in new:
        part.setdefault(d.delivery_id, d)
    assert settle(part.values()) == {i: whole[i] for i in part}
    assert {i: repeated[i] for i in repeated} == {i: known[i] for i in repeated}
    # what is left out of either has no say in what it leaves out
    untouched = {i for i in known if i not in part}
    assert {i: whole[i] for i in untouched} == {
        i: t for i, t in settle(known.values()).items() if i in untouched
    }


@given(histories())
@settings(deadline=None, max_examples=30)
def test_who_is_alone_and_settled_is_not_asked_again(history):
    rows, known, _ = history
    with Ledger(to_arrow(rows)) as ledger:
        repeated = ledger.repeated()
        alone = {i: d for i, d in known.items() if i not in repeated}
        assert {i for i in known if i in ledger.unknown([*known, "other"])} == set()
        assert ledger.unknown(["other"]) == {"other"}
    targets = settle(known.values())
    assert all(not changed(d, targets[i]) for i, d in alone.items())


def test_content_is_known_when_a_delivery_of_it_passed():
    rows = [
        replace(delivery("a", "X", "passed", 0, "e0"), change_no=1, state="loaded"),
        replace(delivery("b", "Y", "held", 0, "e1"), change_no=1, state="held"),
        replace(delivery("c", "Z", "rejected", 0, "e2"), change_no=1),
    ]
    with Ledger(to_arrow(rows)) as ledger:
        assert ledger.passed(content_of("X")) == rows[0]
        assert [ledger.passed(content_of(c)) for c in ("Y", "Z", "W")] == [None, None, None]


def test_the_current_row_is_the_one_with_the_highest_change_number():
    first = replace(delivery("a", "X", "passed", 0, "e0"), change_no=1, state="loaded")
    last = replace(first, change_no=2, state="replaced", changed_at=T0 - timedelta(days=1))
    with Ledger(to_arrow([last, first])) as ledger:
        assert ledger.related([], [first.delivery_id]) == {first.delivery_id: last}
        assert ledger.ask("select state from ({current})") == [("replaced",)]


def test_text_of_names_is_data():
    hostile = delivery("a'); drop table members; --", "X", "passed", 0, "e'0")
    row = replace(hostile, change_no=1, state="loaded")
    with Ledger(to_arrow([row])) as ledger:
        assert ledger.unknown([hostile.delivery_id, "x'"]) == {"x'"}
        assert ledger.related([hostile]) == {row.delivery_id: row}


def test_an_empty_ledger_knows_nothing():
    with Ledger(to_arrow([])) as ledger:
        assert ledger.unknown(["a"]) == {"a"}
        assert ledger.repeated() == {}
        assert ledger.passed(content_of("X")) is None
        assert deliveries_of(to_arrow([])) == {}
