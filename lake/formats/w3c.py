"""Which columns a delimited file says it has: W3C's `#Fields:`, the source's order, a first line.

Belongs here: header lines of delimited logs. Does not: their records (lake/formats/delimited.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from lake.dialect import Dialect
from lake.formats import quoting
from lake.lines import Lines
from lake.source import Source

DIRECTIVE = b"#Fields:"
_HEADER_BYTES = 4096


def columns_of(
    head: bytes, source: Source, *, is_first: bool
) -> tuple[tuple[str, ...] | None, int]:
    """Return the columns of a segment and its lines before the first record.

    None where the segment names none; the columns before it are in force then. is_first: whether
    no segment before it had columns. A last column without a name is what a delimiter at the end
    of the lines makes.
    """
    dialect = source.dialect
    directive: tuple[str, ...] | None = None
    before = 0
    records: list[tuple[int, str]] = []
    for number, line in enumerate(head.split(b"\n")):
        is_comment = bool(dialect.comment) and line.startswith(dialect.comment.encode())
        if is_comment and not records:
            before = number + 1
            if line.startswith(DIRECTIVE):
                directive = _directive(line, dialect)
        elif line.strip() and not is_comment:
            records.append((number, line.rstrip(b"\r").decode("utf-8", "replace")))
            if len(records) == 2:
                break
    texts = [text for _, text in records]
    if directive is not None:
        return _with_end(directive, texts[:1], dialect), before
    if not is_first:
        return None, before
    if source.fields:
        return _with_end(source.fields, texts[:1], dialect), before
    if not records:
        return None, before
    first = quoting.split(texts[0], dialect.delimiter, is_quoted=dialect.is_quoted) or []
    names = tuple(name.strip() for name in first)
    return _with_end(names, texts[1:], dialect), records[0][0] + 1


def _directive(line: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of a `#Fields:` line: by spaces, whatever white space parts the records."""
    text = line[len(DIRECTIVE) :].decode("utf-8", "replace").strip()
    names = text.split() if dialect.delimiter.isspace() else text.split(dialect.delimiter)
    return tuple(name.strip() for name in names)


def _with_end(names: Sequence[str], record: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    """Add the column without a name that a delimiter at the end of the first record makes."""
    for text in record:
        fields = quoting.split(text, dialect.delimiter, is_quoted=dialect.is_quoted) or []
        if len(fields) == len(names) + 1 and not fields[-1] and "" not in names[-1:]:
            return (*names, "")
    return tuple(names)


def cuts(lines: Lines) -> Sequence[int]:
    """Return where a `#Fields:` line begins after records."""
    return [
        lines.span(number)[0]
        for number in lines.starting_with(ord("#")).tolist()
        if lines.raw(number).startswith(DIRECTIVE) and not _only_header(lines, number)
    ]


def _only_header(lines: Lines, number: int) -> bool:
    """Tell whether everything before a line is header lines."""
    return lines.span(number)[0] <= _HEADER_BYTES and all(
        not line or line.startswith(b"#") for line in map(lines.raw, range(1, number))
    )
