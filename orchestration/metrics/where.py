"""Conditions as people type them: parsed against known dimensions, rendered as SQL.

The text itself never reaches SQL: names come from the definitions, values are quoted again.

    condition  = all ("or" all)*          all = one ("and" one)*
    one        = "not" one | "(" condition ")" | NAME op VALUE | NAME ["not"] "in" "(" VALUE , ")"
    op         = "=" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    VALUE      = 'text' ('' is a quote) | a number | true | false
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lake.reads import quote_identifier, quote_literal
from orchestration.metrics.registry import Dimension

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|<>|!=|=|<|>|\(|\)|,))"
)
_SIGNS = {"=": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MOST_TOKENS = 500
_DEEPEST = 50


class ConditionError(ValueError):
    """A condition that is not understood; the message says where and what was expected."""


@dataclass(frozen=True)
class Condition:
    """A condition as SQL, and the dimensions it names."""

    sql: str
    names: frozenset[str]


def parse(text: str, dimensions: Mapping[str, Dimension]) -> Condition:
    """Return the condition; raises ConditionError for anything outside the grammar."""
    parser = _Parser(_tokens(text), dimensions)
    sql = parser.condition()
    parser.expect_end()
    return Condition(sql, frozenset(parser.names))


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    rest = text.rstrip()
    while at < len(rest):
        match = _TOKEN.match(rest, at)
        if match is None or match.lastgroup is None:
            raise ConditionError(
                f"--where: not understood from {rest[at : at + 20]!r}; expected a dimension, a "
                "comparison such as country = 'DE', and, or, not, in (...)."
            )
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
        if len(found) > _MOST_TOKENS:
            raise ConditionError(f"--where: more than {_MOST_TOKENS} words. Write a shorter one.")
    return found


@dataclass
class _Parser:
    tokens: list[tuple[str, str]]
    dimensions: Mapping[str, Dimension]
    at: int = 0
    depth: int = 0
    names: set[str] = field(default_factory=set)

    def condition(self) -> str:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"

    def expect_end(self) -> None:
        if self.at < len(self.tokens):
            self._refuse("the end, and, or")

    def _all(self) -> str:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else f"({' and '.join(parts)})"

    def _one(self) -> str:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ConditionError(f"--where: nested deeper than {_DEEPEST}. Write a flatter one.")
        try:
            if self._takes("not"):
                return f"(not {self._one()})"
            if self._takes("("):
                inner = self.condition()
                self._needs(")")
                return inner
            return self._comparison()
        finally:
            self.depth -= 1

    def _comparison(self) -> str:
        dimension = self._dimension()
        column = quote_identifier(dimension.name)
        is_negated = self._takes("not")
        if self._takes("in"):
            self._needs("(")
            values = [self._value(dimension)]
            while self._takes(","):
                values.append(self._value(dimension))
            self._needs(")")
            return f"{column} {'not ' if is_negated else ''}in ({', '.join(values)})"
        kind, sign = self._peek()
        if is_negated or kind != "sign" or sign not in _SIGNS:
            self._refuse("in" if is_negated else f"in or one of {' '.join(_SIGNS)}")
        self.at += 1
        return f"{column} {_SIGNS[sign]} {self._value(dimension)}"

    def _dimension(self) -> Dimension:
        kind, name = self._peek()
        if kind != "word" or name not in self.dimensions:
            self._refuse(f"one of the dimensions {', '.join(sorted(self.dimensions))}")
        self.at += 1
        self.names.add(name)
        return self.dimensions[name]

    def _value(self, dimension: Dimension) -> str:
        kind, text = self._peek()
        wanted = {"varchar": "text", "boolean": "word"}.get(dimension.type, "number")
        expected = {"text": "a text as 'DE'", "word": "true or false", "number": "a number"}[wanted]
        is_wrong_word = kind == "word" and text.lower() not in ("true", "false")
        if kind != wanted or is_wrong_word:
            self._refuse(f"{expected} for {dimension.name}")
        self.at += 1
        if kind == "text":
            return quote_literal(text[1:-1].replace("''", "'"))
        return text.lower()

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "the end")

    def _takes(self, word: str) -> bool:
        kind, text = self._peek()
        if kind in ("word", "sign") and text.lower() == word:
            self.at += 1
            return True
        return False

    def _needs(self, sign: str) -> None:
        if not self._takes(sign):
            self._refuse(sign)

    def _refuse(self, expected: str) -> None:
        raise ConditionError(f"--where: found {self._peek()[1]!r}; expected {expected}.")
