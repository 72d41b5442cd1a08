"""The fast read of lines that follow a template: cut in SQL, nothing matched.

Belongs here: from whole lines to their fields. Does not: what a line is made of
(lake/formats/template.py), what a field means (lake/formats/access.py).

Whole lines are read, cut at their quotes, and the rest at its blanks, as lists. CSV readers that
know quotes swallow lines after an unbalanced one; regular expressions and splitting once a word
cost several times as much. What has not exactly the shape gets no status and goes to the judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lake.formats.template import (
    BACKSLASH_MARK,
    BYTE_ORDER_MARK,
    QUOTE_MARK,
    STATUS,
    Piece,
    Template,
    Variable,
    separator_of,
    words_of,
)
from lake.reads import quote_identifier, quote_literal

_BLANKS = "chr(9) || chr(11) || chr(12) || chr(13) || ' '"
#: what begins with no blank is none: to trim a long line costs more than all that is cut out of it
_IS_TEXT = f"(line >= '!' or trim(line, {_BLANKS}) <> '')"
_LINE_LIMIT = 2_000_000


@dataclass
class _Cuts:
    """What is gathered of a template: the lists of words, the shape, and the SQL of each field."""

    lists: dict[str, str] = field(default_factory=dict)
    shape: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def take(self, variable: Variable, value: str) -> None:
        if variable.field:
            self.values.setdefault(variable.field, []).append(value)


def read_sql(template: Template, path: str, longest_line: int) -> str:
    """Return the read of a file: rn, line and fields of every line that is not blank."""
    return select_sql(
        template,
        f"(select line from read_csv({quote_literal(path)}, delim={_char(QUOTE_MARK)}, "
        "quote='', escape='', header=false, auto_detect=false, columns={'line': 'VARCHAR'}, "
        f"strict_mode=true, store_rejects=true, rejects_limit=0, nullstr={_char(BACKSLASH_MARK)}, "
        f"parallel=false, max_line_size={_limit(longest_line)}) where {_IS_TEXT})",
    )


def select_sql(template: Template, relation: str) -> str:
    """Return the query of rn, line and fields over a relation of lines.

    status is null in a line that has another shape.
    """
    cuts = _cuts(template)
    columns = "".join(
        f", nullif(nullif({_whole(parts)}, '-'), '') as {quote_identifier(name)}"
        for name, parts in cuts.values.items()
        if name != STATUS
    )
    status = _whole(cuts.values[STATUS])
    # servers that sent none say 000 or a hyphen
    status = f"try_cast(case when {status} = '-' then '0' else {status} end as integer)"
    cut = f"(select line, {_cells(template)} as q from {relation})"
    if cuts.lists:
        lists = ", ".join(f"{e} as {n}" for n, e in cuts.lists.items())
        cut = f"(select *, {lists} from {cut})"
    return (
        f"select row_number() over () as rn, line{columns}, "
        f"case when {' and '.join(cuts.shape)} then {status} end as status from {cut}"
    )


def _cuts(template: Template) -> _Cuts:
    cuts = _Cuts(shape=[f"not starts_with(line, {quote_literal(BYTE_ORDER_MARK)})"])
    if len(template.parts) > 1:
        cuts.shape.append(f"len(q) = {len(template.parts)}")
    for at, part in enumerate(template.parts):
        cell = f"q[{at + 1}]"
        if template.is_whole(at) and isinstance(part[0], Variable):
            cuts.take(part[0], _restored(template, cell))
        elif not any(isinstance(p, Variable) for p in part):
            cuts.shape.append(f"{cell} = {quote_literal(''.join(map(str, part)))}")
        else:
            _cut_words(template, cuts, part, cell, f"w{at}")
    return cuts


def _cut_words(template: Template, cuts: _Cuts, part: list[Piece], cell: str, name: str) -> None:
    separator = separator_of(part)
    words = words_of(part, separator)
    cuts.lists[name] = f"string_split({cell}, {quote_literal(separator)})"
    cuts.shape.append(f"len({name}) = {len(words)}")
    if template.has_escapes:
        # escapes belong into quotes; what has one elsewhere is for the judge
        marks = (f"chr({QUOTE_MARK})", f"chr({BACKSLASH_MARK})", "'\\'")
        cuts.shape += [f"not contains({cell}, {mark})" for mark in marks]
    for number, word in enumerate(words, 1):
        cuts.shape += _word_shape(word, f"{name}[{number}]")
        for variable, value in _word_values(word, f"{name}[{number}]"):
            cuts.take(variable, value)


def _cells(template: Template) -> str:
    """Return the SQL of the list of what stands between quotes and outside."""
    text = "line"
    if template.is_padded:
        first = "strpos(line, ' ')"
        text = f"concat(left(line, {first}), ltrim(substr(line, {first} + 1)))"
    if len(template.parts) == 1:
        return f"[{text}]"
    if template.has_escapes:
        marked = f"replace({text}, '\\\\', chr({BACKSLASH_MARK}))"
        marked = f"replace({marked}, '\\\"', chr({QUOTE_MARK}))"
        text = f"case when contains({text}, '\\') then {marked} else {text} end"
    return f"string_split({text}, '\"')"


def _restored(template: Template, cell: str) -> str:
    """Return the SQL of a cell with its escapes as they were logged."""
    if not template.has_escapes:
        return cell
    quotes = f"replace({cell}, chr({QUOTE_MARK}), '\\\"')"
    return (
        f"case when contains({cell}, chr({QUOTE_MARK})) or contains({cell}, chr({BACKSLASH_MARK})) "
        f"then replace({quotes}, chr({BACKSLASH_MARK}), '\\\\') else {cell} end"
    )


def _word_shape(word: list[Piece], cell: str) -> Iterator[str]:
    """Return what holds of a word's literals."""
    if not any(isinstance(p, Variable) for p in word):
        yield f"{cell} = {quote_literal(''.join(map(str, word)))}"
        return
    if isinstance(word[0], str):
        yield f"starts_with({cell}, {quote_literal(word[0])})"
    if len(word) > 1 and isinstance(word[-1], str):
        yield f"ends_with({cell}, {quote_literal(word[-1])})"
        yield f"length({cell}) >= {sum(len(p) for p in word if isinstance(p, str))}"
    for piece in word[1:-1]:
        if isinstance(piece, str):
            yield f"contains({cell}, {quote_literal(piece)})"


def _word_values(word: list[Piece], cell: str) -> Iterator[tuple[Variable, str]]:
    """Return the SQL of each variable of a word; one ends where the next literal first stands."""
    rest = cell
    if word and isinstance(word[0], str):
        rest = f"substr({rest}, {len(word[0]) + 1})"
    if len(word) > 1 and isinstance(word[-1], str):
        rest = f"left({rest}, length({rest}) - {len(word[-1])})"
    inner = word[isinstance(word[0], str) if word else 0 :]
    variables = [p for p in inner if isinstance(p, Variable)]
    for number, variable in enumerate(variables):
        if number == len(variables) - 1:
            yield variable, rest
            return
        literal = str(inner[inner.index(variable) + 1])
        value = f"split_part({rest}, {quote_literal(literal)}, 1)"
        yield variable, value
        rest = f"substr({rest}, length({value}) + {len(literal) + 1})"


def _whole(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"concat_ws(' ', {', '.join(parts)})"


def _char(code: int) -> str:
    return quote_literal(chr(code))


def _limit(longest_line: int) -> int:
    """Return a limit that few files differ in, so that prepared statements are shared."""
    limit = _LINE_LIMIT
    while limit < longest_line + 16:
        limit *= 4
    return limit
