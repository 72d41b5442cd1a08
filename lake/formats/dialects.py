"""How a delimited log is written, guessed from its first lines, where no source declares it.

Belongs here: telling delimited text from other text. Does not: reading it (delimited), or what its
columns mean (lake/draft.py). `csv.Sniffer` of the standard library finds a delimiter in any prose
and no comments; a guess here needs nearly all lines to have equally many fields.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lake.dialect import WORDS
from lake.formats import quoting
from lake.formats.heads import first_lines
from lake.formats.w3c import DIRECTIVE

_LEAST_COLUMNS = 3
_AGREEING = 0.9
#: the likeliest first; a space only where a `#Fields:` line says how many columns there are
_DELIMITERS = ("\t", ";", "|", ",")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ .:()/-]{0,63}")


@dataclass(frozen=True)
class Guess:
    """What a head looks like. names: of the columns, None where no line says them."""

    delimiter: str
    quote: str
    names: tuple[str, ...] | None
    rows: tuple[tuple[str, ...], ...]

    @property
    def shape(self) -> str:
        """Return it in words, without text of the log."""
        word = next((w for w, d in WORDS.items() if d == self.delimiter), repr(self.delimiter))
        named = "named" if self.names else "without names"
        return f"delimited text, {len(self.rows[0])} columns {named}, delimiter {word}"

    def records(self) -> list[dict[str, object]]:
        """Return the rows by the names of their columns."""
        names = self.names or tuple(f"column_{n}" for n in range(1, len(self.rows[0]) + 1))
        return [{n: v for n, v in zip(names, row, strict=True) if n} for row in self.rows]


@lru_cache(maxsize=4)
def guess(head: bytes) -> Guess | None:
    """Return how a head is delimited, None where it is not; never raises."""
    lines = [line for line in first_lines(head) if b"\0" not in line]
    texts = [line.decode("utf-8", "replace") for line in lines if not line.startswith(b"#")]
    fields = [line for line in lines if line.startswith(DIRECTIVE)]
    if not texts or texts[0].lstrip()[:1] in "{[<":
        return None
    if fields:
        return _by_directive(fields[0][len(DIRECTIVE) :].decode("utf-8", "replace"), texts)
    for delimiter in sorted(_DELIMITERS, key=lambda d: -texts[0].count(d)):
        rows, quote = _rows(texts, delimiter)
        if rows is None:
            continue
        names = tuple(name.strip() for name in rows[0])
        if _is_header(names, rows[1:]):
            return Guess(delimiter, quote, names, rows[1:])
        if len(rows) > 1:
            return Guess(delimiter, quote, None, rows)
    return None


def _by_directive(said: str, texts: Sequence[str]) -> Guess | None:
    for delimiter in ("\t", " ", *_DELIMITERS[1:]):
        names = said.split() if delimiter.isspace() else said.strip().split(delimiter)
        rows, quote = _rows(texts, delimiter)
        if rows is not None and len(rows[0]) == len(names):
            return Guess(delimiter, quote, tuple(n.strip() for n in names), rows)
    return None


def _rows(texts: Sequence[str], delimiter: str) -> tuple[tuple[tuple[str, ...], ...] | None, str]:
    """Return the rows of the commonest width, where nearly all lines have it."""
    for is_quoted in (True, False):
        found = [quoting.split(text, delimiter, is_quoted=is_quoted) for text in texts]
        widths = Counter(len(row) for row in found if row is not None)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if width >= _LEAST_COLUMNS and count >= _AGREEING * len(texts):
            rows = tuple(tuple(row) for row in found if row is not None and len(row) == width)
            return rows, '"' if is_quoted else "none"
    return None, "none"


def _is_header(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether a first row is names: all differ and look like it, and records do not."""
    given = names[:-1] if names[-1:] == ("",) else names
    are_names = len({*given}) == len(given) and all(_NAME.fullmatch(n) for n in given)
    return are_names and (not rows or any(not _NAME.fullmatch(v) for v in rows[0] if v))
