"""Printing: tables, JSON and CSV in which log text stays data.

Control and direction characters are escaped for the terminal; a CSV cell that a spreadsheet would
run as a formula gets a leading apostrophe (OWASP); typed numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PIPED_WIDTH = 120
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes no markup out of data."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPED_WIDTH
    return made


def safe(value: object) -> str:
    """Return a value as one line of text that cannot steer a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return iso(value)
    text = str(value)
    return "".join(
        c if unicodedata.category(c) not in _UNSAFE else c.encode("unicode_escape").decode()
        for c in text
    )


def lines_safe(text: str) -> str:
    """Return a text of several lines, each as `safe` gives it: for messages that quote data."""
    return "\n".join(safe(line) for line in text.split("\n"))


def iso(value: datetime) -> str:
    """Return an instant as ISO 8601 with Z."""
    return value.isoformat().replace("+00:00", "Z")


def jsonable(value: object) -> object:
    """Return a value as JSON has it: instants and decimals as text, bytes as hex.

    JSON has no NaN and no infinity: they become text; so does what else it has no type for.
    """
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def print_json(value: object) -> None:
    """Print one JSON document on a line of its own."""
    sys.stdout.write(_json(value) + "\n")


def print_json_list(values: Iterable[object]) -> None:
    """Print one JSON array, value by value."""
    sys.stdout.write("[")
    for i, value in enumerate(values):
        sys.stdout.write((", " if i else "") + _json(value))
    sys.stdout.write("]\n")


def _json(value: object) -> str:
    return json.dumps(jsonable(value), ensure_ascii=True, allow_nan=False)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV that a spreadsheet does not execute."""
    sys.stdout.write(_csv_line(columns))
    for row in rows:
        sys.stdout.write(_csv_line(row))


def _csv_line(row: Sequence[object]) -> str:
    """Return a line; quotes a bare CR too, which spreadsheets take for a new row."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(v) for v in row])
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool | int | float | Decimal):
        return value
    text = value if isinstance(value, str) else safe(jsonable(value))
    return "'" + text if text.startswith(_FORMULA) else text


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Iterable[int] = (),
) -> Table:
    """Return a table of escaped cells; `numbers` are the columns set to the right."""
    right = set(numbers)
    made = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        made.add_column(
            Text(safe(column)), justify="right" if i in right else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(safe(v)) for v in row))
    return made


def grouped(value: Any) -> str:
    """Return a number with thousands grouped."""
    return f"{value:,}" if isinstance(value, int | float | Decimal) else safe(value)
