"""Freshness: both boundaries, feeds that never delivered, results as rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from expectations.rules import RuleFileError
from expectations.sla import SLA_FILE, judge_freshness, load_sla
from lake.audit import BrokenAuditError, CheckResult, check_results_table
from lake.catalog import open_catalog, table_of
from lake.records import CHECK_RESULTS
from lake.settings import load_settings

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def _result(name: str, newest: datetime | None) -> CheckResult:
    return judge_freshness({name: newest}, NOW, names=[name]).results[0]


@pytest.mark.parametrize("name", load_sla().objectives)
def test_objective_passes_at_its_age_and_fails_a_moment_later(name: str) -> None:
    age = timedelta(minutes=load_sla().objectives[name].max_age_minutes)
    assert _result(name, NOW - age).is_passed
    assert not _result(name, NOW - age - MOMENT).is_passed


def test_an_event_from_the_future_does_not_keep_a_feed_fresh() -> None:
    assert _result("cloudfront", NOW + timedelta(minutes=5)).is_passed
    assert not _result("cloudfront", NOW + timedelta(minutes=5) + MOMENT).is_passed


def test_a_feed_that_never_delivered_fails_whether_none_or_absent() -> None:
    report = judge_freshness({"cloudflare": None}, NOW, names=["cloudflare", "rec_events"])
    assert set(report.failures) == {"cloudflare", "rec_events"}
    assert {r.observed for r in report.results} == {"never delivered"}
    assert {r.layer for r in report.results} == {"sla"}


def test_every_objective_is_judged_unless_names_say_otherwise() -> None:
    report = judge_freshness({"extra": NOW}, NOW)
    assert {r.subject for r in report.results} == {*load_sla().objectives, "extra"}


def test_a_feed_without_an_objective_is_held_to_the_unlisted_one() -> None:
    found = _result("own_feed", NOW - timedelta(days=1) - MOMENT)
    assert (found.is_passed, found.severity) == (False, "warning")
    assert found.expected == "between -5 and 1440 min old"
    assert _result("own_feed", NOW - timedelta(days=1)).is_passed


def test_naive_instants_and_no_names_are_broken_audits() -> None:
    with pytest.raises(BrokenAuditError, match="now has no time zone"):
        judge_freshness({}, NOW.replace(tzinfo=None))
    with pytest.raises(BrokenAuditError, match="cloudfront has no time zone"):
        judge_freshness({"cloudfront": NOW.replace(tzinfo=None)}, NOW)
    with pytest.raises(BrokenAuditError, match="no feed to judge"):
        judge_freshness({}, NOW, names=[])


def test_a_broken_objective_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sla.yaml"
    path.write_text(SLA_FILE.read_text().replace("max_age_minutes: 30", "max_age_minutes: -30"))
    with pytest.raises(RuleFileError, match=r"field objectives\.cloudflare\.max_age"):
        judge_freshness({}, NOW, sla_file=path)


def test_results_append_to_the_table_of_check_results(tmp_path: Path) -> None:
    results = judge_freshness({"cloudfront": NOW}, NOW).results
    rows = check_results_table(results, "run-1", NOW)
    catalog = open_catalog(load_settings({"WEIR_HOME": str(tmp_path)}))
    table = table_of(catalog, CHECK_RESULTS)
    table.append(rows)
    stored = table.scan().to_arrow().sort_by("subject").to_pylist()
    assert len(stored) == len(results)
    assert {(r["run_id"], r["checked_at"]) for r in stored} == {("run-1", NOW)}
    assert {r["subject"]: r["is_passed"] for r in stored} == {
        r.subject: r.is_passed for r in results
    }


def test_no_results_make_an_empty_table_and_a_naive_instant_none() -> None:
    assert check_results_table([], "run-1", NOW).schema == CHECK_RESULTS.arrow
    with pytest.raises(ValueError, match="no time zone"):
        check_results_table([], "run-1", NOW.replace(tzinfo=None))
