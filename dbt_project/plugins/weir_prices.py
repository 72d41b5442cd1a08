"""Price contracts: read what vendors charge from YAML, refuse what cannot be billed exactly.

Belongs here: the shape of a contract file and every rule it must keep. Does not: arithmetic with
money (macros/money.sql) or tables (weir_lake).

A month is billed by the contract of its vendor with the latest `valid_from` not after it, up to
`valid_to` (exclusive). Both are first days of a month: a tier counts a calendar month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml

#: bytes of one unit; the published price lists and their tier edges differ in nothing but this
UNITS: Mapping[str, int] = {"GB": 10**9}
KINDS = ("per_gb_graduated",)
_FIELDS = {"contract_id", "vendor", "currency", "valid_from", "unit", "components"}
_PRICE_SCALE = 9
_EDGE_SCALE = 9


class PriceContractError(RuntimeError):
    """A contract file breaks a rule; the message names file, field, finding and remedy."""


@dataclass(frozen=True)
class Tier:
    """A slice of a month's bytes, `from_bytes` exclusive to `to_bytes` inclusive, and its price."""

    contract_id: str
    vendor: str
    currency: str
    valid_from: dt.date
    valid_to: dt.date | None
    line_no: int
    kind: str
    from_gb: Decimal
    to_gb: Decimal | None
    from_bytes: int
    to_bytes: int | None
    unit_price: Decimal


@dataclass(frozen=True)
class _Place:
    """Where in which file a value stands."""

    file: Path
    field: str = ""

    def at(self, field: str) -> _Place:
        joined = field if field.startswith("[") or not self.field else f".{field}"
        return replace(self, field=f"{self.field}{joined}")

    def refuse(self, found: str, expected: str, remedy: str) -> PriceContractError:
        where = f"{self.file}: {self.field}" if self.field else str(self.file)
        return PriceContractError(f"{where}: {found}; expected {expected}. {remedy}")


def load_contracts(folder: Path) -> list[Tier]:
    """Return the tiers of all `*.yaml` of a folder; none is an error only for who needs one."""
    if not folder.is_dir():
        raise PriceContractError(
            f"{folder}: no such folder; expected price contracts (*.yaml). "
            "Point WEIR_PRICE_CONTRACTS at the folder that holds them."
        )
    contracts = [(file, read_contract(file)) for file in sorted(folder.glob("*.yaml"))]
    return _close_open_ends(contracts)


