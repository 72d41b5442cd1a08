"""FOCUS exports as Parquet: the same rows as CSV, money exact or refused, damage named."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.counters import VENDOR_INVOICES
from lake.limits import Limits
from lake.publication import Published
from lake.refused import RefusedError
from lake.source import LandingSpec, SourceError, load_source
from orchestration.commands import inspect as inspected

from .parse.either_way import BOUNDED

MONTH = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "BilledCost": Decimal("8.5425000000"),
    "BillingAccountId": "123",
    "BillingCurrency": "USD",
    "BillingPeriodStart": MONTH[0],
    "BillingPeriodEnd": MONTH[1],
    "ChargePeriodStart": datetime(2026, 11, 16, 10, tzinfo=UTC),
    "ChargePeriodEnd": datetime(2026, 11, 16, 11, tzinfo=UTC),
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "InvoiceIssuerName": "AWS",
    "ListUnitPrice": Decimal("0.1000000000"),
    "ContractedUnitPrice": Decimal("0.0850000000"),
    "PricingQuantity": Decimal("100.5000000000"),
    "PricingUnit": "GB",
    "ServiceName": "Amazon CloudFront",
    "Tags": [("team", "delivery"), ("env", "prod")],
}
TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(ROW, pa.string()),
    **{n: pa.timestamp("ms", "UTC") for n in ROW if "Period" in n},
    **{
        n: pa.decimal128(38, 10)
        for n in ("BilledCost", "ListUnitPrice", "ContractedUnitPrice", "PricingQuantity")
    },
    "Tags": pa.map_(pa.string(), pa.string()),
}


def table(*rows: dict[str, Any], **types: pa.DataType) -> pa.Table:
    given = {**TYPES, **types}
    names = list(rows[0])
    return pa.table({n: pa.array([r[n] for r in rows], given.get(n, pa.string())) for n in names})


def packed(rows: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, **options)
    return sink.getvalue()


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


@pytest.fixture
def read(parse, feed_of):
    def of(data: pa.Table | bytes, limits=None, **said):
        data = packed(data) if isinstance(data, pa.Table) else data
        source = feed_of(
            "focus_invoice",
            container="parquet",
            published=Published(**said),
            **({"limits": Limits(**limits)} if limits else {}),
        )
        found = parse("focus_invoice", data, source=source, name="in/a.parquet")
        t = found.totals
        assert t.lines == t.accepted + t.rejected
        numbers = [r["source_line"] for r in found.rows] + [r.line for r in t.rejects]
        assert sorted(numbers) == list(range(1, t.lines + 1))
        return found

    return of


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "none"])
def test_a_row_of_parquet_is_the_same_row_as_in_csv(codec, read, parse):
    found = read(packed(table(row()), compression=codec))
    out = io.StringIO()
    writer = csv.DictWriter(out, [n for n in ROW if n != "Tags"], extrasaction="ignore")
    writer.writeheader()
    plain = {n: v.isoformat() if isinstance(v, datetime) else v for n, v in ROW.items()}
    plain |= {"BilledCost": "8.5425", "ListUnitPrice": "0.10", "ContractedUnitPrice": "0.085",
              "PricingQuantity": "100.50"}  # fmt: skip
    writer.writerow(plain)
    (wanted,) = parse("focus_invoice", out.getvalue().encode()).rows
    assert [{**r, "source_line": 0} for r in found.rows] == [{**wanted, "source_line": 0}]
    assert (wanted["amount"], wanted["amount_decimals"]) == (Decimal("8.5425"), 4)
    assert found.totals.unknown_fields == {"Tags"}


MONEY = {
    # what somebody wrote is what a double gives back
    "0.1": (0.1, Decimal("0.1"), 1),
    "whole": (12.0, Decimal(12), 1),
    "fifteen digits": (12345678901.2345, Decimal("12345678901.2345"), 4),
    "small": (4.3e-06, Decimal("0.0000043"), 7),
    "negative": (-7.25, Decimal("-7.25"), 2),
}


@pytest.mark.parametrize("what", MONEY)
def test_a_double_that_is_a_short_decimal_is_that_decimal(what, read):
    given, amount, decimals = MONEY[what]
    (found,) = read(table(row(BilledCost=given), BilledCost=pa.float64())).rows
    assert (found["amount"], found["amount_decimals"]) == (amount, decimals)


DOUBTFUL = {
    "a sum": (0.1 + 0.2, pa.float64(), "inexact_number"),
    "a quotient": (2 / 3, pa.float64(), "inexact_number"),
    "a float": (0.1234567, pa.float32(), "inexact_number"),
    "no number": (float("nan"), pa.float64(), "wrong_type"),
    "no end": (float("inf"), pa.float64(), "wrong_type"),
    "too large": (1e300, pa.float64(), "wrong_type"),
    "eighteen decimals": (Decimal("0.000012345678901234"), pa.decimal128(38, 18), "wrong_type"),
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_money_that_is_not_certain_is_refused_with_the_reason(what, read):
    value, kind, reason = DOUBTFUL[what]
    found = read(table(row(), row(BilledCost=None), BilledCost=TYPES["BilledCost"]))
    assert found.reasons == {2: "missing_field"}
    found = read(table(row(BilledCost=value), BilledCost=kind))
    assert found.reasons == {1: reason}


@pytest.mark.parametrize(
    ("value", "kind", "amount"),
    [
        (0.1 + 0.2, pa.float64(), "0.3"),
        (2 / 3, pa.float64(), "0.6666666667"),
        (Decimal("0.000012345650000001"), pa.decimal128(38, 18), "0.0000123457"),
        (Decimal("0.000012345650000000"), pa.decimal128(38, 18), "0.0000123456"),
    ],
)
def test_a_source_can_have_money_rounded_to_decimals_half_to_even(value, kind, amount, read):
    (found,) = read(table(row(BilledCost=value), BilledCost=kind), round_decimals=10).rows
    assert found["amount"] == Decimal(amount)


def test_rounding_is_said_in_a_source_file_within_what_the_record_holds(tmp_path):
    path = tmp_path / "a.yaml"
    text = "name: a\ndescription: d\nowner: o\nformat: focus_invoice\nlanding: {prefix: a/}\n"
    path.write_text(f"{text}container: parquet\npublished: {{round_decimals: 13}}\n")
    with pytest.raises(SourceError, match=r"a\.yaml:7: published\.round_decimals"):
        load_source(path)
    path.write_text(f"{text}container: avro\n")
    with pytest.raises(SourceError, match=r"a\.yaml:6: container: .*lines, parquet"):
        load_source(path)


def test_instants_of_any_unit_are_read_and_those_beyond_the_calendar_rejected(read):
    for unit in ("s", "ms", "us", "ns"):
        kinds = {n: pa.timestamp(unit) for n in ROW if "Period" in n}
        plain = {n: v.replace(tzinfo=None) for n, v in ROW.items() if "Period" in n}
        (found,) = read(table(row(**plain), **kinds)).rows
        assert (found["event_time"], found["billing_period_end"]) == MONTH
    far = pa.array([300_000 * 365 * 86_400], pa.timestamp("s"))
    wrong = table(row()).set_column(3, "BillingPeriodStart", far)
    assert read(wrong).reasons == {1: "bad_time"}


@pytest.mark.parametrize("name", ["BilledCost", "BillingCurrency", "ChargeCategory"])
def test_a_column_that_focus_demands_and_is_not_there_refuses_the_file(name, read):
    given = table(row()).drop_columns([name])
    with pytest.raises(RefusedError, match=rf"bad_schema: .*{name.lower()}"):
        read(given)


WRONG_TYPES = {
    "money as words": ("BilledCost", pa.array(["much"]), "wrong_type"),
    "money as a flag": ("BilledCost", pa.array([True]), "wrong_type"),
    "money with a comma": ("BilledCost", pa.array(["8,54"]), "wrong_type"),
    "a month as a number": ("BillingPeriodStart", pa.array([202611]), "bad_time"),
    "a category of nobody": ("ChargeCategory", pa.array(["Gift"]), "unknown_category"),
    "a currency of nobody": ("BillingCurrency", pa.array([7]), "unknown_currency"),
    "text that is none": ("ServiceName", pa.array([b"\xff"]), "bad_utf8"),
    "a period upside down": ("BillingPeriodEnd", pa.array(["2026-10-01"]), "empty_period"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_TYPES)
def test_a_column_of_another_type_costs_the_rows_that_it_is_wrong_in(what, read):
    name, column, reason = WRONG_TYPES[what]
    given = table(row())
    found = read(given.set_column(given.column_names.index(name), name, column))
    assert found.reasons == {1: reason}


def test_a_map_where_money_belongs_is_refused_whole(read):
    given = table(row())
    wrong = given.set_column(0, "BilledCost", given.column("Tags"))
    with pytest.raises(RefusedError, match="bad_schema: expected text, a number"):
        read(wrong)


DAMAGE = {"truncated", "corrupt", "crc", "zero_bytes", "bad_schema", "wrong_container",
          "encrypted", "bomb"}  # fmt: skip


@given(at=st.integers(0, 4_000), bad=st.binary(min_size=1, max_size=8))
@BOUNDED
def test_damage_is_refused_or_accounted_for(at, bad, read):
    data = packed(table(row(), row(BilledCost=Decimal(1))))
    at %= len(data)
    reasons = set()
    for broken in (data[:at], data[:at] + bad + data[at + len(bad) :]):
        try:
            read(broken)
        except RefusedError as err:
            reasons.add(err.reason)
    assert reasons
    assert reasons <= DAMAGE


def test_equal_charges_are_several_wherever_the_pieces_end(read, monkeypatch):
    monkeypatch.setattr("lake.parquet_rows._BATCH_ROWS", 2)
    found = read(table(*[row()] * 5))
    assert len({r["row_key"] for r in found.rows}) == 5
    whole = {r["row_key"] for r in found.rows}
    monkeypatch.undo()
    assert {r["row_key"] for r in read(table(*[row()] * 5)).rows} == whole


def test_equal_lines_of_text_are_several_charges_in_whatever_chunk(parse, feed_of, monkeypatch):
    monkeypatch.setattr("lake.inflate.CHUNK_BYTES", 150)
    source = feed_of("invoice", published=Published(issuer="E", currency="EUR"))
    text = "billing_period_start,amount\n" + "2026-11-01,5\n" * 40
    keys = [r["row_key"] for r in parse("invoice", text.encode(), source=source).rows]
    assert len({*keys}) == 40


def test_an_export_is_found_out_and_shown(tmp_path, capsys):
    path = tmp_path / "focus.parquet"
    path.write_bytes(packed(table(row(), row(BilledCost=None))))
    assert inspected.run([path], None, 3, as_json=True) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[-1]["summary"]["format"] == "focus_invoice"
    assert (said[-1]["summary"]["accepted"], said[-1]["summary"]["rejected"]) == (1, 1)
    assert '"billingcurrency":"USD"' in next(s for s in said if "reject" in s)["reject"]["raw"]


def test_an_export_goes_into_the_lake(box, feed_of):
    source = feed_of("focus_invoice", container="parquet", landing=LandingSpec(prefix="in/"))
    box.sources = {"feed": source}
    box.land("in/a.parquet", packed(table(row(), row(BilledCost=None))), packed=False)
    box.run(VENDOR_INVOICES)
    rows = box.sql("select amount, currency, source_line from {}", VENDOR_INVOICES.identifier)
    assert rows == [(Decimal("8.5425"), "USD", 1)]
    assert box.sql("select line, reason from {}", "ops.rejects") == [(2, "missing_field")]
