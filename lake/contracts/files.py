"""Reading one contract file: YAML with its lines, and refusals that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lake.contracts.components import (
    BANDWIDTH,
    KINDS,
    Bandwidth,
    Commit,
    Credit,
    Fee,
    GbTier,
    MbpsTier,
    Minimum,
    PerGb,
    Requests,
    Tax,
)
from lake.contracts.problems import BrokenRuleError, PriceContractError, refusal
from lake.contracts.schema import Contract, Overhead, Rounding

Where = tuple[str | int, ...]


def read_contract(file: Path) -> Contract:
    """Return the contract of a file; raises PriceContractError with line, field and remedy."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refusal(
            file, None, (), f"not UTF-8 ({error}); expected a text. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise refusal(
            file, None, (), f"{error.strerror}; expected a price contract. Give another path."
        ) from error
    return parse_contract(text, file)


def parse_contract(text: str, file: Path) -> Contract:
    """Return the contract of a text; `file` is its name in messages."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise refusal(
            file, line, (), f"not YAML ({error.problem}); expected a price contract. "
            "Correct the line.",
        ) from error  # fmt: skip
    except (yaml.YAMLError, ValueError) as error:
        raise refusal(
            file, None, (), f"not YAML ({error}); expected a price contract. Mend it."
        ) from error
    if not isinstance(data, dict):
        raise refusal(
            file, 1, (), f"a {type(data).__name__}; expected the fields of a contract. "
            "See dbt_project/price_contracts for complete ones.",
        )  # fmt: skip
    try:
        return Contract.model_validate(data)
    except ValidationError as error:
        path, what = _first(error)
        raise refusal(file, _line(root, path), path, what) from error


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key given twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is given twice", key.start_mark
                )
            seen.add(key.value)
        return cast("dict[Any, Any]", super().construct_mapping(node, deep=deep))


def _first(error: ValidationError) -> tuple[Where, str]:
    """Return the first problem: where, and what to do."""
    found = error.errors(include_url=False)
    # an unknown field is most often the misspelt name of a missing one: say that first
    chosen = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    path = _plain(chosen["loc"])
    cause = (chosen.get("ctx") or {}).get("error")
    if isinstance(cause, BrokenRuleError):
        return (*path, *cause.path), str(cause)
    return path, _sentence(chosen, path)


def _plain(loc: tuple[int | str, ...]) -> Where:
    """Return pydantic's location without the names of the union's members."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        is_member = i == 2 and loc[0] == "components" and part in KINDS
        if not is_member:
            path.append(part)
    return tuple(path)


_MEMBERS: Mapping[str, type[BaseModel]] = {
    "per_gb_graduated": PerGb, "per_gb_volume": PerGb, "requests": Requests, "fee": Fee,
    "commit": Commit, "minimum": Minimum, "credit": Credit, "tax": Tax,
    **dict.fromkeys(BANDWIDTH, Bandwidth),
}  # fmt: skip


def _known_fields(error: ErrorDetails, path: Where) -> Sequence[str]:
    loc = error["loc"]
    model: type[BaseModel] = Contract
    if len(loc) > 1 and loc[0] == "rounding":
        model = Rounding
    elif len(loc) > 1 and loc[0] == "overhead":
        model = Overhead
    elif "tiers" in path:
        model = GbTier if str(loc[2]).startswith("per_gb") else MbpsTier
    elif len(loc) > 2 and loc[0] == "components":
        model = _MEMBERS[str(loc[2])]
    return list(model.model_fields)


def _sentence(error: ErrorDetails, path: Where) -> str:
    """Say what pydantic found, in our form."""
    kind, given = error["type"], error.get("input")
    context: Mapping[str, Any] = error.get("ctx") or {}
    if kind == "missing":
        return "missing; expected a value. Add it."
    if kind == "extra_forbidden":
        known = ", ".join(_known_fields(error, path))
        return f"unknown field; expected only {known}. Correct its spelling or drop it."
    if kind == "literal_error":
        return f"unknown {path[-1]} {given!r}; expected one of {context['expected']}. Correct it."
    if kind == "union_tag_invalid":
        return f"unknown kind {context['tag']!r}; expected one of {', '.join(KINDS)}. Correct it."
    if kind == "union_tag_not_found":
        return f"no kind; expected one of {', '.join(KINDS)}. Add kind."
    if kind in ("too_short", "tuple_type"):
        return f"{_short(given)}; expected a list with at least one entry. Write one."
    if kind == "string_pattern_mismatch":
        return (
            f"{given!r}; expected letters, digits, dots, dashes and underscores, at most 80. "
            "Rename it."
        )
    return f"{_short(given)}; expected {_lower(error['msg'])}. Correct it."


def _lower(text: str) -> str:
    return text.removeprefix("Input should be ").rstrip(".")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line(root: yaml.Node | None, path: Where) -> int | None:
    """Return the line of a field; of one that is missing, that of what should hold it."""
    node = root
    line = 1
    for part in path:
        step: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    step, line = value, key.start_mark.line + 1
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            step = node.value[part]
            line = step.start_mark.line + 1
        if step is None:
            break
        node = step
    return line


def refuse_field(file: Path, path: Where, what: str) -> PriceContractError:
    """Return the refusal of a field of a file that could be read."""
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
    return refusal(file, _line(root, path), path, what)
