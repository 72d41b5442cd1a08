"""Every reason that a line can be rejected for has a remedy, and no remedy is for a reason gone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lake
from lake.projection import NO_TIME
from lake.protection import KEY_DESTROYED
from lake.remedies import REMEDIES
from lake.rescue import OUT_OF_RANGE

#: given in SQL or by name, which no call shows
BY_NAME = {NO_TIME, KEY_DESTROYED, OUT_OF_RANGE, "time_out_of_range", "line_too_long"}
FILES = sorted(Path(lake.__file__).parent.rglob("*.py"))


def texts(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def reasons_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "Reject",
            "UnreadableError",
        ):
            yield from (t for argument in node.args for t in texts(argument))
        elif isinstance(node, ast.FunctionDef) and node.name == "fault":
            for one in ast.walk(node):
                if isinstance(one, ast.Return) and one.value is not None:
                    value = one.value
                    given = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                    yield from (g.value for g in given if isinstance(g, ast.Constant) and g.value)
        elif isinstance(node, ast.Assign) and any(
            getattr(t, "id", "") in ("unknown_kind", "fault") for t in node.targets
        ):
            yield from (t for t in texts(node.value) if t)


@pytest.fixture(scope="module")
def reasons() -> set[str]:
    found = {r for path in FILES for r in reasons_in(ast.parse(path.read_text(encoding="utf-8")))}
    return found | BY_NAME


def test_every_reason_of_a_reject_has_a_remedy_and_no_other_has_one(reasons):
    assert {"wrong_type", "empty_period", "unknown_change", "inexact_number"} <= reasons
    assert reasons == set(REMEDIES)


@pytest.mark.parametrize("reason", sorted(REMEDIES))
def test_a_remedy_is_a_sentence(reason):
    assert REMEDIES[reason][0].isupper()
    assert REMEDIES[reason].endswith(".")
