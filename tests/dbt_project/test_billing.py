"""Bills: published vectors, tiers against an independent reckoning, contracts that are refused."""

from __future__ import annotations

import datetime as dt
import random
from decimal import ROUND_HALF_UP, Decimal

import pytest
import yaml

from .conftest import PROJECT, message_of

GB = 10**9
TIERS = [
    {"from_gb": 0, "to_gb": 10240, "price_per_gb": "0.085"},
    {"from_gb": 10240, "price_per_gb": "0.080"},
]


def _contract(**fields: object) -> dict[str, object]:
    return {
        "contract_id": "c1",
        "vendor": "cloudfront",
        "currency": "USD",
        "valid_from": dt.date(2026, 1, 1),
        "unit": "GB",
        "components": [{"kind": "per_gb_graduated", "tiers": TIERS}],
    } | fields


@pytest.fixture
def contracts(tmp_path, monkeypatch):
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("WEIR_PRICE_CONTRACTS", str(folder))

    def write(**fields):
        contract = _contract(**fields)
        file = folder / f"{contract['contract_id']}.yaml"
        file.write_text(yaml.safe_dump(contract))
        return file

    return write


def _slot(year: int, month: int, day: int = 1, **columns: object) -> dict[str, object]:
    return {"slot_start": dt.datetime(year, month, day, tzinfo=dt.UTC)} | columns


def test_51200_gb_cost_4147_dollars_20(weir, contracts):
    # CloudFront's own example (price list, US): 10,240 GB at 0.085 and the rest at 0.080
    contracts()
    weir.publish_traffic(
        [
            _slot(2026, 2, bytes=50_000 * GB, requests=3),
            _slot(2026, 2, 28, bytes=1_200 * GB, requests=4, customer="other"),
        ]
    )
    weir.build("tag:billing")
    assert weir.rows(
        "select line_no, tier_from_gb, tier_to_gb, quantity_gb, unit_price, amount "
        "from marts.bill_lines order by line_no"
    ) == [
        (1, 0, 10240, 10240, Decimal("0.085"), Decimal("870.40")),
        (2, 10240, None, 40960, Decimal("0.080"), Decimal("3276.80")),
    ]
    assert weir.rows("select * from marts.bills") == [
        (dt.date(2026, 2, 1), "c1", "cloudfront", "USD", 51200, Decimal("4147.20"))
    ]
    assert weir.rows("select * from marts.usage_monthly order by customer") == [
        (dt.date(2026, 2, 1), "cloudfront", "acme", 3, 50_000 * GB),
        (dt.date(2026, 2, 1), "cloudfront", "other", 4, 1_200 * GB),
    ]


def test_bills_equal_an_independent_reckoning_to_the_cent(weir):
    tiers = yaml.safe_load((PROJECT / "price_contracts" / "cloudfront-2026.yaml").read_text())
    tiers = tiers["components"][0]["tiers"]
    dice = random.Random(3)
    months = [(2026, m) for m in range(1, 13)] + [(2027, m) for m in range(1, 13)]
    edges = [100 * GB, 100 * GB + 1, 300 * GB - 1, 300 * GB + 1, 1, 10**17]
    usage = edges + [dice.randrange(1, 500 * GB) for _ in months[len(edges) :]]
    weir.publish_traffic([_slot(y, m, bytes=b) for (y, m), b in zip(months, usage, strict=True)])
    weir.build("tag:billing")
    bills = dict(weir.rows("select month, amount from marts.bills"))
    for (year, month), total in zip(months, usage, strict=True):
        amount = Decimal(0)
        for tier in tiers:
            start, end = tier["from_gb"] * GB, tier.get("to_gb", 10**9) * GB
            inside = max(0, min(total, end) - start)
            line = Decimal(inside) / GB * Decimal(tier["price_per_gb"])
            amount += line.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert bills[dt.date(year, month, 1)] == amount


def test_a_month_is_priced_by_the_contract_in_force(weir, contracts):
    contracts()
    contracts(
        contract_id="c2",
        valid_from=dt.date(2026, 3, 1),
        components=[
            {"kind": "per_gb_graduated", "tiers": [{"from_gb": 0, "price_per_gb": "0.05"}]}
        ],
    )
    weir.publish_traffic(
        [_slot(2025, 12, 31, bytes=GB), _slot(2026, 2, 28, bytes=GB), _slot(2026, 3, bytes=GB)]
    )
    result = weir.run("tag:billing")
    assert result.success, message_of(result)
    assert weir.rows("select month, contract_id, amount from marts.bills order by month") == [
        (dt.date(2026, 2, 1), "c1", Decimal("0.09")),  # 0.085: half away from zero
        (dt.date(2026, 3, 1), "c2", Decimal("0.05")),
    ]
    # December has traffic and no contract: said, not swallowed
    assert "cdns_have_a_contract_in_force: Got 1 result" in message_of(result)


def test_a_refresh_touches_the_requested_months_alone_and_empties_what_became_empty(weir):
    weir.publish_traffic([_slot(2026, m, bytes=m * GB) for m in (1, 2, 3, 12)])
    weir.build("tag:billing")
    before = {t: weir.rows(f"select * from marts.{t} order by all") for t in _BILLING}
    weir.catalog.purge_table("gold.traffic_5m")
    weir.publish_traffic([_slot(2026, 3, 31, bytes=50 * GB), _slot(2027, 1, bytes=GB)])
    weir.build("tag:billing", months=["2026-02-01", "2026-03-01", "2026-12-01"])
    assert weir.rows("select month, bytes from marts.usage_monthly order by month") == [
        (dt.date(2026, 1, 1), GB),
        (dt.date(2026, 3, 1), 50 * GB),
    ]
    for table in _BILLING:
        january = [row for row in before[table] if row[0] == dt.date(2026, 1, 1)]
        where = "month = date '2026-01-01'"
        assert weir.rows(f"select * from marts.{table} where {where} order by all") == january
    assert weir.rows("select count(*) from marts.bills") == [(2,)]


