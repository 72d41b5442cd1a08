"""weir bill and weir contract, from the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from orchestration.cli import app

CONTRACT = """\
contract_id: c1
vendor: cloudfront
currency: USD
valid_from: 2026-01-01
components:
  - kind: per_gb_graduated
    tiers:
      - {from_gb: 0, to_gb: 10240, price_per_gb: "0.085"}
      - {from_gb: 10240, price_per_gb: "0.080"}
  - {kind: requests, price: "0.0075"}
"""
P95 = """\
contract_id: c2
vendor: cloudfront
currency: USD
valid_from: 2026-01-01
components:
  - {kind: p95, price_per_mbps: "1.5"}
"""
USAGE = """\
scope,period,bytes,requests
a,2026-03,50000000000000,10000000
b,2026-03,1200000000000,5000000
"""


@pytest.fixture
def bill(tmp_path: Path) -> Callable[..., Result]:
    """Run weir bill on a contract and a usage, given as texts."""

    def run(*options: str, contract: str = CONTRACT, usage: str = USAGE, **files: str) -> Result:
        (tmp_path / "c.yaml").write_text(contract)
        (tmp_path / "u.csv").write_text(usage)
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        given = ["--contract", str(tmp_path / "c.yaml"), "--usage", str(tmp_path / "u.csv")]
        return CliRunner().invoke(
            app, ["bill", *given, *(o.replace("TMP", str(tmp_path)) for o in options)]
        )

    return run


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_bill_has_lines_and_a_total_as_text(bill):
    found = document(bill("--json"))
    assert found["total"] == "4158.45"
    assert [line["amount"] for line in found["lines"]] == ["870.40", "3276.80", "11.25"]
    assert [line["quantity"] for line in found["lines"]] == ["10240", "40960", "1500"]
    assert found["unbilled_bytes"] == 0
    assert found["bills"][0]["amount_high"] == "4158.45"


def test_a_table_and_an_explanation_can_be_followed_by_hand(bill):
    result = bill("--explain")
    assert "total: 4,158.45 USD" in result.stdout
    assert (
        "1. 51,200,000,000,000 bytes, 1,000,000,000 bytes a GB; tier 1 (over 0 up to 10,240): "
        "10,240 GB x 0.085 USD = 870.40 USD (rounded half_up to 2 digits)."
    ) in result.stdout


def test_a_bill_of_incomplete_usage_says_what_is_estimated(bill):
    usage = "period,bytes,requests,completeness\n2026-03,80000000000,0,0.8\n"
    found = document(bill("--json", usage=usage))
    (month,) = found["bills"]
    assert [month[c] for c in ("amount_low", "amount", "amount_high")] == ["6.80", "8.50", "8.50"]
    assert (month["logged_bytes"], month["estimated_bytes"]) == (80 * 10**9, 20 * 10**9)
    assert (found["lines"][0]["logged"], found["lines"][0]["estimated"]) == (
        "80000000000", "20000000000",
    )  # fmt: skip
    shown = bill("--explain", usage=usage).stdout
    assert "6.80 counts what it says, 20,000,000,000 bytes are estimated" in shown
    assert "80,000,000,000 bytes + 20,000,000,000 estimated of what is missing" in shown


def _samples(mbps: int, slots: int = 8640) -> str:
    rows = [
        f"a,2026-04-{1 + i // 288:02d}T{i % 288 // 12:02d}:{i % 12 * 5:02d}:00Z,{mbps * 37_500_000}"
        for i in range(slots)
    ]
    return "\n".join(["scope,slot_start,bytes", *rows])


def test_an_explanation_of_a_percentile_names_samples_rank_and_slot(bill):
    result = bill("--explain", contract=P95, usage=_samples(1000))
    assert result.exit_code == 0, result.output
    assert (
        "8,640 five-minute samples, 432 dropped, the 433. highest billed (first at 2026-04-01 "
        "00:00 UTC): 37,500,000,000 bytes in 300 s x 8 / 300 / 1,000,000 = Mbps; tier 1 (over 0): "
        "1,000 Mbps x 1.5 USD = 1,500.00 USD"
    ) in result.stdout


def test_requests_that_no_component_prices_are_not_counted(bill):
    head, *rows = _samples(100).splitlines()
    usage = "\n".join([f"{head},requests", *(f"{row},7" for row in rows)])
    fee = P95 + '  - {kind: requests, price: "0.01"}\n'
    (month,) = document(bill("--json", contract=P95, usage=usage))["bills"]
    assert month["requests"] is None
    (month,) = document(bill("--json", contract=fee, usage=usage))["bills"]
    assert month["requests"] == 7 * 8640


@pytest.mark.parametrize("scope", ["a", "b"])
def test_one_incomplete_slot_of_one_scope_is_seen_in_the_bill(bill, scope):
    head, *rows = _samples(100, 600).splitlines()
    usage = [f"{head},completeness", *(f"{row},1" for row in rows)]
    usage += [f"b{row[1:]},1" for row in rows]
    whole = document(bill("--json", contract=P95, usage="\n".join(usage)))["bills"]
    at = next(n for n, row in enumerate(usage) if row.startswith(f"{scope},"))
    usage[at] = usage[at].removesuffix(",1") + ",0.5"
    lacking = document(bill("--json", contract=P95, usage="\n".join(usage)))["bills"]
    found = [(b["incomplete_slots"], b["estimated_bytes"]) for b in (*whole, *lacking)]
    assert found == [(0, 0), (1, 3_750_000_000)]


def test_samples_off_the_grid_count_in_the_slot_they_lie_in(bill):
    on_grid = _samples(100)
    head, first, *rest = on_grid.splitlines()
    assert first == "a,2026-04-01T00:00:00Z,3750000000"
    parts = ["a,2026-04-01T00:01:07Z, 3749999991 ", "a,2026-04-01T00:04:59Z,9"]
    off_grid = "\n".join([head, *parts, *rest])
    assert document(bill("--json", contract=P95, usage=off_grid)) == document(
        bill("--json", contract=P95, usage=on_grid)
    )


def test_two_contracts_are_compared_on_the_same_usage(bill):
    cheaper = CONTRACT.replace("c1", "c9").replace("0.080", "0.070")
    found = document(bill("--json", "--compare", "TMP/other.yaml", other=cheaper))
    assert found["compare"]["total"] == "3748.85"
    assert found["difference"] == "-409.60"
    table = bill("--compare", "TMP/other.yaml", other=cheaper)
    assert "c9 - c1: -409.60 USD" in table.stdout
    other = document(bill("--json", "--compare", "TMP/o.yaml", o=cheaper.replace("USD", "CNY")))
    assert other["difference"] is None


def test_csv_is_safe_for_spreadsheets(bill):
    contract = CONTRACT + "  - {kind: credit, name: '=cmd|x', amount: 1}\n"
    contract = contract.replace("kind: requests", "kind: requests, per: scope")
    result = bill("--csv", contract=contract, usage=USAGE.replace("a,2026", '"=1+1",2026'))
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {r["scope"] for r in rows} == {"", "'=1+1", "b"}
    assert rows[-1]["name"] == "'=cmd|x"
    assert rows[-1]["amount"] == "-1.00"  # a number, and no text


@pytest.mark.parametrize(
    ("usage", "says"),
    [
        ("period,bytes\n2026-03,12.5\n", "row 1: bytes: '12.5'; expected a whole number"),
        ("period,bytes\n2026-03,1\n2026-03,-1\n", "row 2: bytes: '-1'; expected a whole number"),
        ("period,bytes\n2026-03,1e3\n", "row 1: bytes: '1e3'; expected a whole number"),
        ("period,bytes\n2026-03, 5 \n2026-03,1_0\n", "row 2: bytes: '1_0'; expected a whole"),
        ("period,bytes\n2026-03,\n", "row 1: bytes: None; expected a whole number"),
        ("period,bytes\n2026-13,1\n", "row 1: period: '2026-13'; expected a month such as 2026-03"),
        ("slot_start,bytes\nnoon,1\n", "row 1: slot_start: 'noon'; expected an instant"),
        ("bytes\n1\n", "columns bytes; expected bytes and one of slot_start and period"),
        ("period,bytes,byts_in\n2026-03,1,1\n", "unknown column 'byts_in'; expected only"),
        ("period,bytes,scheme\n2026-03,1,ftp\n", "row 1: scheme: 'ftp'; expected http, https"),
        ("period,bytes,completeness\n2026-03,1,0\n", "completeness: '0'; expected a share"),
    ],
    ids=lambda text: text.splitlines()[-1],
)  # fmt: skip
def test_usage_that_cannot_be_rated_is_refused_by_row_and_column(bill, usage, says):
    result = bill(usage=usage)
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())


def test_sums_of_hours_or_months_are_no_samples(bill):
    assert "Give slot_start instead of period" in " ".join(bill(contract=P95).stderr.split())
    hours = [f"2026-04-{1 + i // 24:02d}T{i % 24:02d}:00:00Z,1" for i in range(48)]
    result = bill(contract=P95, usage="\n".join(["slot_start,bytes", *hours]))
    assert "all 48 samples lie on full hours" in " ".join(result.stderr.split())


def test_bytes_outside_the_contract_are_said_and_not_swallowed(bill):
    usage = USAGE + "c,2025-12,7,0\n"
    assert document(bill("--json", usage=usage))["unbilled_bytes"] == 7
    assert "7 bytes of the usage are not billed" in bill(usage=usage).stdout


def test_parquet_and_several_files_count_like_one_csv(bill, tmp_path):
    whole = document(bill("--json"))
    (tmp_path / "half.csv").write_text("\n".join(USAGE.splitlines()[:2]))
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select 'b' as scope, date '2026-03-01' as period, 1200000000000 as bytes, "
            f"5000000::integer as requests) to '{tmp_path / 'rest.parquet'}'"
        )
    given = ["--contract", str(tmp_path / "c.yaml"), "--json"]
    given += ["--usage", str(tmp_path / "half.csv"), "--usage", str(tmp_path / "rest.parquet")]
    assert document(CliRunner().invoke(app, ["bill", *given])) == whole


def test_a_binary_fraction_in_parquet_is_no_count_of_bytes(bill, tmp_path):
    bill()
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select date '2026-03-01' as period, 1.0::double as bytes) to "
            f"'{tmp_path / 'd.parquet'}'"
        )
    given = ["--contract", str(tmp_path / "c.yaml"), "--usage", str(tmp_path / "d.parquet")]
    result = CliRunner().invoke(app, ["bill", *given])
    assert result.exit_code == 1
    assert "bytes is a DOUBLE; expected whole numbers" in " ".join(result.stderr.split())


def test_a_refused_contract_ends_with_1_and_its_message(bill, tmp_path):
    result = bill(contract=CONTRACT.replace("0.080", "-1"))
    assert result.exit_code == 1
    assert "line 9: components[0].tiers[1].price_per_gb: '-1'" in " ".join(result.stderr.split())
    checked = CliRunner().invoke(app, ["contract", "check", str(tmp_path / "c.yaml"), "--json"])
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)[0]["is_sound"] is False


def test_sound_contracts_are_said_to_be_sound_and_the_schema_is_json(bill, tmp_path):
    bill()
    checked = CliRunner().invoke(app, ["contract", "check", str(tmp_path / "c.yaml")])
    assert checked.exit_code == 0
    assert "sound. c1 version 1, cloudfront" in " ".join(checked.stdout.split())
    schema = json.loads(CliRunner().invoke(app, ["contract", "schema"]).stdout)
    assert schema["title"] == "Weir price contract"


def test_a_bill_starts_neither_dbt_nor_dagster(tmp_path):
    (tmp_path / "c.yaml").write_text(CONTRACT)
    (tmp_path / "u.csv").write_text(USAGE)
    given = ["bill", "--contract", str(tmp_path / "c.yaml"), "--usage", str(tmp_path / "u.csv")]
    code = (
        "import sys\n"
        "from orchestration.cli import app\n"
        f"app({given!r}, standalone_mode=False)\n"
        "heavy = {'dbt', 'dagster', 'great_expectations', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
