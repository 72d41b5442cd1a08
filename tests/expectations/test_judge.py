"""The judge itself: kinds, missing values, text, and a judge that is broken."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

import expectations.judge as module
from expectations.judge import judge
from expectations.profiles import Number, ProfileRow
from expectations.rules import Suite
from lake.audit import BrokenAuditError


def _suite(**rule: Any) -> Suite:
    said = {"name": "rule", "column": "x", "description": "judges the column x", **rule}
    return Suite.model_validate(
        {"name": "suite", "description": "s", "profiles": ["p"], "rules": [said]}
    )


def _outcomes(suite: Suite, *values: Number) -> list[bool]:
    rows = [ProfileRow(str(n), {"x": v, "n": n}) for n, v in enumerate(values)]
    return [r.is_passed for r in judge("delivery", [suite], rows)]


def test_between_includes_both_ends() -> None:
    suite = _suite(kind="between", min=0, max=1)
    assert _outcomes(suite, -1e-9, 0, 0.5, 1, 1 + 1e-9, math.inf) == [
        False, True, True, True, False, False,
    ]  # fmt: skip


def test_one_sided_bounds_equal_and_in_set_judge_numbers() -> None:
    assert _outcomes(_suite(kind="between", min=0), -1, 0, 1) == [False, True, True]
    assert _outcomes(_suite(kind="equal", value=0), 0, 1, Decimal("0.01")) == [True, False, False]
    assert _outcomes(_suite(kind="in_set", values=[1, 2]), 0, 1, 2) == [False, True, True]


@pytest.mark.parametrize("kind", [{"kind": "not_null"}, {"kind": "between", "min": 0}])
def test_a_missing_value_fails_unless_the_rule_is_optional(kind: dict[str, Any]) -> None:
    assert _outcomes(_suite(**kind), 1, None, math.nan) == [True, False, False]


def test_a_missing_value_of_an_optional_rule_passes() -> None:
    assert _outcomes(_suite(kind="equal", value=1, optional=True), None, None) == [True, True]


def test_a_guard_excuses_only_what_it_covers() -> None:
    suite = _suite(kind="equal", value=0, applies_if={"column": "n", "min": 2})
    assert _outcomes(suite, 1, None, 1, None) == [True, True, False, False]


def test_each_batch_is_judged_on_its_own_values() -> None:
    suite = _suite(kind="equal", value=0)
    assert [_outcomes(suite, v, 0) for v in (0, 1, 0)] == [
        [True, True],
        [False, True],
        [True, True],
    ]


def test_values_are_reported_as_plain_numbers() -> None:
    rows = [
        ProfileRow("a", {"x": v}) for v in (3, 0.123456789, Decimal("1.20"), None, 10**30, True)
    ]
    found = [judge("mart", [_suite(kind="between", min=9)], [row])[0].observed for row in rows]
    assert found == ["3", "0.123457", "1.20", "no value", f"{10**30}", "1"]


def test_text_in_a_profile_breaks_the_audit_and_stays_out_of_the_message() -> None:
    row = ProfileRow("a", {"x": "<script>"})  # type: ignore[dict-item]
    with pytest.raises(BrokenAuditError, match="holds str; expected a number") as caught:
        judge("delivery", [_suite(kind="equal", value=0)], [row])
    assert "script" not in str(caught.value)


def test_a_rule_about_no_column_breaks_the_audit() -> None:
    with pytest.raises(BrokenAuditError, match=r"no column x; expected one of \['y'\]"):
        judge("delivery", [_suite(kind="equal", value=0)], [ProfileRow("a", {"y": 1})])


def test_an_expectation_that_raises_breaks_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = module._expectation
    monkeypatch.setattr(module, "_expectation", lambda rule, _: honest(rule, "gone"))
    with pytest.raises(BrokenAuditError, match="raised instead of judging"):
        _outcomes(_suite(kind="equal", value=0), 1)


def test_great_expectations_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, expectations.runner, expectations.sla; "
        "sys.exit(any(m.split('.')[0] in {'great_expectations', 'pandas'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
