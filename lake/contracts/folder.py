"""The contracts of a folder beside each other: which one governs a month, and what may not be.

Versions of one contract_id follow each other by known_from; contracts of one vendor and the same
customers follow each other by valid_from. Belongs here: only what needs more than one file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lake.contracts.files import read_contract, refuse_field
from lake.contracts.problems import PriceContractError
from lake.contracts.schema import Contract


@dataclass(frozen=True)
class Governed:
    """A contract with the ends that its successors give it; both intervals are half-open."""

    contract: Contract
    file: Path
    valid_to: dt.date | None
    known_to: dt.datetime | None = None


def load_contracts(folder: Path) -> list[Governed]:
    """Return the contracts of all `*.yaml` of a folder; none is an error only for who needs one."""
    if not folder.is_dir():
        raise PriceContractError(
            f"{folder}: no such folder; expected price contracts (*.yaml). "
            "Point WEIR_PRICE_CONTRACTS at the folder that holds them."
        )
    read = [
        Governed(contract, file, contract.valid_to)
        for file in sorted(folder.glob("*.yaml"))
        for contract in (read_contract(file),)
    ]
    return _close_open_ends(_close_versions(read))


def alone(contract: Contract, file: Path) -> Governed:
    """Return a contract that no other one limits."""
    return Governed(contract, file, contract.valid_to)


def zones_of(folder: Path) -> list[str]:
    """Return the billing time zones in use; of a folder that cannot be read, none."""
    try:
        return sorted({g.contract.timezone for g in load_contracts(folder)})
    except PriceContractError:
        return []  # the build says what is wrong; which months are stale is not its place


def _since(governed: Governed) -> dt.datetime:
    return governed.contract.known_from or dt.datetime.min.replace(tzinfo=dt.UTC)


def _close_versions(read: Sequence[Governed]) -> list[Governed]:
    """Let a version be known until the next one is; refuse two known from the same instant."""
    by_id: dict[str, list[Governed]] = {}
    for governed in read:
        by_id.setdefault(governed.contract.contract_id, []).append(governed)
    closed: list[Governed] = []
    for versions in by_id.values():
        versions.sort(key=lambda g: (g.contract.version, str(g.file)))
        for one, following in zip(versions, [*versions[1:], None], strict=True):
            if following is None:
                closed.append(one)
                continue
            _check_version(one, following)
            closed.append(replace(one, known_to=following.contract.known_from))
    return closed


def _check_version(one: Governed, following: Governed) -> None:
    this, that = one.contract, following.contract
    if this.version == that.version:
        raise refuse_field(
            following.file,
            ("contract_id",),
            f"{that.contract_id!r} version {that.version} is also in {one.file}; expected one "
            "file per contract and version. Rename one of them, or raise its version.",
        )
    if that.known_from is None or _since(following) <= _since(one):
        raise refuse_field(
            following.file,
            ("known_from",),
            f"{that.known_from}: version {that.version} is not known after version "
            f"{this.version} in {one.file}; expected a later instant. Say when it became known.",
        )
    if this.vendor != that.vendor:
        raise refuse_field(
            following.file,
            ("vendor",),
            f"{that.vendor!r}: version {this.version} in {one.file} is of {this.vendor!r}; "
            "expected the same vendor. Give the contract another contract_id.",
        )


def _close_open_ends(contracts: Iterable[Governed]) -> list[Governed]:
    """Let a contract end where the next one for the same customers starts; refuse overlaps.

    Only the versions known last are compared: what an older version said is history.
    """
    contracts = list(contracts)
    result = [g for g in contracts if g.known_to is not None]
    by_vendor: dict[str, list[Governed]] = {}
    for governed in contracts:
        if governed.known_to is None:
            by_vendor.setdefault(governed.contract.vendor, []).append(governed)
    for entries in by_vendor.values():
        entries.sort(key=lambda g: (g.contract.valid_from, str(g.file)))
        ends: list[dt.date | None] = [g.valid_to for g in entries]
        for i, one in enumerate(entries):
            for j in range(i + 1, len(entries)):
                if _share(one.contract, entries[j].contract):
                    ends[i] = _end(one, entries[j], ends[i])
        result += [replace(g, valid_to=end) for g, end in zip(entries, ends, strict=True)]
    return sorted(result, key=lambda g: g.contract.key)


def _share(one: Contract, other: Contract) -> bool:
    """Tell whether two contracts of a vendor cover the same customers."""
    if one.customers is None or other.customers is None:
        return one.customers is None and other.customers is None
    return not set(one.customers).isdisjoint(other.customers)


def _end(one: Governed, following: Governed, end: dt.date | None) -> dt.date:
    start = following.contract.valid_from
    if start == one.contract.valid_from or (one.contract.valid_to or start) > start:
        raise refuse_field(
            following.file,
            ("valid_from",),
            f"{start} falls in {one.file}, a contract of the same vendor; expected one contract "
            "of a vendor and customer in force at a time. Move valid_from, or end the other one "
            "earlier (valid_to).",
        )
    return min(end or start, start)
