"""What players and the service say agrees with the requests and events of the same run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from isal import igzip

from simulator import Plan, Scenario, simulate
from simulator.outcomes import VIDEO

from .conftest import START

FEEDS = ("player_beacons", "cmcd_events", "experiment_assignments", "items", "creators")
SCENARIO = Scenario(7, START, 3, 6_000, frozenset(), feeds=True)


@pytest.fixture(scope="module")
def fed() -> Plan:
    return simulate(SCENARIO)


def lines_of(plan: Plan, *feeds: str) -> list[str]:
    return [
        line
        for one in plan.arrivals
        if one.feed in feeds and one.same_content_as is None
        for line in igzip.decompress(one.data).decode().splitlines()
        if not line.startswith("#")
    ]


def objects(plan: Plan, feed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(plan, feed)]


def test_the_logs_do_not_depend_on_whether_the_feeds_speak(fed):
    plain = simulate(replace(SCENARIO, feeds=False))
    logs = [a for a in fed.arrivals if a.feed not in FEEDS]
    assert [(a.key, a.at, a.data) for a in logs] == [(a.key, a.at, a.data) for a in plain.arrivals]
    assert plain.feeds is None
    assert {a.feed for a in fed.arrivals if a.feed in FEEDS} == set(FEEDS)


def test_equal_scenarios_say_equal_bytes(fed):
    again = simulate(SCENARIO)
    assert [(a.key, a.at, a.data) for a in again.arrivals] == [
        (a.key, a.at, a.data) for a in fed.arrivals
    ]


@pytest.mark.parametrize("hours", [1, 2])
def test_a_short_run_speaks_too(hours):
    plan = simulate(Scenario(3, START, hours, 500, frozenset(), feeds=True))
    assert {a.feed for a in plan.arrivals} >= set(FEEDS)


def test_players_play_the_sessions_of_the_logs(fed):
    beacons = objects(fed, "player_beacons")
    reported = {line.split('sid="')[1][:36] for line in lines_of(fed, "cmcd_events")}
    named = {one["session_id"] for one in beacons}
    assert not named & reported
    logged = {
        text.split('sid="')[1][:36]
        for text in (unquote(unquote(t)) for t in lines_of(fed, "cloudfront", "cloudflare"))
        if 'sid="' in text
    }
    assert logged
    assert logged <= named | reported
    contents = defaultdict(set)
    for one in beacons:
        contents[one["session_id"]].add(one["content_id"])
    played = [e for e in objects(fed, "rec_events") if e["session_id"] in named]
    assert any(e["item_id"] in contents[e["session_id"]] for e in played)


def test_a_stall_is_a_request_that_found_the_buffer_empty(fed):
    requests, sessions = fed.world.requests, fed.world.sessions
    starved = requests.is_starved & (requests.kind == VIDEO)
    begun = {
        (sessions.ids[session], end_us // 1_000)
        for session, end_us in zip(
            requests.session[starved].tolist(), requests.end_us[starved].tolist(), strict=True
        )
    }
    ends = [
        (one["session_id"], one["ts_ms"])
        for one in objects(fed, "player_beacons")
        if "stall_ms" in one
    ]
    assert ends
    assert set(ends) <= begun


def test_a_players_story_is_in_order(fed):
    stories = defaultdict(dict)
    for one in objects(fed, "player_beacons"):
        stories[one["session_id"]][one["event_id"]] = one
    truth = {r["session_id"]: r for r in fed.feeds.sessions.to_pylist()}
    for session, events in stories.items():
        told = sorted(events.values(), key=lambda e: e["seq"])
        assert told == sorted(told, key=lambda e: e["ts_ms"])
        kinds = Counter(e["event"] for e in told)
        assert (told[0]["event"], kinds["playbackRequest"]) == ("playbackRequest", 1)
        assert told[-1]["event"] in ("playbackFinish", "playbackFail")
        assert kinds["playbackFinish"] + kinds["playbackFail"] == 1
        assert kinds["playbackStall"] == truth[session]["stalls"]
        positions = [e["position_ms"] for e in told]
        assert positions == sorted(positions)


def test_events_name_the_variant_that_their_user_was_assigned(fed):
    assigned: dict[str, tuple[str, int]] = {}
    for one in sorted(objects(fed, "experiment_assignments"), key=lambda a: a["seq"]):
        first = assigned.setdefault(one["unit_id"], (one["variant"], one["assigned_at_ms"]))
        assert first[0] == one["variant"]
    seen = 0
    for event in objects(fed, "rec_events"):
        if event["experiment"] is None:
            assert event["user_id"] not in assigned
        else:
            variant, at_ms = assigned[event["user_id"]]
            assert event["experiment"]["variant"] == variant
            assert at_ms <= event["event_ts_ms"]
            seen += 1
    assert seen > 100


def test_the_catalogue_holds_every_item_and_creator_of_the_events(fed):
    items = {i["item_id"]: i for i in objects(fed, "items") if i["change"] == "snapshot"}
    creators = {c["creator_id"] for c in objects(fed, "creators") if c["change"] == "snapshot"}
    for event in objects(fed, "rec_events"):
        item = items[event["item_id"]]
        assert item["creator_id"] == event["creator_id"]
        assert item.get("duration_ms", event["item_duration_ms"]) == event["item_duration_ms"]
        assert event["creator_id"] in creators
    kinds = Counter(i["change"] for i in objects(fed, "items"))
    assert kinds["upsert"] > 0
    assert kinds["delete"] == 1


def test_the_truth_is_written_beside_the_rest(fed, tmp_path):
    fed.write_truth(tmp_path)
    assert {"feed_rows.parquet", "playbacks.parquet"} <= {p.name for p in tmp_path.iterdir()}
