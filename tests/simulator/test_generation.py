"""What a run generates: determinism, sizes, sequence numbers, and the vendors' own forms."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import maxminddb
import pytest

from simulator import Incident, Plan, Scenario, simulate
from simulator.cloudfront import FIELDS
from simulator.geo import GEO_FILES

RunWith = Callable[..., Plan]


def contents(landing: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(landing).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in landing.rglob("*")
        if path.is_file()
    }


def rows_of(run: Any, feed: str) -> list[str]:
    lines = []
    for path in sorted((run.landing / feed).rglob("*.gz")):
        lines += gzip.decompress(path.read_bytes()).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_equal_arguments_give_equal_bytes(
    run_with: RunWith, disturbed: Any, tmp_path: Path
) -> None:
    plan = run_with(*Incident)
    plan.deliver(tmp_path, None, plan.last_arrival_at)
    assert contents(tmp_path) == contents(disturbed.landing)
    assert plan.incidents == disturbed.plan.incidents


def test_another_seed_gives_other_bytes(run_with: RunWith, quiet: Any) -> None:
    other = {one.data for one in run_with(seed=8).arrivals}
    assert not other & {one.data for one in quiet.plan.arrivals}


@pytest.mark.parametrize(("lines", "hours"), [(2_000, 3), (5_000, 3), (20_000, 30)])
def test_line_counts_are_close_to_what_was_asked(lines: int, hours: int) -> None:
    plan = simulate(Scenario(lines=lines, hours=hours, incidents=frozenset()))
    totals = {feed: one.lines_good for feed, one in plan.ledger.totals.items()}
    assert abs(sum(totals.values()) - lines) <= 0.05 * lines
    assert abs(totals["cloudfront"] - 0.40 * lines) <= 0.05 * lines
    assert abs(totals["cloudflare"] - 0.35 * lines) <= 0.05 * lines
    assert abs(totals["rec_events"] - 0.25 * lines) <= 0.05 * lines


@pytest.mark.parametrize("month", range(1, 13))
def test_a_run_may_start_in_any_month(month: int) -> None:
    start = datetime(2027, month, 1, tzinfo=UTC) - timedelta(hours=1)
    plan = simulate(Scenario(start=start, hours=3, lines=1_000))
    months = set(plan.ledger.usage_monthly["month"].to_pylist())
    assert months == {start.date().replace(day=1), datetime(2027, month, 1, tzinfo=UTC).date()}


def test_sequence_numbers_have_no_gap_as_generated(quiet: Any) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    for line in rows_of(quiet, "rec_events"):
        event = json.loads(line)
        seen[event["producer"]].append(event["seq"])
    assert seen.keys() == {"feed-a", "feed-b", "feed-c"}
    for numbers in seen.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_file_of_events_is_named_by_its_first_sequence_number(quiet: Any) -> None:
    for path in (quiet.landing / "rec_events").rglob("*.gz"):
        first = json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])
        producer, _, number = path.name.removesuffix(".ndjson.gz").rpartition("-")
        assert (producer, int(number)) == (first["producer"], first["seq"])


def test_row_ids_are_unique(quiet: Any) -> None:
    rays = [json.loads(line)["RayID"] for line in rows_of(quiet, "cloudflare")]
    events = [json.loads(line)["event_id"] for line in rows_of(quiet, "rec_events")]
    requests = [line.split("\t")[14] for line in rows_of(quiet, "cloudfront")]
    for ids, length in ((rays, 16), (events, 32), (requests, 56)):
        assert len(set(ids)) == len(ids)
        assert {len(one) for one in ids} == {length}


def test_cloudfront_lines_have_the_documented_columns(quiet: Any) -> None:
    assert len(FIELDS) == 33
    for path in (quiet.landing / "cloudfront").iterdir():
        version, fields, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert version == "#Version: 1.0"
        assert fields.removeprefix("#Fields: ").split() == list(FIELDS)
        ends = [line[:19] for line in lines]
        assert ends != sorted(ends)
        for line in lines:
            assert line.count("\t") == 32
            assert " " not in line
            assert '"' not in line


def test_every_kind_of_outcome_occurs_in_a_larger_run(larger: Any) -> None:
    found = larger.found.requests.values()
    on_cloudfront = {row["status"] for row in found if row["cdn"] == "cloudfront"}
    assert on_cloudfront >= {0, 200, 206, 301, 304, 403, 404, 416, 500, 502, 503}
    assert 499 in {row["status"] for row in found if row["cdn"] == "cloudflare"}
    states = Counter(row["state"] for row in found)
    assert len(states) == 9
    assert 0.6 < states["HIT"] / sum(states.values()) < 0.95


def test_worker_subrequests_point_at_a_viewer_row(quiet: Any) -> None:
    rows = [json.loads(line) for line in rows_of(quiet, "cloudflare")]
    viewers = {row["RayID"] for row in rows if row["ParentRayID"] == "00"}
    children = [row for row in rows if row["ParentRayID"] != "00"]
    assert children
    assert all(row["ParentRayID"] in viewers and row["WorkerSubrequest"] for row in children)


def test_cmcd_of_both_vendors_decodes_to_sorted_keys(quiet: Any) -> None:
    queries = [unquote(line.split("\t")[11]) for line in rows_of(quiet, "cloudfront")]
    queries += [
        json.loads(line)["ClientRequestURI"].partition("?")[2]
        for line in rows_of(quiet, "cloudflare")
    ]
    dictionaries = [parse_qs(query)["CMCD"][0] for query in queries if "CMCD" in query]
    assert len(dictionaries) > 0.5 * len(queries)
    for text in dictionaries:
        keys = [part.partition("=")[0] for part in text.split(",")]
        assert keys == sorted(keys)
        assert {"br", "cid", "d", "ot", "sf", "sid", "st"} <= set(keys)


def test_recommendation_sessions_and_items_meet_the_delivery_logs(quiet: Any) -> None:
    delivered = "\n".join(json.loads(x)["ClientRequestURI"] for x in rows_of(quiet, "cloudflare"))
    events = [json.loads(line) for line in rows_of(quiet, "rec_events")]
    played = {(e["session_id"], e["item_id"]) for e in events if e["event_type"] == "play"}
    assert any(session in delivered and item in delivered for session, item in played)


def test_no_draft_is_left_behind_and_mtimes_are_arrivals(disturbed: Any) -> None:
    files = [path for path in disturbed.landing.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    last = {one.key: one.at for one in disturbed.plan.arrivals if one.at}
    for path in files:
        key = path.relative_to(disturbed.landing).as_posix()
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC) == last[key]


def test_deliveries_of_adjoining_spans_add_up(run_with: RunWith, tmp_path: Path) -> None:
    plan = run_with(*Incident)
    middle = plan.scenario.start + timedelta(hours=2)
    one = plan.deliver(tmp_path, None, middle)
    two = plan.deliver(tmp_path, middle, plan.last_arrival_at)
    whole = plan.deliver(tmp_path / "at-once", None, plan.last_arrival_at)
    assert one.files > 0
    assert one.files + two.files == whole.files
    assert one.lines + two.lines == whole.lines
    assert one.bytes + two.bytes == whole.bytes


def test_the_geo_files_say_where_every_client_is(quiet: Any, tmp_path: Path) -> None:
    paths = quiet.plan.write_geo(tmp_path / "geo")
    assert [p.name for p in paths] == list(GEO_FILES)
    country, network = (maxminddb.open_database(path) for path in paths)
    for line in rows_of(quiet, "cloudflare"):
        one = json.loads(line)
        assert country.get(one["ClientIP"])["country"]["iso_code"].lower() == one["ClientCountry"]
        assert network.get(one["ClientIP"])["autonomous_system_number"] == one["ClientASN"]
    assert country.get("203.0.113.9") is None
    again = quiet.plan.write_geo(tmp_path / "again")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start": datetime(2026, 11, 16, 0, 30, tzinfo=UTC)}, "whole hour"),
        ({"hours": 0}, "hours"),
        ({"lines": 10}, "lines"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_impossible_scenario_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scenario(**parameters)
