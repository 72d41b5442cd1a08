"""Staging of what vendors say themselves: publications, and each test seen failing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from lake.counters import CAPACITIES, PRODUCER_ROSTERS, VENDOR_INVOICES, VENDOR_USAGE

from .conftest import at, key, message_of

SAID = {
    "source": "feed",
    "delivery_id": "d1",
    "source_line": 1,
    "parser_version": "test/1",
    "ingested_at": at("23:00"),
    "cdn": "akamai",
}


def published(day: int | None) -> dt.datetime | None:
    return None if day is None else dt.datetime(2026, 11, day, tzinfo=dt.UTC)


def usage(name: str, requests: int, day: int | None = 17, **columns: object):
    return SAID | {
        "row_key": key(name),
        "event_time": at("10:00"),
        "slot_end": at("11:00"),
        "scope_kind": "cp_code",
        "scope_value": "55",
        "counter": name,
        "requests": requests,
        "definition": "akamai.edge/1",
        "rounding": "exact",
        "published_at": published(day),
        "final_at": at("11:00") + dt.timedelta(days=1),
        **columns,
    }


def line(name: str, amount: str, invoice: str | None, day: int | None, **columns: object):
    return SAID | {
        "row_key": key(name),
        "event_time": at("00:00"),
        "billing_period_end": at("00:00") + dt.timedelta(days=30),
        "invoice_id": invoice,
        "issuer": "Akamai",
        "charge_category": "Usage",
        "amount": Decimal(amount),
        "amount_decimals": 2,
        "currency": "EUR",
        "published_at": published(day),
        **columns,
    }


def span(label: str, start: str, end: str | None, **columns: object):
    ends = None if end is None else at(end)
    return SAID | {"row_key": key(label), "event_time": at(start), "valid_to": ends, **columns}


def producer(name: str, start: str, end: str | None, **columns: object):
    row = span(name, start, end, feed="rec_events", producer="rec-1", **columns)
    return {k: v for k, v in row.items() if k != "cdn"}


def place(name: str, start: str, end: str | None, bps: int = 10**11):
    return span(name, start, end, kind="pop", name="FRA56", capacity_bps=bps)


def failed(result) -> set[str]:
    return {r.node.name for r in result.result.results if str(r.status) not in ("pass", "success")}


def test_the_last_publication_of_a_slot_counts_whatever_the_order(weir):
    weir.append(VENDOR_USAGE, [usage("a", 120, 18), usage("a", 100, 17), usage("b", 7, None)])
    weir.append(VENDOR_USAGE, [usage("c", 1, None), usage("c", 3, None), usage("a", 900, None)])
    weir.build("tag:counters")
    found = weir.rows(
        "select counter, requests, is_final, publications_replaced "
        "from staging.stg_vendor__usage order by all"
    )
    assert found == [("a", 120, True, 2), ("b", 7, False, 0), ("c", 3, False, 1)]


def test_an_invoice_counts_whole_as_it_was_published_last(weir):
    weir.append(
        VENDOR_INVOICES,
        [
            line("1", "10.00", "A", 3),
            line("2", "5.00", "A", 3),
            line("1", "9.00", "A", 5),  # corrected: the second line is gone
            line("3", "1.00", "B", 3),  # another invoice, not published again
            line("4", "2.00", "C", None),
        ],
    )
    weir.build("tag:counters")
    found = weir.rows(
        "select invoice_id, amount from staging.stg_vendor__invoice_lines order by all"
    )
    assert found == [("A", Decimal(9)), ("B", Decimal(1)), ("C", Decimal(2))]


def test_a_line_without_an_invoice_counts_until_the_month_is_published_again(weir):
    weir.append(VENDOR_INVOICES, [line("open", "10.00", None, 3), line("open2", "1.00", None, 3)])
    weir.build("tag:counters")
    count = "select count(*), sum(amount) from staging.stg_vendor__invoice_lines"
    assert weir.rows(count) == [(2, Decimal(11))]
    weir.append(VENDOR_INVOICES, [line("issued", "11.00", "A", 5)])
    weir.build("tag:counters")
    assert weir.rows(count) == [(1, Decimal(11))]


def test_rosters_and_capacities_say_of_each_instant_one_thing(weir):
    weir.append(
        PRODUCER_ROSTERS,
        [
            producer("x", "00:00", "10:00", published_at=published(17)),
            producer("x", "00:00", "12:00", published_at=published(18)),
            producer("y", "12:00", None),
        ],
    )
    weir.append(CAPACITIES, [place("x", "00:00", "12:00"), place("y", "12:00", None, 2 * 10**11)])
    weir.build("tag:counters")
    ends = weir.rows("select hour(valid_to) from staging.stg_ops__producer_rosters order by 1")
    assert ends == [(12,), (None,)]
    sizes = weir.rows("select capacity_bps from staging.stg_cdn__capacities order by 1")
    assert sizes == [(10**11,), (2 * 10**11,)]


LATER = {"event_time": at("10:30"), "slot_end": at("10:35")}
BROKEN = {
    "stg_vendor_usage_slots_do_not_overlap": (
        VENDOR_USAGE,
        [usage("a", 1), usage("b", 1, counter="a", **LATER)],
    ),
    "stg_vendor_invoice_lines_have_one_currency": (
        VENDOR_INVOICES,
        [line("1", "1.00", "A", 3), line("2", "1.00", "A", 3, currency="USD")],
    ),
    "stg_ops_producer_rosters_spans_do_not_overlap": (
        PRODUCER_ROSTERS,
        [producer("x", "00:00", None), producer("y", "10:00", None)],
    ),
    "stg_cdn_capacities_spans_do_not_overlap": (
        CAPACITIES,
        [place("x", "00:00", "12:00"), place("y", "11:59", None)],
    ),
}


@pytest.mark.parametrize("test", BROKEN)
def test_each_test_fails_on_what_it_is_for(test, weir):
    record, rows = BROKEN[test]
    weir.append(record, rows)
    result = weir.run("tag:counters")
    assert not result.success
    assert failed(result) == {test}, message_of(result)
