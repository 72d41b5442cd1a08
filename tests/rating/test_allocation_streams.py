"""Bills split over streams: by the shares that each hour publishes, exact sums, stated limits."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.rating import Usage

from .cases import contract, documents, local_slots, rated, usages
from .splits import Row, allocated, located

MBPS = 37_500_000
GB = 10**9
APRIL = dt.date(2026, 4, 1)
NOON = dt.datetime(2026, 4, 3, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def _row(hour: dt.datetime, stream: str, bytes_: int, **columns: Any) -> Row:
    base = {"scope": "a", "pop": "FRA1", "hour": hour, "stream": stream, "requests": 1}
    return base | {"bytes": bytes_} | columns


def _per_gb(price: str) -> dict[str, Any]:
    return {"kind": "per_gb_graduated", "tiers": [{"from_gb": 0, "price_per_gb": price}]}


def _streams(parts: dict[Any, Decimal], method: str = "volume") -> dict[str, Decimal]:
    return {k[2]: v for k, v in parts.items() if k[:2] == (method, "stream")}


def test_a_stream_pays_what_its_locations_cost():
    usage = pa.concat_tables(
        [located([Usage(NOON, "a", 10 * GB)]), located([Usage(NOON, "a", 20 * GB)], "NRT1")]
    )
    document = contract([_per_gb("1"), _per_gb("3") | {"regions": ["eu"]}], regions={"eu": ["FRA"]})
    streams = [
        _row(NOON, "news", 10 * GB),
        _row(NOON, "film", 15 * GB, pop="NRT1"),
        _row(NOON, "(other)", 5 * GB, pop="NRT1"),
    ]
    assert _streams(allocated(usage, document, streams=streams)) == {
        "a/news": 30, "a/film": 15, "a/(other)": 5,
    }  # fmt: skip


def test_streams_of_one_name_belong_to_their_customers():
    usage = located([Usage(NOON, "a", 10 * GB), Usage(NOON, "b", 30 * GB)])
    streams = [_row(NOON, "1", 10 * GB), _row(NOON, "1", 30 * GB, scope="b")]
    parts = allocated(usage, contract([_per_gb("1")]), streams=streams)
    assert _streams(parts) == {"a/1": 10, "b/1": 30}


def test_a_billed_slot_is_split_by_the_shares_of_its_hour():
    # 100 Mbps in each slot of the month: the first is billed; that hour is shared 3 to 1
    slots = local_slots("UTC", APRIL, 30)
    usage = located([Usage(s, "a", 100 * MBPS) for s in slots])
    first = slots[0]
    later = [first + HOUR * n for n in range(1, 720)]
    streams = [
        _row(first, "news", 900 * MBPS),
        _row(first, "film", 300 * MBPS),
        *(_row(hour, "film", 1200 * MBPS) for hour in later),
    ]
    parts = allocated(usage, contract([{"kind": "p95", "price_per_mbps": 1}]), streams=streams)
    assert _streams(parts, "billed_slot") == {"a/news": 75, "a/film": 25}
    # by volume: 900 of 864,000 Mbps slots
    assert _streams(parts) == {"a/news": Decimal("0.10"), "a/film": Decimal("99.90")}


def test_requests_are_split_by_requests_and_a_fee_by_bytes():
    usage = located([Usage(NOON, "a", 4 * GB, requests=100)])
    streams = [
        _row(NOON, "many", GB, requests=90),
        _row(NOON, "large", 3 * GB, requests=10),
    ]
    price = {"kind": "requests", "price": "1", "package": 1}
    priced = allocated(usage, contract([_per_gb("0"), price]), streams=streams)
    assert _streams(priced) == {"a/many": 90, "a/large": 10}
    fee = {"kind": "fee", "amount": "8"}
    assert _streams(allocated(usage, contract([_per_gb("0"), fee]), streams=streams)) == {
        "a/many": 2, "a/large": 6,
    }  # fmt: skip


def test_an_hour_that_two_months_share_is_split_between_them():
    # half past midnight in Kolkata is on the hour in UTC: the month begins inside of an hour
    start = dt.datetime(2026, 3, 31, 18, tzinfo=dt.UTC)
    usage = located([Usage(start + dt.timedelta(minutes=5 * n), "a", GB) for n in range(12)])
    streams = [_row(start, "news", 8 * GB), _row(start, "film", 4 * GB)]
    parts = allocated(usage, contract([_per_gb("1")], timezone="Asia/Kolkata"), streams=streams)
    # both months of 6 GB: the parts of the months, added up
    assert _streams(parts) == {"a/news": 8, "a/film": 4}


def test_usage_of_hours_without_published_streams_is_unknown():
    usage = located([Usage(NOON, "a", GB), Usage(NOON + HOUR, "a", 3 * GB)])
    parts = allocated(usage, contract([_per_gb("1")]), streams=[_row(NOON, "news", GB)])
    assert _streams(parts) == {"a/news": 1, "a/unknown": 3}


def test_each_way_of_splitting_says_how():
    slots = local_slots("UTC", APRIL, 30)
    usage = located([Usage(s, "a", MBPS) for s in slots])
    parts = allocated(
        usage, contract([{"kind": "p95", "price_per_mbps": 1}]), column="any_value(how)"
    )
    assert parts["volume", "customer", "a"] == "bytes of the month, requests where those are priced"
    assert parts["billed_slot", "stream", "a/unknown"] == (
        "bytes in the billed five minutes, volume where no rate is billed; "
        "the slot over the streams of its hour"
    )


@settings(max_examples=8, deadline=None)
@given(documents(), usages(), st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_streams_of_any_contract_sum_to_its_bills(document, usage, shares):
    hours: dict[tuple[dt.datetime, str], int] = {}
    for one in usage:
        key = (one.slot_start.replace(minute=0), one.scope)
        hours[key] = hours.get(key, 0) + one.bytes
    # of the scope c no streams are published
    streams = [
        _row(hour, f"s{n}", total * share // max(sum(shares), 1), scope=scope, requests=share)
        for (hour, scope), total in hours.items()
        if scope != "c"
        for n, share in enumerate(shares)
    ]
    table = located(usage)
    total = sum(rated(table, document).totals().values())
    parts = allocated(table, document, streams=streams)
    for method in ("volume", "billed_slot"):
        assert sum(_streams(parts, method).values()) == total