def read_contract(file: Path) -> list[Tier]:
    """Return the tiers of one contract file, in billing order."""
    place = _Place(file)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise PriceContractError(
            f"{file}: line {line}: not YAML ({error.problem}); expected a price contract. "
            "Correct the line."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise place.refuse(f"not YAML ({error})", "UTF-8 text", "Save the file again.") from error
    fields = _mapping(data, place, _FIELDS, {"valid_to"})
    unit = _text(fields["unit"], place.at("unit"))
    if unit not in UNITS:
        raise place.at("unit").refuse(
            f"unknown unit {unit!r}",
            f"one of {', '.join(UNITS)} (10^9 bytes)",
            "Convert the price list to it; 1 GiB is 1.073741824 GB.",
        )
    valid_from = _month(fields["valid_from"], place.at("valid_from"))
    valid_to = (
        _month(fields["valid_to"], place.at("valid_to"))
        if fields.get("valid_to") is not None
        else None
    )
    if valid_to is not None and valid_to <= valid_from:
        raise place.at("valid_to").refuse(
            f"{valid_to} is not after valid_from {valid_from}", "a later month", "Correct one."
        )
    frame = Tier(
        contract_id=_text(fields["contract_id"], place.at("contract_id")),
        vendor=_text(fields["vendor"], place.at("vendor")),
        currency=_text(fields["currency"], place.at("currency")),
        valid_from=valid_from,
        valid_to=valid_to,
        line_no=0,
        kind="",
        from_gb=Decimal(0),
        to_gb=None,
        from_bytes=0,
        to_bytes=None,
        unit_price=Decimal(0),
    )
    tiers: list[Tier] = []
    components = _list(fields["components"], place.at("components"))
    for i, component in enumerate(components):
        tiers += _component(component, place.at("components").at(f"[{i}]"), frame, UNITS[unit])
    return [replace(tier, line_no=i) for i, tier in enumerate(tiers, 1)]


def _component(data: object, place: _Place, frame: Tier, unit_bytes: int) -> list[Tier]:
    """Return the tiers of one component, gapless from zero and open above."""
    fields = _mapping(data, place, {"kind", "tiers"})
    kind = _text(fields["kind"], place.at("kind"))
    if kind not in KINDS:
        raise place.at("kind").refuse(
            f"unknown kind {kind!r}", f"one of {', '.join(KINDS)}", "Correct it."
        )
    tiers: list[Tier] = []
    edge: Decimal | None = Decimal(0)
    for i, entry in enumerate(_list(fields["tiers"], place.at("tiers"))):
        here = place.at("tiers").at(f"[{i}]")
        row = _mapping(entry, here, {"from_gb", "price_per_gb"}, {"to_gb"})
        start = _decimal(row["from_gb"], here.at("from_gb"), _EDGE_SCALE)
        end = (
            _decimal(row["to_gb"], here.at("to_gb"), _EDGE_SCALE)
            if row.get("to_gb") is not None
            else None
        )
        price = _decimal(row["price_per_gb"], here.at("price_per_gb"), _PRICE_SCALE)
        if edge is None:
            raise here.refuse(
                "follows a tier without to_gb", "the open tier to be the last", "Give it a to_gb."
            )
        if start != edge:
            what = "leaves a gap after" if start > edge else "overlaps"
            raise here.at("from_gb").refuse(
                f"{start} {what} the previous tier, which ends at {edge}",
                f"{edge}",
                "Let each tier start where the one before it ends.",
            )
        if end is not None and end <= start:
            raise here.at("to_gb").refuse(
                f"{end} is not above from_gb {start}", "a larger number", "Correct one of them."
            )
        tiers.append(
            replace(
                frame,
                kind=kind,
                from_gb=start,
                to_gb=end,
                from_bytes=int(start * unit_bytes),
                to_bytes=None if end is None else int(end * unit_bytes),
                unit_price=price,
            )
        )
        edge = end
    if edge is not None:
        raise place.at("tiers").refuse(
            f"the last tier ends at {edge}, so bytes above it have no price",
            "a last tier without to_gb",
            "Leave its to_gb out.",
        )
    return tiers


def _close_open_ends(contracts: Iterable[tuple[Path, list[Tier]]]) -> list[Tier]:
    """Let a vendor's contract end where its next one starts; refuse two in force at once."""
    seen: dict[str, Path] = {}
    by_vendor: dict[str, list[tuple[Path, list[Tier]]]] = {}
    for file, tiers in contracts:
        contract_id = tiers[0].contract_id
        if contract_id in seen:
            raise _Place(file, "contract_id").refuse(
                f"{contract_id!r} is also in {seen[contract_id]}",
                "one file per contract",
                "Rename one of them.",
            )
        seen[contract_id] = file
        by_vendor.setdefault(tiers[0].vendor, []).append((file, tiers))
    closed: list[Tier] = []
    for entries in by_vendor.values():
        entries.sort(key=lambda entry: entry[1][0].valid_from)
        for i, (file, tiers) in enumerate(entries):
            end = tiers[0].valid_to
            if i + 1 < len(entries):
                next_file, following = entries[i + 1]
                start = following[0].valid_from
                if start == tiers[0].valid_from or (end is not None and end > start):
                    raise _Place(next_file, "valid_from").refuse(
                        f"{start} falls in {file}, a contract of the same vendor",
                        "one contract of a vendor in force at a time",
                        "Move valid_from, or end the other one earlier (valid_to).",
                    )
                end = end or start
            closed += [replace(tier, valid_to=end) for tier in tiers]
    return closed


def _mapping(
    data: object, place: _Place, needed: set[str], optional: set[str] | None = None
) -> dict[str, object]:
    known = needed | (optional or set())
    if not isinstance(data, dict):
        raise place.refuse(
            f"a {type(data).__name__}", f"the fields {', '.join(sorted(known))}", "Write them."
        )
    fields = {str(key): value for key, value in data.items()}
    if unknown := fields.keys() - known:
        raise place.at(sorted(unknown)[0]).refuse(
            "unknown field", f"only {', '.join(sorted(known))}", "Correct its spelling or drop it."
        )
    for name in sorted(needed):
        if fields.get(name) is None:
            raise place.at(name).refuse("missing", "a value", "Add it.")
    return fields


def _list(data: object, place: _Place) -> list[object]:
    if not isinstance(data, list) or not data:
        raise place.refuse(f"{data!r}", "a list with at least one entry", "Write one.")
    return data


def _text(data: object, place: _Place) -> str:
    if not isinstance(data, str) or not data.strip():
        raise place.refuse(f"{data!r}", "a text", "Write one.")
    return data


def _month(data: object, place: _Place) -> dt.date:
    if isinstance(data, dt.datetime) or not isinstance(data, dt.date) or data.day != 1:
        raise place.refuse(
            f"{data}",
            "the first day of a month, as 2026-01-01 (tiers count calendar months)",
            "Write that.",
        )
    return data


def _decimal(data: object, place: _Place, scale: int) -> Decimal:
    """Return an exact number; a YAML float is binary already and refused."""
    if isinstance(data, bool) or not isinstance(data, int | str):
        raise place.refuse(
            f"{data!r} is a {type(data).__name__}",
            'a whole number or a quoted decimal such as "0.085"',
            "Put it in quotes: an unquoted decimal is read as a binary fraction.",
        )
    try:
        value = Decimal(data)
    except InvalidOperation as error:
        raise place.refuse(f"{data!r}", "a decimal number", "Correct it.") from error
    if not value.is_finite() or value < 0 or value >= Decimal(10) ** 9:
        raise place.refuse(f"{data!r}", "a number from 0 to below 10^9", "Correct it.")
    if value != round(value, scale):
        raise place.refuse(
            f"{data!r} is finer than 10^-{scale}", f"at most {scale} decimals", "Round it."
        )
    return value
