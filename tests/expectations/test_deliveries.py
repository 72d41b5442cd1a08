"""Every delivery rule is seen failing once; neighbours, text and broken audits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.types import NestedField

from expectations.rules import DELIVERIES_FILE, load_rules
from expectations.runner import delivery_audit
from lake.audit import AuditReport, BrokenAuditError, DeliverySubject
from lake.counters import VENDOR_USAGE
from lake.records import COUNTERS, Record

CDN, REC = "bronze.cdn_requests", "bronze.rec_events"
HOUR, ONE = datetime(2026, 11, 16, 10, tzinfo=UTC), timedelta(hours=1)
Fields = Mapping[str, Sequence[NestedField]]
Stage = Callable[..., DeliverySubject]

#: what is planted for each rule: columns of the first `only` rows, or counts of the delivery
DEFECTS: dict[str, dict[str, Any]] = {
    "deliveries/lines_are_accounted_for": {"lines": 31},
    "deliveries/files_hold_the_accepted_rows": {"accepted": 31},
    "deliveries/rejected_share_is_low": {"rejected": 2, "reject_reasons": {"ragged": 2}},
    "deliveries/rejects_have_reasons": {"rejected": 1},
    "deliveries/required_columns_are_filled": {"change": {"parser_version": None}, "only": 1},
    "whole_tables/no_line_is_rejected": {"rejected": 1, "reject_reasons": {"wrong_type": 1}},
    "customers/customer_is_known": {"change": {"customer": None}, "only": 7},
    "cdn_requests/bytes_are_not_negative": {"change": {"bytes_in": -1}, "only": 1},
    "cdn_requests/bytes_of_a_request_are_plausible": {
        "change": {"bytes_out_body": 10**12 + 1},
        "only": 1,
    },
    "cdn_requests/ttfb_is_possible": {"change": {"ttfb_ms": -0.001}, "only": 1},
    "cdn_requests/duration_is_possible": {"change": {"duration_ms": float("nan")}, "only": 1},
    "cdn_requests/median_duration_is_under_an_hour": {"change": {"duration_ms": 3_600_001.0}},
    "cdn_requests/duration_unit_is_not_too_large": {"change": {"duration_ms": 80_000.0}},
    "cdn_requests/duration_unit_is_not_too_small": {"change": {"duration_ms": 0.08}},
    "cdn_requests/ttfb_unit_is_not_too_large": {"change": {"ttfb_ms": 120_000.0}},
    "cdn_requests/ttfb_unit_is_not_too_small": {"change": {"ttfb_ms": 0.012}},
    "cdn_requests/status_is_possible": {"change": {"status": 600}, "only": 1},
    "cdn_requests/cache_status_is_in_vocabulary": {"change": {"cache_status": "Hit"}, "only": 1},
    "cdn_requests/cache_status_is_known": {"change": {"cache_status": "UNKNOWN"}},
    "cdn_requests/sample_weight_is_positive": {"change": {"sample_weight": 0}, "only": 1},
    "rec_events/event_type_is_known": {"change": {"event_type": "refund"}, "only": 1},
    "rec_events/event_id_is_filled": {"change": {"event_id": " "}, "only": 1},
    "rec_events/watch_time_is_possible": {"change": {"watch_ms": 86_400_001}, "only": 1},
    "rec_events/watch_time_belongs_to_plays": {"change": {"watch_ms": 1}},
    "rec_events/position_starts_at_one": {"change": {"position": 0}, "only": 1},
    "rec_events/propensity_is_a_probability": {"change": {"propensity": 1.0001}, "only": 1},
    "vendor_usage/counts_are_not_negative": {"change": {"requests": -1}, "only": 1},
    "vendor_usage/slots_have_one_value": {"change": {"row_key": b"k" * 16}, "only": 2},
    "vendor_usage/slots_do_not_overlap": {"change": {"slot_end": HOUR + 4 * ONE}, "only": 1},
    "vendor_usage/slots_are_sane": {"change": {"slot_end": HOUR}, "only": 1},
    "vendor_usage/counters_are_known": {"change": {"requests": None}},
    "vendor_usage/published_after_the_slot": {"change": {"published_at": HOUR}, "only": 1},
    "vendor_invoices/periods_are_sane": {"change": {"billing_period_end": HOUR + ONE}, "only": 1},
    "vendor_invoices/line_numbers_are_unique": {"change": {"row_key": b"k" * 16}, "only": 2},
    "vendor_invoices/usage_is_not_negative": {"change": {"quantity": Decimal(-1)}, "only": 1},
    "vendor_invoices/quantity_times_price_is_the_amount": {
        "change": {"amount": Decimal("0.01")},
        "only": 1,
    },
    "vendor_invoices/one_currency": {"change": {"currency": "USD"}, "only": 1},
    "vendor_invoices/charges_lie_in_the_period": {
        "change": {"charge_period_start": HOUR - ONE},
        "only": 1,
    },
    "producer_rosters/spans_of_a_producer_do_not_overlap": {"change": {"valid_to": None}},
    "producer_rosters/cadence_is_possible": {"change": {"cadence_s": 0}, "only": 1},
    "producer_rosters/sequence_numbers_are_not_negative": {"change": {"last_seq": -1}, "only": 1},
    "capacities/spans_of_a_place_do_not_overlap": {"change": {"valid_to": None}},
    "capacities/capacity_is_positive": {"change": {"capacity_bps": 0}, "only": 1},
    "capacities/capacity_unit_is_plausible": {"change": {"capacity_bps": 400}},
    "rec_events/gifts_have_count_and_price": {"change": {"gift_price": None}, "only": 2},
    "rec_events/prices_belong_to_gifts": {"change": {"gift_count": 1}, "only": 1},
    "player_events/player_event_type_is_known": {"change": {"event_type": "stall"}, "only": 1},
    "player_events/player_measures_are_not_negative": {"change": {"buffer_ms": -1}, "only": 1},
    "player_events/stalls_end_within_a_day": {"change": {"stall_ms": 86_400_001}, "only": 1},
    "experiment_assignments/planned_share_is_a_share": {
        "change": {"planned_share": 50.0},
        "only": 1,
    },
    "experiment_assignments/a_unit_has_one_variant": {"change": {"variant": "b"}, "only": 1},
    "items/item_change_is_known": {"change": {"change_kind": "merge"}, "only": 1},
    "items/item_duration_is_not_negative": {"change": {"duration_ms": -1}, "only": 1},
    "creators/creator_change_is_known": {"change": {"change_kind": "merge"}, "only": 1},
    "creators/followers_are_not_negative": {"change": {"followers": -1}, "only": 1},
}
CASES = [
    (table, f"{suite.name}/{rule.name}")
    for suite in load_rules(DELIVERIES_FILE).suites
    for table in suite.profiles
    for rule in suite.rules
]


def _failed(report: AuditReport) -> set[tuple[str, str]]:
    return {(r.subject, f"{r.suite}/{r.check_name}") for r in report.results if not r.is_passed}


def _audit(fields: Fields, *subjects: DeliverySubject) -> AuditReport:
    return delivery_audit(fields)(subjects)


def test_no_defect_is_planted_for_a_rule_that_is_gone() -> None:
    assert set(DEFECTS) == {rule for _, rule in CASES}


@pytest.mark.parametrize(("table", "rule"), CASES)
def test_rule_fails_on_its_defect_and_spares_the_neighbours(
    table: str, rule: str, stage: Stage, fields_by_table: Fields
) -> None:
    report = _audit(
        fields_by_table,
        stage("before", table),
        stage("bad", table, **DEFECTS[rule]),
        stage("after", table),
    )
    assert ("bad", rule) in _failed(report)
    assert {subject for subject, _ in _failed(report)} == {"bad"}
    [result] = [
        r for r in report.results if r.subject == "bad" and f"{r.suite}/{r.check_name}" == rule
    ]
    assert ("bad" in report.failures) >= (result.severity == "critical")


def test_good_deliveries_of_both_tables_pass_every_rule(
    stage: Stage, fields_by_table: Fields
) -> None:
    report = _audit(fields_by_table, stage("requests"), stage("events", REC))
    assert _failed(report) == set()
    assert {r.layer for r in report.results} == {"delivery"}
    assert len({r.check_name for r in report.results if r.subject == "requests"}) == 19
    assert len({r.check_name for r in report.results if r.subject == "events"}) == 14


@pytest.mark.parametrize("record", COUNTERS, ids=lambda r: r.name)
def test_good_deliveries_of_counters_pass_every_rule(
    record: Record, stage: Stage, fields_by_table: Fields
) -> None:
    report = _audit(fields_by_table, stage("good", record.identifier), stage("empty", rows=0))
    assert [r for r in report.results if r.subject == "good" and not r.is_passed] == []
    suites = {"deliveries", record.name}
    if record is not VENDOR_USAGE:
        suites.add("whole_tables")
    assert {r.suite for r in report.results if r.subject == "good"} == suites


def test_a_price_of_many_decimals_is_multiplied_exactly(
    stage: Stage, fields_by_table: Fields
) -> None:
    exact = {
        "quantity": Decimal("123456789012.000000000001"),
        "unit_price": Decimal("0.085000000001"),
        "amount": Decimal("10493827066.143456789012"),
        "charge_category": "Usage",
        "charge_class": None,
        "amount_decimals": 12,
    }
    invoices = "bronze.vendor_invoices"
    one_off = {**exact, "amount": Decimal("10493827066.143456789013")}
    report = _audit(
        fields_by_table,
        stage("exact", invoices, change=exact),
        stage("off", invoices, change=one_off, only=1),
    )
    assert _failed(report) == {("off", "vendor_invoices/quantity_times_price_is_the_amount")}


def test_a_delivery_without_files_is_judged_by_its_counts(
    stage: Stage, fields_by_table: Fields
) -> None:
    nothing = {"files": (), "accepted": 0}
    empty = stage("empty", **nothing)
    refused = stage("refused", **nothing, rejected=25, reject_reasons={"ragged": 25})
    report = _audit(fields_by_table, empty, stage("full"), refused)
    assert _failed(report) == {("refused", "deliveries/rejected_share_is_low")}


def test_a_batch_of_deliveries_without_any_file_is_judged(
    stage: Stage, fields_by_table: Fields
) -> None:
    lost = stage("lost", files=())
    assert _failed(_audit(fields_by_table, lost)) == {
        ("lost", "deliveries/files_hold_the_accepted_rows")
    }


def test_a_feed_that_measures_nothing_optional_passes(
    stage: Stage, fields_by_table: Fields
) -> None:
    nothing = dict.fromkeys(
        ["ttfb_ms", "duration_ms", "bytes_in", "bytes_out_body", "bytes_out_total"]
    )
    events = dict.fromkeys(["position", "propensity", "watch_ms"])
    report = _audit(
        fields_by_table, stage("requests", change=nothing), stage("events", REC, change=events)
    )
    assert _failed(report) == set()


def test_rejected_share_is_not_judged_under_twenty_data_lines(
    stage: Stage, fields_by_table: Fields
) -> None:
    small = stage("small", rows=10, rejected=9, reject_reasons={"ragged": 9})
    judged = stage("judged", rows=10, rejected=10, reject_reasons={"ragged": 10})
    at_bound = stage("at_bound", rows=38, rejected=2, reject_reasons={"ragged": 2})
    report = _audit(fields_by_table, small, judged, at_bound)
    assert _failed(report) == {("judged", "deliveries/rejected_share_is_low")}
    observed = {r.subject: r.observed for r in report.results if "rejected_sh" in r.check_name}
    assert observed == {
        "small": "not judged: data_lines < 20",
        "judged": "0.5",
        "at_bound": "0.05",
    }


def test_rows_under_another_delivery_id_fail_both_counts(
    stage: Stage, fields_by_table: Fields
) -> None:
    one, other = stage("one"), stage("other", change={"delivery_id": "one"}, only=3)
    rule = "deliveries/files_hold_the_accepted_rows"
    assert _failed(_audit(fields_by_table, one, other)) == {("one", rule), ("other", rule)}


def test_a_source_may_declare_its_own_threshold(
    stage: Stage, fields_by_table: Fields, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    bound = "        max: 0.05\n"
    text = DELIVERIES_FILE.read_text()
    assert bound in text
    rules.write_text(text.replace(bound, bound + "        sources: {lenient: {max: 0.5}}\n"))
    counts = {"rejected": 10, "reject_reasons": {"ragged": 10}}
    subjects = [stage("strict", **counts), stage("lenient", source="lenient", **counts)]
    report = delivery_audit(fields_by_table, rules_file=rules)(subjects)
    assert _failed(report) == {("strict", "deliveries/rejected_share_is_low")}
    bounds = {r.subject: r.expected for r in report.results if "rejected_sh" in r.check_name}
    assert bounds == {"strict": "between 0 and 0.05", "lenient": "between 0 and 0.5"}


def test_sixty_failing_deliveries_are_all_named(stage: Stage, fields_by_table: Fields) -> None:
    subjects = [stage(f"d{n:02}", rows=2, lines=99) for n in range(60)]
    report = _audit(fields_by_table, *subjects)
    assert len(report.failures) == 60


def test_hostile_text_never_reaches_a_result(stage: Stage, fields_by_table: Fields) -> None:
    text = "<script>alert('x')</script>"
    hostile = stage(
        "hostile",
        change={
            "customer": text,
            "cache_status": text,
            "user_agent": text,
            "cdn": "'; drop table x; --",
        },
        key=f"{text}.gz",
        file_name='it\'s "quoted" <b>.parquet',
        rejected=5,
        reject_reasons={text: 5},
    )
    report = _audit(fields_by_table, hostile)
    assert "cdn_requests/cache_status_is_in_vocabulary" in {rule for _, rule in _failed(report)}
    assert "<" not in repr(report.results).replace("<=", "")
    assert "script" not in repr(report.results)
    assert "drop" not in str(report.failures)


def test_an_audit_of_no_delivery_is_broken(fields_by_table: Fields) -> None:
    with pytest.raises(BrokenAuditError, match="given no subjects"):
        _audit(fields_by_table)


def test_a_delivery_given_twice_is_a_broken_audit(stage: Stage, fields_by_table: Fields) -> None:
    with pytest.raises(BrokenAuditError, match="Remove the repetitions"):
        _audit(fields_by_table, stage("one"), stage("one"))


def test_a_raising_profile_is_a_broken_audit_without_text_of_the_data(
    stage: Stage, fields_by_table: Fields
) -> None:
    vanished = stage("vanished", files=("/nowhere/<script>'.parquet",))
    with pytest.raises(BrokenAuditError, match="raised IOException") as caught:
        _audit(fields_by_table, stage("fine"), vanished)
    assert "script" not in str(caught.value)
    assert isinstance(caught.value.__cause__, duckdb.Error)


def test_a_table_without_schema_or_profile_is_a_broken_audit(
    stage: Stage, fields_by_table: Fields
) -> None:
    with pytest.raises(BrokenAuditError, match=r"no schema for tables \['bronze.rec_events'\]"):
        _audit({CDN: fields_by_table[CDN]}, stage("events", REC))
    stranger = {"bronze.other": fields_by_table[CDN]}
    subject = stage("other")
    renamed = DeliverySubject(**{**vars(subject), "table_name": "bronze.other"})
    with pytest.raises(BrokenAuditError, match=r"no profile for table bronze\.other"):
        _audit(stranger, renamed)


def test_a_schema_without_a_measured_column_is_a_broken_audit(
    stage: Stage, fields_by_table: Fields
) -> None:
    fewer = [f for f in fields_by_table[CDN] if f.name != "ttfb_ms"]
    with pytest.raises(BrokenAuditError, match="raised BinderException"):
        _audit({CDN: fewer}, stage("one"))
