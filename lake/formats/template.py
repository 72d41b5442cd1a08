"""Lines that a format string describes: literals and variables, and the judge of one line.

Belongs here: what a line is made of. Does not: the syntax of format strings
(lake/formats/logformat.py), the fast read (lake/formats/templatesql.py), what a variable means
(lake/formats/access.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise

from lake.formats.base import Judgement, Layout, Reject, Row, Skip

#: stand for an escaped quote and an escaped backslash while a line is cut; lines with either of
#: the bytes in them are left to the judge
QUOTE_MARK, BACKSLASH_MARK = 2, 3
#: further on than at the beginning of a file it is damage
BYTE_ORDER_MARK = "\ufeff"
#: the raw text of the line: its identity where no request id is logged
LINE = "line"
STATUS = "status"


class Kind(Enum):
    """How far a variable reaches."""

    WORD = "word"  # no blank in it
    TIME = "time"  # two words: 16/Nov/2026:10:00:05 +0000
    LIST = "list"  # one word, or several by ", " and " : "
    NAME = "name"  # a word, rarely more: names of users may have blanks
    TEXT = "text"  # blanks in it: needs quotes or tabs around it


@dataclass(frozen=True)
class Variable:
    """A variable of the format.

    name: as the server calls it. field: what its value is kept as; None: not kept.
    """

    name: str
    field: str | None
    kind: Kind = Kind.WORD
    is_known: bool = True


Piece = str | Variable


@dataclass(frozen=True)
class Template:
    """What a line looks like.

    has_escapes: a quote inside of quotes stands behind a backslash (Apache, Varnish); otherwise
    none ever stands there (nginx). is_padded: the second word may have blanks before it (Squid).
    """

    pieces: tuple[Piece, ...]
    has_escapes: bool = False
    is_padded: bool = False

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Return what is kept of a line, in its order."""
        return tuple(p.field for p in self.pieces if isinstance(p, Variable) and p.field)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the variables whose values are not kept because nobody knows what they mean."""
        return tuple(p.name for p in self.pieces if isinstance(p, Variable) and not p.is_known)

    @cached_property
    def parts(self) -> list[list[Piece]]:
        """Return the pieces between quotes and outside of them, in turn."""
        return split(self.pieces, '"')

    def problem(self) -> str | None:
        """Return why lines of this template cannot be told apart, None where they can."""
        for at, part in enumerate(self.parts):
            if self.is_whole(at):
                continue
            separator = separator_of(part)
            for piece in part:
                is_text = isinstance(piece, Variable) and piece.kind is Kind.TEXT
                if is_text and separator == " " and isinstance(piece, Variable):
                    return f'{piece.name} may hold blanks: write it as "{piece.name}"'
            for word in words_of(part, separator):
                for one, other in pairwise(word):
                    if isinstance(one, Variable) and isinstance(other, Variable):
                        return f"nothing stands between {one.name} and {other.name}"
        return None

    def is_whole(self, at: int) -> bool:
        """Tell whether a part is one variable between quotes, blanks and all."""
        part = self.parts[at]
        return at % 2 == 1 and len(part) == 1 and isinstance(part[0], Variable)

    @cached_property
    def _pattern(self) -> tuple[re.Pattern[str], tuple[str | None, ...]]:
        """Return the regular expression of a line, and the field of each of its groups."""
        text: list[str] = []
        fields: list[str | None] = []
        for at, part in enumerate(self.parts):
            if at:
                text.append('"')
            separator = separator_of(part)
            for number, word in enumerate(split(part, separator)):
                if number:
                    text.append(" +" if self.is_padded and number == 1 else re.escape(separator))
                last = max((i for i, p in enumerate(word) if isinstance(p, Variable)), default=-1)
                for i, piece in enumerate(word):
                    if isinstance(piece, str):
                        text.append(re.escape(piece))
                        continue
                    fields.append(piece.field)
                    lazy = "?" if i != last else ""
                    kind = Kind.TEXT if self.is_whole(at) else piece.kind
                    text.append(f"({self._reach(kind, separator, lazy)})")
        return re.compile("".join(text), re.DOTALL), tuple(fields)

    def _reach(self, kind: Kind, separator: str, lazy: str) -> str:
        """Return the expression of what a variable may hold."""
        end = "" if len(self.parts) == 1 else '"\\\\' if self.has_escapes else '"'
        plain = f"[^{end}]" if kind is Kind.TEXT and separator == " " else f"[^{end}{separator}]"
        one = rf"(?:{plain}|\\.)" if self.has_escapes else plain
        # unrolled, as a group that repeats remembers each of its turns
        run = rf"{plain}*(?:\\.{plain}*)*" if self.has_escapes else f"{plain}*"
        if separator == " " and kind is Kind.TIME:
            return f"{run} {run}"
        if separator == " " and kind is Kind.NAME:
            return f"[^{end}]*?"
        if separator == " " and kind is Kind.LIST:
            return r'[^ ",]*(?:(?:, | : )[^ ",]*)*'
        return f"{one}*?" if lazy else run

    def judge(self, line: bytes) -> Judgement:
        """Judge one line."""
        stripped = line.rstrip(b"\r\n")
        if not stripped.strip():
            return Skip.BLANK
        if b"\0" in stripped:
            return Reject("nul_byte")
        if b"\r" in stripped:
            return Reject("stray_cr")
        try:
            text = stripped.decode("utf-8")
        except UnicodeDecodeError:
            return Reject("bad_utf8")
        pattern, fields = self._pattern
        found = None if text.startswith(BYTE_ORDER_MARK) else pattern.fullmatch(text)
        if found is None:
            return Reject("ragged")
        values: dict[str, str | None] = {LINE: text}
        for field, value in zip(fields, found.groups(), strict=True):
            if field == STATUS:
                values[field] = "0" if value == "-" else value or None
            elif field:
                values[field] = None if value in ("", "-") else value
        return Reject("missing_field") if values[STATUS] is None else Row(values)

    def fits(self, line: bytes) -> bool:
        """Tell whether a line has this shape."""
        return isinstance(self.judge(line), Row)


@dataclass(frozen=True)
class TemplateLayout(Layout):
    """A layout whose lines follow a template."""

    template: Template = Template(())


def template_of(layout: Layout) -> Template:
    """Return the template of a layout."""
    if not isinstance(layout, TemplateLayout):
        raise TypeError(f"expected a layout with a template, found {type(layout).__name__}")
    return layout.template


def split(pieces: list[Piece] | tuple[Piece, ...], separator: str) -> list[list[Piece]]:
    """Cut pieces at a separator in their literals."""
    parts: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, Variable):
            parts[-1].append(piece)
            continue
        first, *rest = piece.split(separator)
        parts[-1] += [first] if first else []
        parts += [[text] if text else [] for text in rest]
    return parts


def separator_of(part: list[Piece]) -> str:
    """Return what stands between the words of a part."""
    return "\t" if any(isinstance(p, str) and "\t" in p for p in part) else " "


def words_of(part: list[Piece], separator: str) -> list[list[Piece]]:
    """Return the words of a part; a time that is cut in two stands in both of its words."""
    words: list[list[Piece]] = []
    for word in split(part, separator):
        words.append([])
        for piece in word:
            words[-1].append(piece)
            if isinstance(piece, Variable) and piece.kind is Kind.TIME and separator == " ":
                words.append([piece])
    return words
