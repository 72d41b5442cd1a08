"""weir bill: rate any usage under one contract, line by line.

Neither dbt nor Dagster is imported; the SQL is the marts' own (orchestration/rating.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lake.contracts import Contract, PriceContractError, read_contract
from lake.contracts.folder import alone
from lake.reads import connect, quote_literal
from orchestration.commands.output import (
    console,
    grouped,
    lines_safe,
    print_csv,
    print_json,
    safe,
    table,
)
from orchestration.explain import explain
from orchestration.rating import TRAFFIC, rate
from orchestration.usage_columns import UsageError
from orchestration.usage_files import show_usage

_SHOWN = (
    "month", "line_no", "kind", "item", "name", "scope", "tier_no", "tier_from", "tier_to", "unit",
    "quantity", "unit_price", "amount", "logged", "estimated", "factor", "billed_day",
    "billed_slot", "billed_rank", "samples", "valid_days", "month_days", "component_no",
    "contract_version",
)  # fmt: skip


@dataclass(frozen=True)
class Rated:
    """Usage under one contract."""

    contract: Contract
    lines: list[dict[str, Any]]
    bills: list[dict[str, Any]]
    unbilled_bytes: int

    @property
    def total(self) -> Decimal:
        """Return the sum of all lines, of all months."""
        return self.money(sum((b["amount"] for b in self.bills), Decimal(0)))

    def money(self, amount: Decimal) -> Decimal:
        """Return an amount with the contract's digits; nothing is rounded any more."""
        return amount.quantize(Decimal(1).scaleb(-self.contract.rounding.digits))


def run(
    contract: Path,
    usage: Sequence[Path],
    compare: Path | None,
    *,
    explained: bool,
    as_csv: bool,
    as_json: bool,
) -> int:
    """Print a bill; 1 where the contract or the usage is refused."""
    try:
        rated = rate_files(contract, usage)
        other = rate_files(compare, usage) if compare else None
    except (PriceContractError, UsageError) as error:
        console(stderr=True).print(f"weir bill: {lines_safe(str(error))}", soft_wrap=True)
        return 1
    if as_json:
        print_json(_document(rated, other, explained=explained))
    elif as_csv:
        shown = [*_SHOWN, *(["explanation"] if explained else [])]
        print_csv(["contract_id", "currency", *shown], [
            [r.contract.contract_id, r.contract.currency, *(line[c] for c in shown)]
            for r in (rated, other) if r is not None
            for line in (_line(r, one, explained=explained) for one in r.lines)
        ])  # fmt: skip
    else:
        _show(rated, explained=explained)
        if other is not None:
            _show(other, explained=explained)
            _show_comparison(rated, other)
    return 0


