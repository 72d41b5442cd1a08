"""Each incident alone: what it does to the files, and what the ledger says of it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator import Incident, Plan

RunWith = Callable[..., Plan]


def versions(plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = plan.ledger.files.to_pylist()
    return rows


def fates(plan: Plan) -> Counter[str]:
    return Counter(row["fate"] for row in versions(plan))


def missing(plan: Plan) -> int:
    """Return how many viewer requests and recommendation events never arrive."""
    traffic, events = plan.ledger.traffic_5m, plan.ledger.engagement_hourly
    requests = sum(traffic["requests_generated"].to_pylist()) - sum(
        traffic["requests_delivered"].to_pylist()
    )
    kinds = ("impressions", "clicks", "plays", "likes")
    return requests + sum(
        sum(events[f"{kind}_generated"].to_pylist()) - sum(events[f"{kind}_delivered"].to_pylist())
        for kind in kinds
    )


def test_every_incident_is_reported_in_a_run_of_a_few_thousand_lines(disturbed: Any) -> None:
    assert {one.kind for one in disturbed.plan.incidents} == set(Incident)


@pytest.mark.parametrize("kind", list(Incident))
def test_an_incident_alone_is_the_only_one_reported(run_with: RunWith, kind: Incident) -> None:
    assert {one.kind for one in run_with(kind).incidents} == {kind}


def test_no_incident_means_one_whole_version_of_each_key(quiet: Any) -> None:
    assert fates(quiet.plan).keys() == {"loaded"}
    assert {row["version"] for row in versions(quiet.plan)} == {1}
    assert quiet.plan.incidents == ()
    assert quiet.plan.last_arrival_at <= quiet.plan.on_time_until


def test_incidents_that_do_not_fit_are_absent(run_with: RunWith) -> None:
    tiny = run_with(*Incident, lines=200, hours=1)
    assert Incident.SILENT_PRODUCER not in {one.kind for one in tiny.incidents}


def test_late_files_arrive_unchanged_after_everything_on_time(run_with: RunWith) -> None:
    plan = run_with(Incident.LATE)
    late = {key for one in plan.incidents for key in one.keys}
    assert late
    for one in plan.arrivals:
        assert one.at is not None
        assert (one.at > plan.on_time_until) == (one.key in late)
    assert missing(plan) == 0
    hours = {one.key: one for one in plan.arrivals if one.feed == "rec_events"}
    for key in late & hours.keys():
        end = plan.scenario.start + timedelta(hours=int(key.split("hour=")[1][:2]) + 1)
        at = hours[key].at
        assert at is not None
        assert timedelta(hours=6) <= at - end <= timedelta(hours=26)


def test_a_late_stretch_of_a_longer_run_is_contiguous(larger: Any) -> None:
    report = next(one for one in larger.plan.incidents if one.name == "late-cloudflare")
    starts = sorted(key.split("/")[2].split("_")[0] for key in report.keys)
    assert len(starts) > 3
    assert len({start[:11] for start in starts}) == 1


def test_duplicates_carry_equal_bytes_and_no_new_rows(run_with: RunWith) -> None:
    plan = run_with(Incident.DUPLICATE)
    again = [one for one in plan.arrivals if one.fate == "duplicate"]
    assert {one.key == one.same_content_as for one in again} == {True, False}
    first = {one.key: one for one in plan.arrivals if one.fate == "loaded"}
    for one in again:
        assert one.same_content_as is not None
        original = first[one.same_content_as]
        assert one.data == original.data
        assert one.at is not None
        assert original.at is not None
        assert one.at > original.at
        assert original.key.rsplit("/", 1)[0] == one.key.rsplit("/", 1)[0]
    assert missing(plan) == 0


def test_a_redelivered_file_has_a_later_mtime(run_with: RunWith, tmp_path: Path) -> None:
    plan = run_with(Incident.REDELIVERED)
    plan.deliver(tmp_path, None, plan.on_time_until)
    before = {path: path.stat().st_mtime for path in tmp_path.rglob("*.gz")}
    second = plan.deliver(tmp_path, plan.on_time_until, plan.last_arrival_at)
    changed = [path for path, mtime in before.items() if path.stat().st_mtime > mtime]
    assert len(changed) == second.files == 3
    assert {path.relative_to(tmp_path).as_posix() for path in changed} == {
        key for one in plan.incidents for key in one.keys
    }


def test_redelivery_replaces_rows_and_the_last_version_counts(run_with: RunWith) -> None:
    plan = run_with(Incident.REDELIVERED)
    rows = {one.name: [v for v in versions(plan) if v["key"] in one.keys] for one in plan.incidents}
    for first, second in rows.values():
        assert (first["fate"], second["fate"]) == ("replaced", "loaded")
        assert (first["is_final_version"], second["is_final_version"]) == (False, True)
    emptied, grown = rows["redelivered-emptied"], rows["redelivered-grown"]
    reduced = rows["redelivered-reduced"]
    assert (emptied[1]["lines_good"], emptied[1]["lines_header"]) == (0, 2)
    assert 1.05 <= grown[1]["lines_good"] / grown[0]["lines_good"] <= 1.2
    assert 0.93 <= reduced[1]["lines_good"] / reduced[0]["lines_good"] <= 0.97
    dropped = reduced[0]["lines_good"] - reduced[1]["lines_good"]
    assert missing(plan) == emptied[0]["lines_good"] + dropped


def test_a_truncated_file_counts_only_once_it_comes_whole(run_with: RunWith) -> None:
    plan = run_with(Incident.TRUNCATED)
    rejected = [one for one in plan.arrivals if one.fate == "rejected"]
    assert len(rejected) == 2
    for one in rejected:
        with pytest.raises(EOFError):
            gzip.decompress(one.data)
    healed = {one.key for one in plan.arrivals if one.fate == "loaded"}
    assert len([one for one in rejected if one.key in healed]) == 1
    assert missing(plan) > 0
    for row in versions(plan):
        assert (row["lines_physical"] is None) == (row["fate"] == "rejected")


def test_a_lost_file_is_listed_and_never_written(run_with: RunWith, tmp_path: Path) -> None:
    plan = run_with(Incident.LOST)
    written = plan.deliver(tmp_path, None, plan.last_arrival_at)
    lost = [row for row in versions(plan) if row["fate"] == "lost"]
    assert len(lost) == 2
    assert all(row["arrival_at"] is None for row in lost)
    assert not any((tmp_path / row["key"]).exists() for row in lost)
    assert written.files == len(versions(plan)) - 2
    assert missing(plan) > 0


def test_malformed_lines_are_extra_and_disturb_no_good_row(larger: Any, run_with: RunWith) -> None:
    plan = run_with(Incident.MALFORMED)
    assert missing(plan) == 0
    for feed, totals in larger.plan.ledger.totals.items():
        assert all(totals.malformed.values()), feed
        assert totals.lines_blank > 0
        assert sum(totals.malformed.values()) < 0.01 * totals.lines_physical or feed != "rec_events"


def test_garbled_files_are_held_and_come_clean_after_everything_on_time(run_with: RunWith) -> None:
    plan = run_with(Incident.GARBLED)
    held = [row for row in versions(plan) if row["fate"] == "held_then_replaced"]
    assert sorted(row["feed"] for row in held) == ["cloudflare", "cloudfront"]
    for row in held:
        size = row["lines_good"] + row["wrong_type"]
        assert abs(row["wrong_type"] / size - 0.3) < 0.05
    clean = [row for row in versions(plan) if row["version"] == 2]
    assert all(row["arrival_at"] > plan.on_time_until for row in clean)
    assert missing(plan) == 0


def test_silence_leaves_rows_out_and_no_file_behind(run_with: RunWith, tmp_path: Path) -> None:
    plan = run_with(Incident.SILENT_PRODUCER)
    assert missing(plan) > 0
    names = [one.key for one in plan.arrivals if one.feed == "rec_events"]
    assert len([name for name in names if "feed-a" in name]) == 3
    assert len([name for name in names if "feed-b" in name]) == 2
    traffic = plan.ledger.traffic_5m.to_pylist()
    short = {row["pop"] for row in traffic if row["requests_delivered"] < row["requests_generated"]}
    assert short == {"CDG50-P4"}


def test_an_overlap_repeats_two_files_and_counts_each_row_once(run_with: RunWith) -> None:
    plan = run_with(Incident.OVERLAP)
    (report,) = plan.incidents
    one, two, union = (next(a for a in plan.arrivals if a.key == key) for key in report.keys)
    assert gzip.decompress(union.data) == gzip.decompress(one.data) + gzip.decompress(two.data)
    assert missing(plan) == 0
