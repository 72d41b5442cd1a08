"""weir contract: look at price contracts before they bill anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lake.contracts import (
    Contract,
    PriceContractError,
    json_schema,
    load_contracts,
    read_contract,
)
from orchestration.commands.output import console, lines_safe, print_json, safe


def check(paths: Sequence[Path], *, as_json: bool) -> int:
    """Say of each file or folder whether it can be billed; 1 when one cannot."""
    worst = 0
    found = []
    for path in paths:
        try:
            contracts = (
                [g.contract for g in load_contracts(path)] if path.is_dir()
                else [read_contract(path)]
            )  # fmt: skip
        except PriceContractError as error:
            worst = 1
            found.append({"path": path, "is_sound": False, "problem": str(error)})
            if not as_json:
                console(stderr=True).print(lines_safe(str(error)), soft_wrap=True)
            continue
        for contract in contracts:
            found.append({"path": path, "is_sound": True, **_facts(contract)})
            if not as_json:
                console().print(f"{safe(path)}: sound. {safe(_sentence(contract))}", soft_wrap=True)
    if as_json:
        print_json(found)
    return worst


def schema() -> int:
    """Print the JSON schema of a contract file, for editors."""
    print_json(json_schema())
    return 0


def _facts(contract: Contract) -> dict[str, object]:
    return {
        "contract_id": contract.contract_id,
        "version": contract.version,
        "vendor": contract.vendor,
        "valid_from": contract.valid_from,
        "valid_to": contract.valid_to,
        "kinds": [c.kind for c in contract.components],
    }


def _sentence(contract: Contract) -> str:
    end = f" up to {contract.valid_to} (exclusive)" if contract.valid_to else ""
    kinds = ", ".join(c.kind for c in contract.components)
    return (
        f"{contract.contract_id} version {contract.version}, {contract.vendor}, from "
        f"{contract.valid_from}{end}, in {contract.currency}, {contract.timezone}: {kinds}."
    )
