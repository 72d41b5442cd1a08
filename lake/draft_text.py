"""The text of a draft: its lines, what is left to a person, and how values are written in it.

All that comes out of a log or a name is written as a quoted YAML scalar, or in a comment without
control characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lake.draft_units import expected_range

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_SHOWN = 80


@dataclass
class Draft:
    """The text of a draft, what was decided, and what is left to a person."""

    format: str | None
    decided: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    #: column -> where its median may lie, by the sample
    expected: dict[str, tuple[str, str]] = field(default_factory=dict)

    def expect(self, column: str, unit: str, values: Sequence[object]) -> None:
        """Remember where the median of a column lies, in the column's unit."""
        if (found := expected_range(unit, values)) is not None:
            self.expected[column] = found

    @property
    def text(self) -> str:
        """Return the source file."""
        return "\n".join(self.lines) + "\n"

    def todo(self, said: str) -> str:
        """Remember what is to be decided; return its comment."""
        self.open.append(said)
        return f"# TODO {said}"


def quoted(value: object) -> str:
    """Return a YAML scalar that is this text and nothing else, ASCII alone."""
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text)


def shown(value: object) -> str:
    """Return a value for a comment: one line, ASCII, no control characters, not long."""
    text = json.dumps(str(value))[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
