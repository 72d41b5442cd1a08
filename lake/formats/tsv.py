"""Reading logs of delimited fields that are not quoted, by tabs or by spaces.

DuckDB's typed CSV reader, and the judge of single lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake.formats.base import Judgement, Layout, Reject, Row, Skip
from lake.lines import Lines
from lake.reads import quote_literal

#: what stands for nothing (facts of the vendors: `-`, `^` for too long, and the empty field)
NULLS = ("-", "^", "")


def read_sql(path: str, layout: Layout, longest_line: int) -> str:
    """Return the typed read of a file of delimited fields; rejected lines go to reject_errors."""
    columns = ", ".join(f"{quote_literal(c)}: '{t}'" for c, t in layout.columns.items())
    nulls = ", ".join(quote_literal(n) for n in NULLS)
    return (
        f"select row_number() over () as rn, * from read_csv({quote_literal(path)}, "
        f"delim={quote_literal(layout.delimiter)}, quote='', escape='', header=false, "
        f"auto_detect=false, "
        f"skip={layout.header_lines}, columns={{{columns}}}, strict_mode=true, "
        f"store_rejects=true, rejects_limit=0, nullstr=[{nulls}], parallel=false, "
        f"max_line_size={line_limit(longest_line)})"
    )


def delimiter_of(head: bytes, columns: int) -> str:
    """Return what separates the fields: a space where the first line has just so many, else a tab.

    columns: of the file; a delimiter at the end of the line is no field more.
    """
    for line in head.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            is_spaced = b"\t" not in line and len(line.split()) == columns > 1
            return " " if is_spaced else "\t"
    return "\t"


def line_limit(longest_line: int) -> int:
    """Return a limit that few files differ in, so that prepared statements are shared."""
    limit = 2_000_000
    while limit < longest_line + 16:
        limit *= 4
    return limit


REJECTED_LINES = "select distinct line from reject_errors order by line"


def overflowing(
    lines: Lines,
    layout: Layout,
    numbers: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return accepted lines with too many columns.

    DuckDB 2.0 rejects a line with too many columns only while one of those beyond the last holds
    a value; where they are all the null string it drops them.
    """
    tabs = len(layout.columns) - 1
    delimiter = layout.delimiter.encode()
    expected = np.full(len(lines), tabs, dtype=np.int64)
    others = np.ones(len(lines), dtype=np.bool_)
    others[numbers - 1] = False
    for at in np.flatnonzero(others).tolist():
        expected[at] = lines.raw(at + 1).count(delimiter)
    return lines.miscounted(ord(delimiter), expected)


def judge(line: bytes, layout: Layout, *, has_header: bool = True) -> Judgement:
    """Judge one line; a delimiter at its end is forgiven, as real files have it.

    has_header: whether `#` begins a line of the header.
    """
    stripped = line.rstrip(b"\r\n")
    if not stripped.strip():
        return Skip.BLANK
    if b"\0" in stripped:
        return Reject("nul_byte")
    if b"\r" in stripped:
        return Reject("stray_cr")  # several lines of another system's, or half of two
    if has_header and stripped.startswith(b"#"):
        return Skip.HEADER
    try:
        text = stripped.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("bad_utf8")
    fields = text.split(layout.delimiter)
    if len(fields) == len(layout.columns) + 1 and not fields[-1]:
        fields.pop()
    if len(fields) != len(layout.columns):
        return Reject("ragged")
    values = {
        name: None if field in NULLS else field
        for field, name in zip(fields, layout.columns, strict=True)
    }
    if any(values[name] is None for name in layout.required):
        return Reject("missing_field")
    return Row(values)