_BILLING = ("usage_monthly", "bill_lines", "bills")


def test_no_column_of_the_billing_marts_is_a_double(weir):
    weir.build("tag:billing")
    types = weir.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        f"where table_schema = 'marts' and table_name in {_BILLING}"
    )
    assert {table for table, _, _ in types} == set(_BILLING)
    assert [t for t in types if t[2] in ("DOUBLE", "FLOAT", "REAL")] == []


def test_a_broken_contract_stops_bills_with_its_message_and_nothing_else(weir, contracts):
    contracts()
    weir.publish_traffic([_slot(2026, 2, bytes=GB)])
    weir.build("tag:billing")
    bills = weir.rows("select * from marts.bills")
    file = contracts(unit="GiB")
    result = weir.run("tag:billing")
    assert not result.success
    assert f"{file}: unit: unknown unit 'GiB'; expected one of GB" in message_of(result)
    assert weir.rows("select * from marts.bills") == bills
    weir.build("tag:delivery tag:engagement")
    contracts()
    weir.build("tag:billing")


def _with_tiers(*tiers: dict[str, object]) -> dict[str, object]:
    return {"components": [{"kind": "per_gb_graduated", "tiers": list(tiers)}]}


OPEN = {"from_gb": 0, "price_per_gb": "1"}
BROKEN = {
    "gap": (
        _with_tiers({"from_gb": 0, "to_gb": 10, "price_per_gb": "1"}, OPEN | {"from_gb": 11}),
        "components[0].tiers[1].from_gb: 11 leaves a gap after the previous tier, which ends "
        "at 10; expected 10.",
    ),
    "overlap": (
        _with_tiers({"from_gb": 0, "to_gb": 10, "price_per_gb": "1"}, OPEN | {"from_gb": 9}),
        "components[0].tiers[1].from_gb: 9 overlaps the previous tier, which ends at 10",
    ),
    "start": (_with_tiers(OPEN | {"from_gb": 1}), "tiers[0].from_gb: 1 leaves a gap"),
    "closed end": (_with_tiers(OPEN | {"to_gb": 10}), "bytes above it have no price"),
    "after the open tier": (_with_tiers(OPEN, OPEN), "tiers[1]: follows a tier without to_gb"),
    "empty tier": (_with_tiers(OPEN | {"to_gb": 0}), "tiers[0].to_gb: 0 is not above from_gb 0"),
    "no price": (_with_tiers({"from_gb": 0}), "tiers[0].price_per_gb: missing"),
    "binary price": (
        _with_tiers(OPEN | {"price_per_gb": 0.085}),
        "tiers[0].price_per_gb: 0.085 is a float; expected a whole number or a quoted decimal",
    ),
    "negative price": (_with_tiers(OPEN | {"price_per_gb": "-1"}), "price_per_gb: '-1'; expected"),
    "word": (_with_tiers(OPEN | {"price_per_gb": "ten"}), "'ten'; expected a decimal number"),
    "not a number": (_with_tiers(OPEN | {"price_per_gb": "NaN"}), "'NaN'; expected a number"),
    "too fine": (_with_tiers(OPEN | {"price_per_gb": "0.0000000001"}), "finer than 10^-9"),
    "unit": ({"unit": "TB"}, "unit: unknown unit 'TB'; expected one of GB"),
    "kind": ({"components": [{"kind": "flat", "tiers": [OPEN]}]}, "unknown kind 'flat'"),
    "no tiers": (_with_tiers(), "components[0].tiers: []; expected a list"),
    "middle of a month": (
        {"valid_from": dt.date(2026, 1, 15)},
        "valid_from: 2026-01-15; expected the first day of a month",
    ),
    "ends before": ({"valid_to": dt.date(2026, 1, 1)}, "valid_to: 2026-01-01 is not after"),
    "misspelt": ({"vendour": "x"}, "vendour: unknown field; expected only"),
}


@pytest.mark.parametrize(("fields", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_contract_is_refused_by_file_field_and_remedy(prices, contracts, fields, expected):
    file = contracts(**fields)
    with pytest.raises(prices.PriceContractError) as refused:
        prices.read_contract(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert expected in str(refused.value)


def test_a_contract_that_is_not_yaml_is_refused_by_line(prices, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("contract_id: a\nvendor: [b\n")
    with pytest.raises(prices.PriceContractError, match=r"x\.yaml: line 3: not YAML"):
        prices.read_contract(file)


def test_two_contracts_of_a_vendor_in_force_at_once_are_refused(prices, contracts, tmp_path):
    contracts()
    contracts(contract_id="c2")
    with pytest.raises(prices.PriceContractError, match=r"c2\.yaml: valid_from: 2026-01-01 falls"):
        prices.load_contracts(tmp_path / "contracts")


def test_two_contracts_of_one_name_are_refused(prices, contracts, tmp_path):
    contracts(vendor="other").rename(tmp_path / "contracts" / "b.yaml")
    contracts()
    with pytest.raises(prices.PriceContractError, match="one file per contract"):
        prices.load_contracts(tmp_path / "contracts")


def test_the_contracts_of_the_project_are_sound(prices):
    tiers = prices.load_contracts(PROJECT / "price_contracts")
    assert {t.vendor for t in tiers} >= {"cloudfront"}
