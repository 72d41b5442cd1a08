"""What is wrong with a contract, in one form: what was found, what was expected, the remedy."""

from __future__ import annotations

from pathlib import Path


class PriceContractError(RuntimeError):
    """A contract breaks a rule; the message names file, line, field, finding and remedy."""


class BrokenRuleError(ValueError):
    """A broken rule inside a contract; `path` leads to its field from where it is raised."""

    def __init__(
        self, found: str, expected: str, remedy: str, path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(f"{found}; expected {expected}. {remedy}")
        self.path = path


def field_name(path: tuple[str | int, ...]) -> str:
    """Return a path as people write it: components[0].tiers[1].to_gb."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def refusal(
    file: Path, line: int | None, path: tuple[str | int, ...], what: str
) -> PriceContractError:
    """Return the error of a file's field."""
    where = "" if line is None else f"line {line}: "
    name = field_name(path)
    return PriceContractError(f"{file}: {where}{name + ': ' if name else ''}{what}")
