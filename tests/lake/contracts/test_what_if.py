"""Contracts' terms for the usage of other contracts, as rows that rating joins."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from lake.contracts import TABLES, parse_contract, rows_of, with_what_ifs
from lake.contracts.folder import Governed, alone

FRAME = tuple(TABLES["price_contracts"])
TEXT = """contract_id: {name}
vendor: {vendor}
currency: {currency}
valid_from: 2026-0{month}-01
timezone: {zone}
customers: [{name}]
components: [{{kind: per_gb_graduated, tiers: [{{from_gb: 0, price_per_gb: "0.{month}"}}]}}]
"""


def governed(
    name: str, month: int = 1, vendor: str = "v", currency: str = "USD", zone: str = "UTC"
) -> Governed:
    file = Path(f"{name}.yaml")
    text = TEXT.format(name=name, month=month, vendor=vendor, currency=currency, zone=zone)
    return alone(parse_contract(text, file), file)


ONE, OTHER = governed("one"), governed("other", 3, "w", "CNY", "Asia/Shanghai")


def test_each_contract_is_tried_on_the_usage_of_each_and_those_on_file_stay_as_they_are() -> None:
    rows, on_file = with_what_ifs([ONE, OTHER]), rows_of([ONE, OTHER])
    assert all(rows[table][: len(found)] == found for table, found in on_file.items())
    assert all(len(rows[table]) == 3 * len(found) for table, found in on_file.items())
    keys = [row[0] for row in rows["price_contracts"]]
    assert keys == ["one/1", "other/1", "one/1 for one/1", "other/1 for one/1",
                    "one/1 for other/1", "other/1 for other/1"]  # fmt: skip
    assert all({row[0] for row in found} <= set(keys) for found in rows.values())


def test_scope_is_that_of_the_usage_and_all_else_that_of_the_terms() -> None:
    rows = with_what_ifs([ONE, OTHER])
    key = "other/1 for one/1"
    (found,) = [dict(zip(FRAME, r, strict=True)) for r in rows["price_contracts"] if r[0] == key]
    assert found["stands_for"] == "one/1"
    assert (found["vendor"], found["valid_from"]) == ("v", dt.date(2026, 1, 1))
    assert (found["contract_id"], found["currency"], found["zone"]) == (
        "other", "CNY", "Asia/Shanghai",
    )  # fmt: skip
    assert [r[1] for r in rows["price_contract_customers"] if r[0] == key] == ["one"]


def test_a_version_is_tried_only_on_what_was_known_beside_it() -> None:
    until = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
    old = replace(ONE, known_to=until)
    later = OTHER.contract.model_copy(update={"known_from": until})
    rows = with_what_ifs([old, replace(OTHER, contract=later)])
    pairs = {r[0] for r in rows["price_contracts"] if " for " in str(r[0])}
    assert pairs == {"one/1 for one/1", "other/1 for other/1"}
    both = with_what_ifs([old, OTHER])["price_contracts"]
    (found,) = [dict(zip(FRAME, r, strict=True)) for r in both if r[0] == "other/1 for one/1"]
    assert found["known_to"] == until
