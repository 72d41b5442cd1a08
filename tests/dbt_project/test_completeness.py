"""Bills of months that lack deliveries: marked while so, and nothing else moves."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lake.records import DELIVERIES

from .conftest import Weir, at

GB = 10**9
HOUR = dt.timedelta(hours=1)
MONTHS = [dt.datetime(2026, month, 10, tzinfo=dt.UTC) for month in range(1, 13)]
FEBRUARY, MARCH = MONTHS[1:3]


@pytest.fixture(autouse=True)
def contracts(tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))
    document = {
        "contract_id": "c1", "vendor": "cloudfront", "currency": "USD",
        "valid_from": dt.date(2026, 1, 1),
        "components": [{"kind": "per_gb_graduated", "tiers": [{"from_gb": 0, "price_per_gb": 1}]}],
    }  # fmt: skip
    (folder / "c1.yaml").write_text(yaml.safe_dump(document))


def delivery(name: str, start: dt.datetime, state: str = "loaded", **facts: Any) -> dict[str, Any]:
    """Return a row of the ledger: 100 rows of one hour in 1,000 bytes."""
    refused = state == "rejected"
    row = {
        "delivery_id": name, "change_no": 1, "changed_at": at("12:00"), "batch_id": "b",
        "source": "cloudfront", "table_name": "bronze.cdn_requests", "key": name, "etag": "e",
        "size_bytes": 1000, "last_modified": at("11:00"), "state": state,
        "verdict": {"held": "held", "rejected": "rejected"}.get(state, "passed"),
        "content_id": f"content of {name}", "content_sha256": name, "parser_version": "test/1",
        "period_start": start, "period_end": start + HOUR,
        "lines": None if refused else 100, "accepted": None if refused else 100,
        "rejected": None if refused else 0,
        "hours": [] if refused else [{"hour": start, "rows": 100}],
    } | facts  # fmt: skip
    if row["hours"] and "accepted" in facts:
        row["hours"] = [{"hour": start, "rows": facts["accepted"]}]
    return row


@pytest.fixture
def year(weir: Weir) -> Weir:
    """Return a lake with 100 GB in an hour of each month, each from one delivery."""
    weir.publish_traffic([{"slot_start": m, "bytes": 100 * GB, "requests": 100} for m in MONTHS])
    weir.append(DELIVERIES, [delivery(f"loaded {m.month}", m) for m in MONTHS])
    return weir


def bills(weir: Weir) -> dict[int, tuple[Any, ...]]:
    """Return low and expected amount of each month; the high one is the expected one here."""
    rows = weir.rows("select month(month), amount_low, amount, amount_high from marts.bills")
    assert all(amount == high for _, _, amount, high in rows)
    return {month: (low, amount) for month, low, amount, _ in rows}


#: by what is in the ledger beside the loaded delivery of the month: the expected amount while so
FOUND: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "nothing": (100, []),
    # 20 accepted and 5 broken lines beside 100 rows: a quarter more
    "held, with its known lines": (
        125, [delivery("h", MONTHS[1], "held", lines=25, accepted=20, rejected=5)]),
    "held without a good line, by its period": (
        150, [delivery("g", MONTHS[2], "held", lines=50, accepted=0, rejected=50, hours=[])]),
    "refused, by its size beside the others'": (
        160, [delivery("cut", MONTHS[3], "rejected", size_bytes=600)]),
    "a duplicate marks nothing, a held content counts once": (200, [
        delivery("again", MONTHS[4], "duplicate", content_id="content of loaded 5"),
        delivery("one", MONTHS[4], "held"),
        delivery("two", MONTHS[4], "held", content_id="content of one")]),
    "a held version, by what goes beyond the loaded one": (
        130, [delivery("v2", MONTHS[5], "held", key="loaded 6", lines=130, accepted=130)]),
    "a refused version that is smaller than the loaded one": (
        100, [delivery("v3", MONTHS[6], "rejected", key="loaded 7", size_bytes=400)]),
    "in an hour without any other, spread over its day": (
        200, [delivery("later", MONTHS[7] + 7 * HOUR, "held")]),
    "on a day without any other, of which nothing can be said": (
        100, [delivery("tomorrow", MONTHS[8] + 24 * HOUR, "held")]),
    "of another vendor": (100, [delivery("cf", MONTHS[9], "held", source="cloudflare")]),
    "of another table": (100, [delivery("rec", MONTHS[10], "held", source="rec_events",
                                        table_name="bronze.rec_events")]),
    # 5 rows of a feed that logs a tenth stand for 50
    "of a sampled feed": (
        150, [delivery("tenth", MONTHS[11], "held", source="tenth", lines=5, accepted=5)]),
}  # fmt: skip
#: what makes a month whole again
HEALED = [
    delivery("h", MONTHS[1], change_no=2, verdict="released", lines=25, accepted=20, rejected=5),
    delivery("g", MONTHS[2], "replaced", change_no=2, verdict="held", hours=[]),
    delivery("g2", MONTHS[2], key="g"),
    delivery("whole", MONTHS[3], key="cut"),
    delivery("cut", MONTHS[3], "replaced", change_no=2, verdict="rejected"),
    delivery("three", MONTHS[4], content_id="content of one"),
]


@pytest.fixture
def tenth(tmp_path, monkeypatch):
    """Let a second feed of the vendor log a tenth of its requests."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("WEIR_SOURCES", str(folder))
    for name, percent in (("cloudfront", 100), ("tenth", 10)):
        document = {
            "name": name, "description": "d", "owner": "team:delivery", "cdn": "cloudfront",
            "format": "cloudfront_v1", "landing": {"prefix": name}, "sampled_percent": percent,
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


def test_a_month_is_marked_while_a_delivery_is_held_or_refused_and_no_longer(year, tenth):
    rows = [row for _, rows in FOUND.values() for row in rows]
    year.append(DELIVERIES, rows)
    year.build("tag:billing")

    found = bills(year)
    expected = [amount for amount, _ in FOUND.values()]
    assert {w: found[m][1] for m, w in enumerate(FOUND, 1)} == dict(
        zip(FOUND, expected, strict=True)
    )
    assert {low for low, _ in found.values()} == {100}
    # a share is kept to a millionth, so an estimate may be off by as much
    assert year.rows(
        "select month(month), logged_bytes, round(estimated_bytes / 1000000000), "
        "incomplete_slots from marts.bills order by 1"
    ) == [
        (month, 100 * GB, amount - 100, int(amount > 100))
        for month, amount in enumerate(expected, 1)
    ]
    assert year.rows("select * exclude (factor_low, factor_high) from marts.usage_monthly "
                     "where month(month) = 2") == [
        (dt.date(2026, 2, 1), "cloudfront", "acme", 100, 100 * GB, 25 * GB, "c1", 1, 125 * GB)
    ]  # fmt: skip
    assert year.rows("select logged, estimated, quantity from marts.bill_lines "
                     "where month(month) = 2") == [(100 * GB, 25 * GB, 125)]  # fmt: skip

    year.append(DELIVERIES, HEALED)
    year.build("tag:billing", months=[f"2026-{m:02}-01" for m in (2, 3, 4, 5)])

    healed = bills(year)
    assert {healed[m] for m in (2, 3, 4, 5)} == {(100, 100)}
    assert {m: healed[m] for m in (1, *range(6, 13))} == {m: found[m] for m in (1, *range(6, 13))}


_FOUND = st.lists(
    st.tuples(
        st.sampled_from(["held", "rejected", "replaced", "duplicate"]),
        st.integers(-30, 60),
        st.integers(0, 500),
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, phases=[Phase.generate],
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(found=_FOUND)
def test_whatever_is_held_or_refused_nothing_that_counts_delivered_rows_moves(year, found):
    """Low amounts, logged bytes, requests and other months stay; expected and high only grow."""
    delivered = (
        "select month, contract_id, requests, logged_bytes, amount_low from marts.bills order by 1",
        "select month, contract_id, line_no, logged from marts.bill_lines order by all",
        "select month, cdn, customer, requests, logged_bytes from marts.usage_monthly order by all",
        "from marts.bills where month <> date '2026-02-01' order by 1",
        "from marts.bill_allocations where month <> date '2026-02-01' order by all",
    )
    year.catalog.purge_table(DELIVERIES.identifier)
    year.append(DELIVERIES, [delivery(f"loaded {m.month}", m) for m in MONTHS])
    year.build("tag:billing")
    before = [year.rows(sql) for sql in delivered]
    rows = []
    for i, (state, hours, size) in enumerate(found):
        facts = {"size_bytes": size} if state == "rejected" else {"lines": size, "accepted": size}
        rows.append(delivery(f"d{i}", FEBRUARY + hours * HOUR, state, **facts))
    if rows:
        year.append(DELIVERIES, rows)
    year.build("tag:billing")

    assert [year.rows(sql) for sql in delivered] == before
    low, amount = bills(year)[2]
    of_the_day = [size for state, hours, size in found
                  if state in ("held", "rejected") and 0 <= hours < 24]  # fmt: skip
    assert low == Decimal(100) <= amount
    assert amount == 100 or sum(of_the_day) > 0
    if any(size >= 10 for size in of_the_day):  # smaller ones are less than one row
        assert amount > 100
