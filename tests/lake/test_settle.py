"""The rule of replacement and duplication: the order in which versions are seen does not enter."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lake.deliveries import Delivery, changed, record, settle

T0 = datetime(2026, 11, 20, tzinfo=UTC)


def delivery(key: str, content: str, verdict: str, minute: int, etag: str) -> Delivery:
    names = """reason other_delivery_id period_start period_end lines accepted rejected header
        blank event_time_min event_time_max lateness_s"""
    nothing = dict.fromkeys(names.split())
    return Delivery(
        delivery_id=f"{key}/{etag}@{minute}",
        change_no=0,
        changed_at=T0,
        batch_id="",
        source="feed",
        table_name="bronze.cdn_requests",
        key=key,
        etag=etag,
        size_bytes=1,
        last_modified=T0 + timedelta(minutes=minute),
        state="rejected",
        verdict=verdict,
        content_id=content,
        content_sha256=content,
        parser_version="p/1",
        hours=(),
        **nothing,
    )


@st.composite
def worlds(draw):
    """Versions of few keys with few contents; a verdict depends on the content alone."""
    verdicts = {c: draw(st.sampled_from(["passed", "passed", "held", "rejected"])) for c in "XYZ"}
    seeds = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from("XYZ"), st.integers(0, 3)),
            min_size=1,
            max_size=7,
        )
    )
    versions = [
        delivery(key, content, verdicts[content], minute, f"e{n}")
        for n, (key, content, minute) in enumerate(seeds)
    ]
    order = draw(st.permutations(versions))
    again = draw(st.lists(st.sampled_from(versions), max_size=4))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=8))
    return versions, [*order, *again], sizes


def apply(ledger: dict[str, Delivery], new: list[Delivery]) -> dict[str, Delivery]:
    """Do what an ingest does: settle everything known until nothing changes."""
    known = dict(ledger)
    for d in new:
        known.setdefault(d.delivery_id, d)
    for _ in range(20):
        targets = settle(known.values())
        changes = {i: targets[i] for i, d in known.items() if changed(d, targets[i])}
        if not changes:
            return known
        known |= {i: record(known[i], target, "batch", T0) for i, target in changes.items()}
    raise AssertionError("the ledger does not come to rest")


def loaded(ledger: dict[str, Delivery]) -> Counter[str]:
    return Counter(d.content_id for d in ledger.values() if d.is_loaded)


@given(world=worlds())
@settings(derandomize=True, max_examples=400, deadline=None)
def test_any_order_with_repetition_loads_the_same_contents(world):
    versions, arrivals, sizes = world
    ledger: dict[str, Delivery] = {}
    at = 0
    while at < len(arrivals):
        size = sizes[at % len(sizes)]
        ledger = apply(ledger, arrivals[at : at + size])
        at += size
        assert max(loaded(ledger).values(), default=0) <= 1
    assert loaded(ledger) == loaded(apply({}, versions))


@given(world=worlds())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_every_content_that_counts_is_loaded_once_and_nothing_else(world):
    versions, _, _ = world
    current: dict[str, Delivery] = {}
    for d in versions:
        if d.verdict == "passed" and (d.key not in current or current[d.key].order < d.order):
            current[d.key] = d
    assert set(loaded(apply({}, versions)).elements()) == {d.content_id for d in current.values()}


@given(world=worlds())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_states_explain_themselves(world):
    versions, _, _ = world
    ledger = apply({}, versions)
    for d in ledger.values():
        if d.state in ("replaced", "duplicate"):
            assert d.other_delivery_id in ledger
        if d.state == "duplicate":
            assert ledger[str(d.other_delivery_id)].is_loaded
            assert ledger[str(d.other_delivery_id)].content_id == d.content_id
        if d.state == "replaced":
            assert ledger[str(d.other_delivery_id)].order > d.order
            assert ledger[str(d.other_delivery_id)].is_loadable
        if d.state == "held":
            assert d.verdict == "held"


def states(ledger: dict[str, Delivery]) -> dict[str, str]:
    return {d.etag: d.state for d in ledger.values()}


def test_the_newest_loadable_version_of_a_key_counts():
    old, new = delivery("a", "X", "passed", 0, "1"), delivery("a", "Y", "passed", 1, "2")
    assert states(apply({}, [old, new])) == {"1": "replaced", "2": "loaded"}
    assert states(apply(apply({}, [new]), [old])) == {"1": "replaced", "2": "loaded"}


def test_the_etag_decides_within_one_instant():
    one, two = delivery("a", "X", "passed", 0, "1"), delivery("a", "Y", "passed", 0, "2")
    for order in ([one, two], [two, one]):
        ledger: dict[str, Delivery] = {}
        for d in order:
            ledger = apply(ledger, [d])
        assert states(ledger) == {"1": "replaced", "2": "loaded"}


def test_a_held_or_refused_version_displaces_nothing():
    good = delivery("a", "X", "passed", 0, "1")
    for verdict in ("held", "rejected"):
        bad = delivery("a", "Y", verdict, 1, "2")
        assert states(apply({}, [good, bad])) == {"1": "loaded", "2": verdict}
        assert states(apply(apply({}, [bad]), [good])) == {"1": "loaded", "2": verdict}


def test_a_released_version_counts_like_one_that_passed():
    good, held = delivery("a", "X", "passed", 0, "1"), delivery("a", "Y", "held", 1, "2")
    ledger = apply({}, [good, held])
    ledger[held.delivery_id] = replace(ledger[held.delivery_id], verdict="released")
    assert states(apply(ledger, [])) == {"1": "replaced", "2": "loaded"}


def test_content_that_a_copy_still_wants_outlives_the_version_that_brought_it():
    first, copy = delivery("a", "X", "passed", 0, "1"), delivery("b", "X", "passed", 1, "2")
    ledger = apply({}, [first, copy])
    assert states(ledger) == {"1": "loaded", "2": "duplicate"}
    newer = delivery("a", "Y", "passed", 2, "3")
    # its rows are in bronze: they stay, rather than be read again under the copy's name
    assert states(apply(ledger, [newer])) == {"1": "loaded", "2": "duplicate", "3": "loaded"}


def test_seen_at_once_the_copy_carries_what_was_replaced():
    first, copy = delivery("a", "X", "passed", 0, "1"), delivery("b", "X", "passed", 1, "2")
    newer = delivery("a", "Y", "passed", 2, "3")
    assert states(apply({}, [first, copy, newer])) == {
        "1": "replaced",
        "2": "loaded",
        "3": "loaded",
    }


def test_a_key_that_returns_to_its_old_content_keeps_the_rows():
    first, same = delivery("a", "X", "passed", 0, "1"), delivery("a", "X", "passed", 1, "2")
    ledger = apply(apply({}, [first]), [same])
    assert loaded(ledger) == {"X": 1}
    assert states(ledger) == {"1": "loaded", "2": "duplicate"}
