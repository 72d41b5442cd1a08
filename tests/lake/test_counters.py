"""Counters of vendors through the ledger: containers, zones, publications, and what stays out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.counters import COUNTERS, VENDOR_INVOICES, VENDOR_USAGE
from lake.formats import COUNTER_FAMILIES
from lake.publication import Published
from lake.records import LANDED
from lake.refused import RefusedError
from lake.settings import PACKAGED_SOURCES
from lake.source import SourceError, load_source, load_sources
from lake.versions import FAMILY_OF

EXAMPLES = PACKAGED_SOURCES / "counters"
NAMES = tuple(f.name for f in COUNTER_FAMILIES)
DAY = datetime(2026, 11, 16, tzinfo=UTC)
FEW = settings(
    derandomize=True, max_examples=25, deadline=None, suppress_health_check=list(HealthCheck)
)
INVOICE = "invoice_id,line_no,billing_period_start,amount\n{0},1,{1},10.00\n"


def published(feed_of, family: str, **said):
    return feed_of(family, published=Published(**said))


# --- containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", NAMES)
def test_each_family_has_an_example_source_that_loads(family):
    assert family in {s.format for s in load_sources(EXAMPLES).values()}


@pytest.mark.parametrize("family", NAMES)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@FEW
def test_any_other_text_is_rejected_and_accounted_for(family, body, parse, make):
    good = make.file(family, [make.numbered(family, 1)])
    data = good + body.replace(b"\n", b" ")
    found = parse(family, data)
    found.check_accounts(data)
    assert make.header(family).count(b"\n") + 1 in {r["source_line"] for r in found.rows}


def test_columns_are_found_by_name_in_any_order_and_case(parse):
    data = b"EDGEHITSSUM,x,CpCode,time5minutes\r\n7,?,55,2026-11-16T10:00:00Z\r\n"
    found = parse("akamai_usage", data)
    assert [(r["scope_value"], r["requests"]) for r in found.rows] == [("55", 7)]
    assert found.totals.unknown_fields == {"x"}


def test_a_byte_order_mark_semicolons_and_tabs_are_read(parse):
    for delimiter in (b";", b"\t"):
        data = b"\xef\xbb\xbfcdn;kind;name;capacity_bps;valid_from\nx;pop;FRA;10;2026-11-16\n"
        found = parse("capacity", data.replace(b";", delimiter))
        assert [r["capacity_bps"] for r in found.rows] == [10]
        assert found.totals.header == 1


def test_the_same_rows_as_csv_and_as_json_lines_are_the_same(parse):
    head = ["time5minutes", "cpcode", "edgeHitsSum"]
    row = ["2026-11-16T10:00:00Z", "55", "7"]
    csv = f"{','.join(head)}\n{','.join(row)}\n".encode()
    json = (
        b'{"time5minutes": "2026-11-16T10:00:00Z", "cpcode": 55, "edgeHitsSum": 7, "new": {"a": 1}}'
    )
    one, other = parse("akamai_usage", csv), parse("akamai_usage", json)
    assert other.totals.unknown_fields == {"new"}
    assert {**one.rows[0], "source_line": 0} == {**other.rows[0], "source_line": 0}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"2026-11-16T10:00:00Z,55,7\n", "no_header"),
        (b"time5minutes,edgeHitsSum\n", "no_header"),
        (b"time5minutes,cpcode,cpcode\n", "bad_header"),
    ],
)
def test_a_table_without_its_columns_is_refused_whole(data, reason, parse):
    with pytest.raises(RefusedError) as found:
        parse("akamai_usage", data)
    assert found.value.reason == reason


# --- zones, periods, money -------------------------------------------------------------------


def test_a_month_is_the_vendors_own(parse, feed_of):
    source = published(
        feed_of, "invoice", time_zone="Asia/Shanghai", issuer="Example", currency="CNY"
    )
    (row,) = parse("invoice", INVOICE.format("A", "2026-11").encode(), source=source).rows
    assert row["event_time"] == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert row["billing_period_end"] == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert (row["issuer"], row["currency"], row["amount"]) == ("Example", "CNY", Decimal(10))


def test_a_local_hour_that_occurs_twice_or_never_is_rejected(parse, feed_of):
    source = published(feed_of, "producer_roster", time_zone="Europe/Berlin")
    times = ("2026-10-25 01:30", "2026-10-25 02:30", "2026-03-29 02:30", "2026-10-25 02:30+02:00")
    data = "feed,producer,valid_from\n" + "".join(f"f,p,{t}\n" for t in times)
    found = parse("producer_roster", data.encode(), source=source)
    assert found.reasons == {3: "ambiguous_time", 4: "ambiguous_time"}
    assert [r["event_time"].hour for r in found.rows] == [23, 0]


def test_a_source_maps_the_header_of_its_vendor(parse):
    source = load_source(EXAMPLES / "invoices.yaml")
    data = (
        "Invoice No.,Item,Billing month,Type,Description,Region,Quantity,Unit,Unit price,Amount,"
        'Currency,Remark\nX-1,1,2026-11,Usage,"Traffic, all",EU,3,GB,0.5,1.50,CNY,-\n'
    )
    found = parse("invoice", data.encode(), source=source)
    (row,) = found.rows
    assert (row["invoice_id"], row["charge_description"]) == ("X-1", "Traffic, all")
    assert (row["quantity"], row["unit_price"], row["amount"]) == (3, Decimal("0.5"), 1.5)
    assert found.totals.unknown_fields == {"remark"}


def test_an_amount_that_a_float_would_change_is_kept(parse, feed_of):
    source = published(feed_of, "invoice", issuer="E", currency="EUR")
    exact = "123456789012345.123456789012"
    data = f"billing_period_start,amount\n2026-11-01,{exact}\n2026-11-01,0.1\n"
    found = parse("invoice", data.encode(), source=source)
    assert [r["amount"] for r in found.rows] == [Decimal(exact), Decimal("0.1")]


def test_equal_lines_of_an_invoice_are_two_charges_and_numbered_ones_one(parse, feed_of):
    source = published(feed_of, "invoice", issuer="E", currency="EUR")
    twice = b"billing_period_start,amount\n2026-11-01,5\n2026-11-01,5\n"
    keys = [r["row_key"] for r in parse("invoice", twice, source=source).rows]
    assert len(set(keys)) == 2
    numbered = b"line_no,billing_period_start,amount\n1,2026-11-01,5\n1,2026-11-01,6\n"
    keys = [r["row_key"] for r in parse("invoice", numbered, source=source).rows]
    assert len(set(keys)) == 1


def test_rounding_and_finality_are_what_the_source_declares(parse, feed_of, make):
    source = published(
        feed_of, "akamai_usage", requests_unit=100, bytes_unit=10**6, final_after="2d",
        bytes_meaning="with_network_overhead", account="acc",
    )  # fmt: skip
    data = make.file("akamai_usage", [make.line("akamai_usage")])
    (row,) = parse("akamai_usage", data, source=source).rows
    assert (row["rounding"], row["requests_unit"], row["bytes_unit"]) == ("rounded", 100, 10**6)
    assert row["final_at"] == row["slot_end"] + timedelta(days=2)
    assert (row["bytes_meaning"], row["account"]) == ("with_network_overhead", "acc")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("published: {time_zone: Mars/Olympus}", "IANA"),
        ("published: {bytes_unit: 0}", "published.bytes_unit"),
        ("published: {currency: euro}", "published.currency"),
        ("published: {bytes_meaning: all}", "published.bytes_meaning"),
        (
            "period: {pattern: '(?P<start>.)(?P<published>.)', start_format: '%Y', length: 1d}",
            "published_format",
        ),
    ],
)
def test_what_a_source_declares_wrongly_is_named(text, says, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: feed\ndescription: d\nowner: o\nformat: akamai_usage\nlanding: {prefix: x/}\n" + text
    )
    with pytest.raises(SourceError, match=says):
        load_source(path)


# --- the ledger ------------------------------------------------------------------------------


@pytest.fixture
def counted(box):
    """A lake whose sources are the examples."""
    box.sources = load_sources(EXAMPLES)
    return box


def usage(hits: int, minute: int = 0) -> bytes:
    head = "time5minutes,cpcode,edgeHitsSum,edgeResponseBytesSum\n"
    return f"{head}2026-11-16T10:{minute:02d}:00Z,55,{hits},{hits * 10}\n".encode()


def land(box, name: str, data: bytes, at: datetime = DAY) -> None:
    box.land(name, data, at, packed=False)


def test_a_report_published_again_under_its_name_replaces_the_old_one(counted):
    key = "usage/akamai/20261116_20261117T000000Z.csv"
    land(counted, key, usage(100))
    assert counted.run(VENDOR_USAGE).by_state == {"loaded": 1}
    land(counted, key, usage(120), DAY + timedelta(days=1))
    assert counted.run(VENDOR_USAGE).by_state == {"loaded": 1, "replaced": 1}
    rows = counted.sql("select requests, published_at from {}", VENDOR_USAGE.identifier)
    assert rows == [(120, datetime(2026, 11, 17, tzinfo=UTC))]
    assert counted.run(VENDOR_USAGE).changes == ()


def test_a_report_under_another_name_stays_beside_the_first_with_its_publication(counted):
    for day, hits in ((17, 100), (18, 120)):
        land(counted, f"usage/akamai/20261116_202611{day}T000000Z.csv", usage(hits))
    counted.run(VENDOR_USAGE)
    found = counted.sql(
        "select day(published_at), requests, row_key from {} order by 1", VENDOR_USAGE.identifier
    )
    assert [r[:2] for r in found] == [(17, 100), (18, 120)]
    assert found[0][2] == found[1][2]


def test_equal_bytes_published_twice_are_two_publications(counted):
    for day in (17, 18):
        land(counted, f"usage/akamai/20261116_202611{day}T000000Z.csv", usage(100))
    assert counted.run(VENDOR_USAGE).by_state == {"loaded": 2}


def test_a_slot_of_another_day_and_a_bad_line_are_rejects_with_a_reason(counted):
    data = usage(1) + b"2026-11-18T10:00:00Z,55,1,1\n2026-11-16T10:00:00Z,55,1.5,1\n"
    land(counted, "usage/akamai/20261116_20261117T000000Z.csv", data)
    counted.run(VENDOR_USAGE)
    reasons = counted.sql("select line, reason from {} order by line", "ops.rejects")
    assert reasons == [(3, "time_out_of_range"), (4, "wrong_type")]


def test_a_held_invoice_waits_and_the_others_go_in(counted):
    for name in ("good", "bad"):
        key = f"invoices/example-cdn/2026-11_2026-12-0{1 if name == 'good' else 2}.csv"
        head = "Invoice No.,Item,Billing month,Amount,Currency\n"
        land(counted, key, f"{head}{name},1,2026-11,1.00,CNY\n".encode())
    counted.audit.refuse = "12-02"
    assert counted.run(VENDOR_INVOICES).by_state == {"held": 1, "loaded": 1}
    assert counted.sql("select invoice_id from {}", VENDOR_INVOICES.identifier) == [("good",)]


def test_counters_make_no_hour_of_a_mart_stale(counted):
    land(counted, "usage/akamai/20261116_20261117T000000Z.csv", usage(100))
    counted.run(VENDOR_USAGE)
    assert counted.versions() == {}
    assert not set(FAMILY_OF) & {r.identifier for r in COUNTERS}
    assert {r.identifier for r in LANDED} >= {*FAMILY_OF, *(r.identifier for r in COUNTERS)}
