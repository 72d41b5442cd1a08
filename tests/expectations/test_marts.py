"""Every mart rule is seen failing once; empty hours pass; broken audits block."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import duckdb
import pytest

from expectations.profiles import MART_TABLES
from expectations.rules import MARTS_FILE, load_rules
from expectations.runner import audit_days, audit_hours, audit_months
from lake.audit import AuditReport, BrokenAuditError

from .qos_build import defects

BuildWith = Callable[[str], Path]
HOUR = datetime(2026, 11, 16, 10, tzinfo=UTC)
BAD_HOUR, EMPTY_HOUR = HOUR + timedelta(hours=1), HOUR + timedelta(hours=2)
DAYS = [date(2026, 11, 15), date(2026, 11, 16), date(2026, 11, 17)]
_DAY = "timestamptz '2026-11-16 00:00:00+00'"
MONTHS = [date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)]
_AT = "timestamptz '2026-11-16 11:00:00+00'"


def _set(table: str, change: str) -> str:
    key = f"slot_start = {_AT}" if table == "traffic_5m" else f"hour = {_AT}"
    if table in MART_TABLES["billing"]:
        key = "month = date '2026-11-01'"
    return f"update marts.{table} set {change} where {key}"


def _again(table: str) -> str:
    key = "slot_start" if table == "traffic_5m" else "hour"
    moment = _AT
    if table in MART_TABLES["billing"]:
        key, moment = "month", "date '2026-11-01'"
    return f"insert into marts.{table} select * from marts.{table} where {key} = {moment} limit 1"


DEFECTS = {
    "traffic_5m/slots_are_on_the_grid": _set(
        "traffic_5m", "slot_start = slot_start + to_seconds(1)"
    ),
    "traffic_5m/slots_are_at_most_twelve": (
        "insert into marts.traffic_5m select slot_start + to_minutes(1), cdn, pop, customer, 0, 0, "
        f"0, 0, 0 from marts.traffic_5m where slot_start = {_AT}"
    ),
    "traffic_5m/traffic_keys_are_unique": _again("traffic_5m"),
    "traffic_5m/traffic_is_not_negative": _set("traffic_5m", "bytes_in = -1"),
    "traffic_5m/traffic_hits_are_part_of_traffic": _set("traffic_5m", "hit_bytes = 1001"),
    # one more for one customer, one less for another: totals alone would agree
    "qos_hourly/requests_agree_with_traffic": _set(
        "qos_hourly", "requests = requests + case when customer is null then 1 else -1 end"
    ),
    "qos_hourly/bytes_agree_with_traffic": _set("qos_hourly", "bytes = bytes + 1"),
    "qos_hourly/qos_keys_are_unique": _again("qos_hourly"),
    "qos_hourly/qos_is_not_negative": _set("qos_hourly", "duplicates_removed = null"),
    "qos_hourly/hits_are_at_most_eligible_at_most_all": _set("qos_hourly", "hit_requests = 101"),
    "qos_hourly/ratios_are_ratios": _set("qos_hourly", "hit_ratio_bytes = 'nan'"),
    "qos_hourly/ratios_match_their_terms": _set("qos_hourly", "hit_ratio_requests = 0.61"),
    "qos_hourly/percentiles_ascend": _set("qos_hourly", "ttfb_p95_ms = 31"),
    "qos_hourly/outcomes_are_part_of_requests": _set("qos_hourly", "errors_5xx = 119"),
    "ttfb_buckets_hourly/buckets_add_up_to_the_measured_requests": _set(
        "ttfb_buckets_hourly", "requests = requests + case when bucket = 1 then 1 else 0 end"
    ),
    "ttfb_buckets_hourly/bucket_keys_are_unique": _again("ttfb_buckets_hourly"),
    "ttfb_buckets_hourly/buckets_are_not_negative": _set("ttfb_buckets_hourly", "requests = -1"),
    "engagement_hourly/engagement_keys_are_unique": _again("engagement_hourly"),
    "engagement_hourly/engagement_is_not_negative": _set("engagement_hourly", "likes = -1"),
    "engagement_hourly/valid_plays_are_plays": _set("engagement_hourly", "valid_plays = 6"),
    "engagement_hourly/ctr_matches_its_terms": _set("engagement_hourly", "ctr = 0.11"),
    "engagement_hourly/watch_time_fits_the_plays": _set("engagement_hourly", "plays = 0"),
    "engagement_hourly/clicks_follow_impressions": _set(
        "engagement_hourly", "clicks = 101, ctr = 1.01"
    ),
    "usage_monthly/usage_keys_are_unique": _again("usage_monthly"),
    "usage_monthly/usage_is_not_negative": _set("usage_monthly", "requests = -1"),
    "bill_lines/line_keys_are_unique": _again("bill_lines"),
    "bill_lines/line_amounts_are_not_negative": _set("bill_lines", "quantity = -1"),
    "bill_lines/tiers_ascend": _set("bill_lines", "tier_to = tier_from"),
    "bill_lines/tier_quantities_add_up_to_the_usage": _set(
        "bill_lines", "quantity = quantity + 0.000001"
    ),
    "bills/bill_is_the_sum_of_its_lines": _set("bills", "amount = amount + 0.01"),
    "bills/bills_and_lines_come_together": (
        "delete from marts.bills where month = date '2026-11-01'"
    ),
    "bills/usage_is_billed_once": _set("bills", "logged_bytes = logged_bytes + 1"),
    "bills/usage_is_billed": _set("usage_monthly", "cdn = 'cloudflare'"),
    "bills/bill_keys_are_unique": _again("bills"),
    "bills/bill_amounts_are_not_negative": _set("bills", "amount = -150"),
    **defects(_AT, _DAY),
    "bill_allocations/allocation_keys_are_unique": _again("bill_allocations"),
    "bill_allocations/parts_add_up_to_the_bill": _set("bill_allocations", "amount = 75.01"),
    "what_ifs/what_if_keys_are_unique": _again("what_ifs"),
    "what_ifs/what_if_amounts_are_not_negative": _set("what_ifs", "amount = null"),
    "what_ifs/terms_in_force_cost_the_bill": _set("what_ifs", "amount = amount + 0.01"),
    "unit_costs/unit_cost_keys_are_unique": _again("unit_costs"),
    "unit_costs/unit_quantities_are_not_negative": _set("unit_costs", "quantity = -1"),
    "unit_costs/unit_costs_hold_the_bills_whole": (
        "delete from marts.unit_costs where month = date '2026-11-01' and name = 'b'"
    ),
    "bill_allocations/every_bill_is_allocated": (
        "delete from marts.bill_allocations where month = date '2026-11-01'"
    ),
}
CASES = [
    (suite.profiles[0], f"{suite.name}/{rule.name}")
    for suite in load_rules(MARTS_FILE).suites
    for rule in suite.rules
]


def _judged(build: Path, profile: str) -> AuditReport:
    if profile == "months.billing":
        return audit_months(build, MONTHS)
    if profile == "days.rollup":
        return audit_days(build, DAYS)
    hours = [HOUR, BAD_HOUR, EMPTY_HOUR]
    family: Literal["delivery", "engagement"] = (
        "delivery" if profile == "hours.delivery" else "engagement"
    )
    return audit_hours(build, family, hours)


def _failed(report: AuditReport) -> set[tuple[str, str]]:
    return {(r.subject, f"{r.suite}/{r.check_name}") for r in report.results if not r.is_passed}


def test_no_defect_is_planted_for_a_rule_that_is_gone() -> None:
    assert set(DEFECTS) == {rule for _, rule in CASES}


@pytest.mark.parametrize(("profile", "rule"), CASES)
def test_rule_fails_on_its_defect_and_spares_the_other_partitions(
    profile: str, rule: str, build_with: BuildWith
) -> None:
    bad = {"months.billing": "2026-11-01", "days.rollup": "2026-11-16"}.get(
        profile, BAD_HOUR.isoformat()
    )
    failed = _failed(_judged(build_with(DEFECTS[rule]), profile))
    assert (bad, rule) in failed
    assert {subject for subject, _ in failed} == {bad}


@pytest.mark.parametrize(
    "profile", ["hours.delivery", "days.rollup", "hours.engagement", "months.billing"]
)
def test_good_and_empty_partitions_pass_every_rule(good_build: Path, profile: str) -> None:
    report = _judged(good_build, profile)
    assert _failed(report) == set()
    assert len({r.subject for r in report.results}) == 3
    assert {r.layer for r in report.results} == {"mart"}


def test_subjects_are_iso_hours_in_utc_whatever_zone_was_asked(good_build: Path) -> None:
    east = timezone(timedelta(hours=8))
    report = audit_hours(good_build, "delivery", [BAD_HOUR.astimezone(east), HOUR])
    assert {r.subject for r in report.results} == {
        "2026-11-16T10:00:00+00:00",
        "2026-11-16T11:00:00+00:00",
    }


def test_outcomes_belong_to_their_hour_when_hours_are_asked_in_any_order(
    build_with: BuildWith,
) -> None:
    build = build_with(DEFECTS["qos_hourly/percentiles_ascend"])
    report = audit_hours(build, "delivery", [EMPTY_HOUR, BAD_HOUR, HOUR])
    assert set(report.failures) == {BAD_HOUR.isoformat()}


def test_clicks_over_impressions_only_warn(build_with: BuildWith) -> None:
    build = build_with(DEFECTS["engagement_hourly/clicks_follow_impressions"])
    assert audit_hours(build, "engagement", [BAD_HOUR]).failures == {}


def test_a_missing_cent_is_seen_on_a_bill_beyond_the_precision_of_floats(
    build_with: BuildWith,
) -> None:
    large = "123456789012345678901234567890.12"
    build = build_with(
        f"update marts.bills set amount = {large}; "
        f"update marts.bill_lines set amount = {large} - 0.01 where line_no = 1; "
        "update marts.bill_lines set amount = 0 where line_no <> 1"
    )
    report = audit_months(build, MONTHS[:1])
    assert ("2026-10-01", "bills/bill_is_the_sum_of_its_lines") in _failed(report)


def test_two_contracts_of_one_vendor_share_its_usage(build_with: BuildWith) -> None:
    build = build_with(
        "update marts.bills set logged_bytes = 1000000400; "
        "insert into marts.bills select * replace ('c2' as contract_id, 500000000 as logged_bytes) "
        "from marts.bills"
    )
    rule = "bills/usage_is_billed_once"
    assert rule not in {found for _, found in _failed(audit_months(build, MONTHS))}


def test_a_month_of_another_time_zone_is_not_held_against_utc(build_with: BuildWith) -> None:
    build = build_with("update marts.bills set logged_bytes = 10**12, zone = 'Asia/Shanghai'")
    assert audit_months(build, MONTHS).failures == {}


def test_a_missing_build_file_is_a_broken_audit(tmp_path: Path) -> None:
    with pytest.raises(BrokenAuditError, match="build file is missing"):
        audit_hours(tmp_path / "none.duckdb", "delivery", [HOUR])
    assert not (tmp_path / "none.duckdb").exists()


def test_a_file_that_is_no_database_is_a_broken_audit(tmp_path: Path) -> None:
    path = tmp_path / "build.duckdb"
    path.write_text("<script>")
    with pytest.raises(BrokenAuditError, match="raised IOException"):
        audit_months(path, MONTHS)


@pytest.mark.parametrize("table", ["traffic_5m", "ttfb_buckets_hourly"])
def test_a_missing_mart_is_a_broken_audit(build_with: BuildWith, table: str) -> None:
    with pytest.raises(BrokenAuditError, match=rf"lacks the marts \['{table}'\]"):
        audit_hours(build_with(f"drop table marts.{table}"), "delivery", [HOUR])


def test_a_mart_without_a_measured_column_is_a_broken_audit(build_with: BuildWith) -> None:
    build = build_with("alter table marts.bills drop column logged_bytes")
    with pytest.raises(BrokenAuditError, match="raised BinderException"):
        audit_months(build, MONTHS)


def test_no_hours_no_months_and_repeated_ones_are_broken_audits(good_build: Path) -> None:
    with pytest.raises(BrokenAuditError, match="given no subjects"):
        audit_hours(good_build, "delivery", [])
    with pytest.raises(BrokenAuditError, match="given no subjects"):
        audit_months(good_build, [])
    with pytest.raises(BrokenAuditError, match="expected each once"):
        audit_hours(good_build, "delivery", [HOUR, HOUR.astimezone(timezone(timedelta(hours=1)))])


def test_what_is_no_hour_or_no_month_is_a_broken_audit(good_build: Path) -> None:
    with pytest.raises(BrokenAuditError, match="no full hour"):
        audit_hours(good_build, "delivery", [HOUR + timedelta(minutes=5)])
    with pytest.raises(BrokenAuditError, match="no time zone"):
        audit_hours(good_build, "delivery", [HOUR.replace(tzinfo=None)])
    with pytest.raises(BrokenAuditError, match="is no month"):
        audit_months(good_build, [date(2026, 11, 2)])


def test_an_instant_is_no_day(good_build: Path) -> None:
    with pytest.raises(BrokenAuditError, match="is an instant"):
        audit_days(good_build, [HOUR])


def test_the_build_file_is_closed_after_an_audit(build_with: BuildWith) -> None:
    build = build_with("select 1")
    audit_hours(build, "delivery", [HOUR])
    with duckdb.connect(str(build)) as connection:
        connection.execute("create table marts.more (n integer)")
