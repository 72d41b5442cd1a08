"""Broken rule files are named: file, rule, what was expected, remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.rules import DELIVERIES_FILE, MARTS_FILE, RuleFileError, load_rules
from expectations.runner import audit_hours
from lake.audit import BrokenAuditError

GOOD = """
layer: delivery
suites:
  - name: one
    description: a suite
    profiles: [bronze.cdn_requests]
    rules:
      - {name: first, column: rows, kind: between, min: 0, description: rows are counted}
      - {name: second, column: rows, kind: not_null, description: rows are counted}
"""
BROKEN = {
    "unknown kind": ("kind: not_null", "kind: nonnull", r"rule one/second, field kind: .*'equal'"),
    "unknown key": ("min: 0", "min: 0, minn: 1", r"rule one/first, field minn: Extra inputs"),
    "no bound": ("min: 0, ", "", r"rule one/first.*between needs min or max or max\+min"),
    "text bound": ("min: 0", "min: low", r"rule one/first, field min: .*valid number"),
    "crossed": ("min: 0", "min: 2, max: 1", r"rule one/first.*min must not exceed max"),
    "bad severity": ("min: 0", "min: 0, severity: fatal", r"first, field severity: .*'critical'"),
    "bound on not_null": ("kind: not_null", "kind: not_null, max: 1", "needs no bound, found max"),
    "same name": ("second", "first", r"rule one, .*unique in a suite, found twice"),
    "no description": (", description: rows are counted}\n      - ", "}\n      - ",
                       r"rule one/first, field description: Field required"),
    "bad override": ("min: 0", "min: 0, sources: {rec: {value: 3}}",
                     r"rule first, source rec: .*found min, value"),
    "infinite": ("min: 0", "min: .inf", r"rule one/first, field min: .*finite"),
    "unknown layer": ("layer: delivery", "layer: raw", r"the file, field layer: .*'delivery'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named_with_what_was_expected(case: str, tmp_path: Path) -> None:
    old, new, message = BROKEN[case]
    path = tmp_path / "rules.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(RuleFileError, match=message) as caught:
        load_rules(path)
    assert str(path) in str(caught.value)
    assert "Correct the file" in str(caught.value)
    assert isinstance(caught.value, BrokenAuditError)


@pytest.mark.parametrize("text", ["layer: [", "- 1", "", "suites: 3\nlayer: mart"])
def test_what_is_no_rule_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RuleFileError, match=r"rules\.yaml"):
        load_rules(path)


def test_a_missing_rule_file_blocks_the_audit(good_build: Path, tmp_path: Path) -> None:
    hours = [datetime(2026, 11, 16, 10, tzinfo=UTC)]
    with pytest.raises(RuleFileError, match="found FileNotFoundError"):
        audit_hours(good_build, "delivery", hours, rules_file=tmp_path / "none.yaml")


def test_a_profile_that_no_suite_judges_blocks_the_audit(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    with pytest.raises(RuleFileError, match=r"no suite .* judges profile hours\.delivery"):
        load_rules(path).of_profile("hours.delivery")


def test_every_rule_says_in_one_sentence_what_it_protects() -> None:
    for path in (DELIVERIES_FILE, MARTS_FILE):
        for suite in load_rules(path).suites:
            for rule in suite.rules:
                assert rule.description.endswith("."), rule.name
                assert len(rule.description) < 220, rule.name
