"""Price contracts: what is refused and how it is said, and contracts beside each other."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.contracts import (
    TABLES,
    PriceContractError,
    json_schema,
    load_contracts,
    parse_contract,
    read_contract,
    rows_of,
)
from lake.contracts.components import KINDS

_TABLE = yaml.safe_load((Path(__file__).parent / "broken.yaml").read_text())
SOUND: str = _TABLE["sound"]
CASES: list[dict[str, Any]] = _TABLE["cases"]


def _text(case: dict[str, Any]) -> str:
    if "text" in case:
        return str(case["text"])
    old, new = case.get("replace", ("", ""))
    assert not old or old in SOUND, case["name"]
    return (SOUND.replace(old, new) if old else SOUND) + str(case.get("add", ""))


def test_the_sound_contract_is_sound():
    assert parse_contract(SOUND, Path("c.yaml")).key == "c1/1"


def test_at_least_forty_contracts_are_refused():
    assert len({c["name"] for c in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_a_broken_contract_is_refused_by_line_field_and_remedy(case):
    with pytest.raises(PriceContractError) as refused:
        parse_contract(_text(case), Path("c.yaml"))
    said = str(refused.value)
    assert said.startswith("c.yaml: ")
    assert case["says"] in said
    assert said.count(". ") >= 1  # finding; expectation. Remedy.
    assert said.endswith(".")


@pytest.fixture
def folder(tmp_path: Path):
    def write(name: str, **changes: object) -> Path:
        file = tmp_path / name
        file.write_text(yaml.safe_dump(yaml.safe_load(SOUND) | changes, sort_keys=False))
        return file

    return write


def test_two_contracts_of_a_vendor_in_force_at_once_are_refused(folder, tmp_path):
    folder("a.yaml")
    folder("b.yaml", contract_id="c2")
    with pytest.raises(PriceContractError, match=r"b\.yaml: line 4: valid_from: 2026-01-01 falls"):
        load_contracts(tmp_path)


def test_a_contract_ends_where_the_next_one_starts(folder, tmp_path):
    folder("a.yaml")
    folder("b.yaml", contract_id="c2", valid_from=dt.date(2026, 5, 1))
    assert [g.valid_to for g in load_contracts(tmp_path)] == [dt.date(2026, 5, 1), None]


def test_contracts_of_other_customers_stand_beside_each_other(folder, tmp_path):
    folder("a.yaml", customers=["x"])
    folder("b.yaml", contract_id="c2", customers=["y"])
    folder("c.yaml", contract_id="c3")
    assert [g.valid_to for g in load_contracts(tmp_path)] == [None, None, None]
    folder("d.yaml", contract_id="c4", customers=["y", "z"])
    with pytest.raises(PriceContractError, match=r"d\.yaml: line 4: valid_from"):
        load_contracts(tmp_path)


def test_a_version_is_known_until_the_next_one_is(folder, tmp_path):
    folder("a.yaml")
    folder("b.yaml", version=2, known_from=dt.date(2026, 5, 10))
    first, second = load_contracts(tmp_path)
    assert (first.known_to, second.known_to) == (dt.datetime(2026, 5, 10, tzinfo=dt.UTC), None)
    assert second.valid_to is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "contract_id: 'c1' version 1 is also in"),
        ({"version": 2}, "known_from: None: version 2 is not known after version 1"),
        ({"version": 2, "known_from": dt.date(2026, 5, 1), "vendor": "x"}, "vendor: 'x': version"),
    ],
    ids=["same", "not-later", "other-vendor"],
)
def test_versions_that_do_not_follow_each_other_are_refused(folder, tmp_path, changes, says):
    folder("a.yaml")
    folder("b.yaml", **changes)
    with pytest.raises(PriceContractError) as refused:
        load_contracts(tmp_path)
    assert says in str(refused.value)


def test_a_folder_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(PriceContractError, match=r"no such folder.*WEIR_PRICE_CONTRACTS"):
        load_contracts(tmp_path / "none")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(PriceContractError, match=r"No such file.*expected a price contract"):
        read_contract(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceContractError, match="not UTF-8"):
        read_contract(tmp_path / "x.yaml")


def test_rows_have_the_columns_of_their_tables_and_exact_fractions(folder, tmp_path):
    folder("a.yaml", overhead={"factor": "1.1"})
    rows = rows_of(load_contracts(tmp_path))
    assert set(rows) == set(TABLES)
    assert all(len(r) == len(TABLES[name]) for name, found in rows.items() for r in found)
    assert [r[-3:-1] for r in rows["price_contract_tiers"]] == [(1, 10), (1, 20)]
    assert rows["price_contract_estimates"][1] == ("c1/1", "expected", 11, 10)


def test_the_schema_for_editors_names_every_kind():
    text = str(json_schema())
    assert all(f"'{kind}'" in text for kind in KINDS)
