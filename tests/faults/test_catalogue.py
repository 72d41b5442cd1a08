"""docs/faults.md names a test for every fault; this keeps the table true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/faults.md"
#: the rows of the fault catalogue that the front door of the lake answers for
ROWS = range(1, 25)
_LINK = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> dict[int, tuple[str, ...]]:
    """Return row number -> cells of the table."""
    found = {}
    for line in TABLE.read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if cells[0].isdigit():
            assert int(cells[0]) not in found, f"row {cells[0]} stands twice"
            found[int(cells[0])] = tuple(cells[1:])
    return found


def names_of_tests_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def test_every_row_of_the_catalogue_is_in_the_table_once():
    assert sorted(rows()) == list(ROWS)
    assert all(len(cells) == 3 for cells in rows().values())


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_tests_that_exist(row):
    fault, behaviour, tests = rows()[row]
    links = _LINK.findall(tests)
    assert fault
    assert behaviour
    assert links, f"row {row} names no test"
    missing = [f"{path}::{name}" for path, name in links if name not in names_of_tests_in(path)]
    assert missing == []


def test_a_row_without_a_test_would_be_found():
    assert _LINK.findall("see the other page") == []
    assert "test_nothing_of_the_kind" not in names_of_tests_in("tests/faults/test_catalogue.py")