def rate_files(contract_file: Path, usage: Sequence[Path]) -> Rated:
    """Rate usage files under the contract of a file."""
    contract = read_contract(contract_file)
    with TemporaryDirectory(prefix="weir-bill-") as folder, connect(None) as connection:
        # what does not fit in memory goes there, and not into the folder one happens to be in
        connection.execute(f"set temp_directory = {quote_literal(folder)}")
        is_complete = show_usage(connection, usage, contract, TRAFFIC, Path(folder))
        rate(connection, [alone(contract, contract_file)], is_complete=is_complete)

        def records(sql: str) -> list[dict[str, Any]]:
            result = connection.execute(sql)
            names = [c[0] for c in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        bills = records("from bills order by month")
        given = connection.execute(f"select coalesce(sum(bytes), 0) from {TRAFFIC}").fetchone()
        return Rated(
            contract,
            records("from bill_lines order by month, line_no"),
            bills,
            int(given[0] if given else 0) - sum(int(b["logged_bytes"]) for b in bills),
        )


def _line(rated: Rated, line: dict[str, Any], *, explained: bool) -> dict[str, Any]:
    shown = {name: line[name] for name in _SHOWN}
    shown["amount"] = rated.money(line["amount"])
    for name in ("tier_from", "tier_to", "quantity", "unit_price", "factor"):
        if shown[name] is not None:
            shown[name] = plain(shown[name])
    if explained:
        shown["explanation"] = explain(line, rated.contract)
    return shown


def plain(value: Decimal) -> Decimal:
    """Return a number without trailing zeros and without an exponent."""
    return Decimal(f"{value.normalize():f}")


def _document(rated: Rated, other: Rated | None, *, explained: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "contract_id": rated.contract.contract_id,
        "contract_version": rated.contract.version,
        "vendor": rated.contract.vendor,
        "account": rated.contract.account,
        "currency": rated.contract.currency,
        "lines": [_line(rated, line, explained=explained) for line in rated.lines],
        "bills": [
            {
                "month": b["month"],
                # not counted where no component prices them
                "requests": None if b["requests"] is None else int(b["requests"]),
                "logged_bytes": int(b["logged_bytes"]),
                "estimated_bytes": int(b["estimated_bytes"]),
                "incomplete_slots": b["incomplete_slots"],
                **{n: rated.money(b[n]) for n in ("amount_low", "amount", "amount_high")},
            }
            for b in rated.bills
        ],
        "total": rated.total,
        "unbilled_bytes": rated.unbilled_bytes,
    }
    if other is not None:
        document["compare"] = _document(other, None, explained=explained)
        document["difference"] = _difference(rated, other)
    return document


def _difference(rated: Rated, other: Rated) -> Decimal | None:
    """Return other - this; None between currencies."""
    if rated.contract.currency != other.contract.currency:
        return None
    return other.total - rated.total


def _show(rated: Rated, *, explained: bool) -> None:
    out, contract = console(), rated.contract
    rows = []
    for line in rated.lines:
        tier = "" if line["tier_no"] is None else str(line["tier_no"])
        quantity = "" if line["quantity"] is None else grouped(plain(line["quantity"]))
        price = "" if line["unit_price"] is None else grouped(plain(line["unit_price"]))
        what = (
            line["name"]
            if line["item"] in ("tier", line["kind"])
            else (f"{line['name']}: {line['item'].replace('_', ' ')}")
        )
        day = (
            line["billed_day"] if line["kind"] == "daily_peak" else line["month"].strftime("%Y-%m")
        )
        rows.append((line["line_no"], day, what, line["scope"] or "", tier, quantity,
                     line["unit"] or "", price, grouped(rated.money(line["amount"]))))  # fmt: skip
    title = f"{contract.contract_id} (version {contract.version}), {contract.vendor}"
    heads = ("line", "of", "what", "scope", "tier", "quantity", "unit", "price", contract.currency)
    out.print(table(title, heads, rows, (0, 5, 7, 8)))
    for bill in rated.bills:
        low, amount, high = (rated.money(bill[n]) for n in ("amount_low", "amount", "amount_high"))
        between = "" if low == high else f" (between {grouped(low)} and {grouped(high)})"
        out.print(f"{bill['month']:%Y-%m}: {grouped(amount)} {contract.currency}{between}")
        if bill["estimated_bytes"]:
            out.print(
                f"{bill['month']:%Y-%m}: the usage is not complete; {grouped(low)} counts what it "
                f"says, {grouped(int(bill['estimated_bytes']))} bytes are estimated beside "
                f"{grouped(int(bill['logged_bytes']))}.",
                soft_wrap=True,
            )
    out.print(f"total: {grouped(rated.total)} {contract.currency}")
    if rated.unbilled_bytes:
        out.print(
            f"{grouped(rated.unbilled_bytes)} bytes of the usage are not billed: their months or "
            "scopes are outside the contract.",
            soft_wrap=True,
        )
    if explained:
        for line in rated.lines:
            out.print(f"{line['line_no']}. {safe(explain(line, contract))}", soft_wrap=True)


def _show_comparison(rated: Rated, other: Rated) -> None:
    difference = _difference(rated, other)
    if difference is None:
        text = f"in {rated.contract.currency} and {other.contract.currency}: not comparable"
    else:
        text = f"{grouped(difference)} {rated.contract.currency}"
    console().print(
        f"{safe(other.contract.contract_id)} - {safe(rated.contract.contract_id)}: {text}",
        soft_wrap=True,
    )
