"""The judge: Great Expectations over profile rows, one outcome per rule and subject.

Belongs here: how a rule becomes an expectation and an expectation's result becomes outcomes. Does
not: what is measured or required. The only module that imports great_expectations, on first use.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from expectations.profiles import Number, ProfileRow
from expectations.rules import Rule, Suite
from lake.audit import BrokenAuditError, CheckResult

if TYPE_CHECKING:
    import pandas as pd

_SUBJECT = "subject_no"
_lock = threading.Lock()  # one context serves the process; GX does not promise thread safety


@dataclass(frozen=True)
class _Cell:
    """One rule's value for one subject, before GX sees it."""

    value: Number
    is_applicable: bool
    is_missing: bool


@cache
def _batch_definition() -> Any:
    """Return the one data-frame asset of the one ephemeral context of this process."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("profiles")
    return source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")


def _expectation(rule: Rule, column: str) -> Any:
    """Return the expectation that a rule stands for."""
    import great_expectations.expectations as gxe

    if rule.kind == "between":
        return gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=rule.min, max_value=rule.max, severity=rule.severity
        )
    if rule.kind == "not_null":
        return gxe.ExpectColumnValuesToNotBeNull(column=column, severity=rule.severity)
    values = [rule.value] if rule.kind == "equal" else list(rule.values or ())
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values, severity=rule.severity)


def _number(row: ProfileRow, column: str) -> Number:
    """Return a profile value; text never passes, whatever the profile says."""
    if column not in row.values:
        raise BrokenAuditError(
            f"the profile has no column {column}; expected one of {sorted(row.values)}. Correct "
            "the rule's column or add the measure to the module that profiles are made of."
        )
    value = row.values[column]
    if value is not None and not isinstance(value, int | float | Decimal):
        raise BrokenAuditError(
            f"profile column {column} holds {type(value).__name__}; expected a number. Measure "
            "it as a count, a share or a difference."
        )
    return value


def _cell(rule: Rule, row: ProfileRow) -> _Cell:
    value = _number(row, rule.column)
    applies = True
    if rule.applies_if is not None:
        guard = _number(row, rule.applies_if.column)
        # a guard that was not measured does not excuse: the rule applies
        applies = guard is None or guard >= rule.applies_if.min
    is_null = value is None or math.isnan(value)
    return _Cell(value, applies, applies and is_null and not rule.optional)


def _observed(rule: Rule, cell: _Cell) -> str:
    """Return a value as a plain number, or why there is none."""
    if not cell.is_applicable and rule.applies_if is not None:
        return f"not judged: {rule.applies_if.column} < {rule.applies_if.min:g}"
    value = cell.value
    if value is None:
        return "no value"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:f}" if isinstance(value, Decimal) else str(int(value))


def _as_float(cell: _Cell) -> float:
    # exact differences were computed in SQL; as a float a nonzero one stays nonzero
    return float(cell.value) if cell.is_applicable and cell.value is not None else math.nan


def _frame(rules: Sequence[tuple[str, Rule]], cells: Sequence[Sequence[_Cell]]) -> pd.DataFrame:
    """Return one column per rule and one row per subject (numpy floats)."""
    import pandas as pd

    columns: dict[str, list[float] | range] = {_SUBJECT: range(len(cells[0]))}
    for (column, _), row in zip(rules, cells, strict=True):
        columns[column] = [_as_float(cell) for cell in row]
    return pd.DataFrame(columns)


def _validate(rules: Sequence[tuple[str, Rule]], frame: pd.DataFrame) -> dict[str, set[int]]:
    """Let GX judge the frame; return, per column, the subjects that break its rule."""
    import great_expectations as gx

    with _lock:
        suite = gx.ExpectationSuite(
            name="profile", expectations=[_expectation(rule, column) for column, rule in rules]
        )
        batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
        outcome = batch.validate(
            suite,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [_SUBJECT],
                "return_unexpected_index_query": False,
            },
        )
    broken: dict[str, set[int]] = {}
    for result in outcome.results:
        column = result.expectation_config.kwargs["column"]
        found = result.result
        if result.exception_info.get("raised_exception") or "unexpected_index_list" not in found:
            raise BrokenAuditError(f"the expectation {column} raised instead of judging")
        broken[column] = {int(i[_SUBJECT]) for i in found["unexpected_index_list"] or ()}
        consistent = found["element_count"] == len(frame) and (
            result.success == (found["unexpected_count"] == 0)
        )
        if not consistent or len(broken[column]) != found["unexpected_count"]:
            raise BrokenAuditError(
                f"the expectation {column} judged {found['element_count']} of {len(frame)} "
                f"subjects and names {len(broken[column])} of {found['unexpected_count']} failures"
            )
    if set(broken) != {column for column, _ in rules}:
        raise BrokenAuditError(f"{len(broken)} of {len(rules)} rules were judged; expected all")
    return broken


def _judge_alike(
    layer: str, suites: Sequence[Suite], source: str, rows: Sequence[ProfileRow]
) -> list[CheckResult]:
    """Judge subjects that share every threshold, in one validation."""
    named = [(s.name, r.for_source(source)) for s in suites for r in s.rules]
    rules = [(f"{suite}/{rule.name}", rule) for suite, rule in named]
    cells = [[_cell(rule, row) for row in rows] for _, rule in rules]
    broken = _validate(rules, _frame(rules, cells))
    return [
        CheckResult(
            layer=layer,
            suite=suite,
            check_name=rule.name,
            subject=row.subject,
            severity=rule.severity,
            is_passed=i not in broken[column] and not cell.is_missing,
            observed=_observed(rule, cell),
            expected=rule.expected,
        )
        for (suite, _), (column, rule), judged in zip(named, rules, cells, strict=True)
        for i, (row, cell) in enumerate(zip(rows, judged, strict=True))
    ]


def judge(
    layer: str, suites: Sequence[Suite], rows: Sequence[ProfileRow]
) -> tuple[CheckResult, ...]:
    """Return the outcome of every rule for every subject, grouped by subject."""
    overridden = {source for s in suites for r in s.rules for source in r.sources}
    groups: dict[str, list[ProfileRow]] = {}
    for row in rows:
        groups.setdefault(row.source if row.source in overridden else "", []).append(row)
    found = [
        result
        for source, alike in groups.items()
        for result in _judge_alike(layer, suites, source, alike)
    ]
    order = {row.subject: i for i, row in enumerate(rows)}
    return tuple(sorted(found, key=lambda r: order[r.subject]))
