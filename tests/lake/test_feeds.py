"""Feeds beside requests and events: from a landed file to bronze, by the examples of the docs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.feeds import FEEDS
from lake.formats import FEED_FAMILIES
from lake.records import REC_EVENTS
from lake.source import load_sources

EXAMPLES = Path(__file__).parents[2] / "docs/sources"
AT = datetime(2026, 11, 16, 11, 5, tzinfo=UTC)


@pytest.fixture
def fed(box):
    """Give a lake whose sources are the packaged ones and the examples of these feeds."""
    examples = {f.name: load_sources(EXAMPLES)[f.name] for f in FEED_FAMILIES}
    return replace(box, sources={**box.sources, **examples})


def key_of(feed: str, number: int = 1) -> str:
    end = "log" if feed == "cmcd_events" else "ndjson"
    return f"{feed}/dt=2026-11-16/hour=10/eu-{number}.{end}.gz"


def test_every_feed_comes_into_its_table_once_and_makes_no_hour_stale(fed, make):
    for family in FEED_FAMILIES:
        lines = [make.numbered(family.name, n) for n in range(3)]
        data = make.file(family.name, [*lines, b"broken", b"", lines[0]])
        fed.land(key_of(family.name), data, AT)
        fed.land(key_of(family.name, 2), data, AT)  # the same content under another name
    report = fed.run(*FEEDS)
    assert report.by_state == {"loaded": 5, "duplicate": 5}
    counts = {r.identifier: fed.count(r.identifier) for r in FEEDS}
    assert counts == {
        "bronze.player_events": 8,
        "bronze.experiment_assignments": 4,
        "bronze.items": 4,
        "bronze.creators": 4,
    }
    for record in FEEDS:
        [(keys,)] = fed.sql("select count(distinct row_key) from {}", record.identifier)
        assert keys == counts[record.identifier] * 3 // 4  # a line twice is one row
    assert fed.count("ops.rejects") == 5
    assert fed.versions() == {}
    assert fed.run(*FEEDS).changes == ()


def test_a_person_has_one_name_in_all_feeds(fed, make):
    fed.land(key_of("player_beacons"), make.file("player_beacons", [make.line("player_beacons")]))
    feed = "experiment_assignments"
    fed.land(key_of(feed), make.file(feed, [make.line(feed)]))
    fed.land(key_of("rec_events"), make.file("rec_events", [make.line("rec_events")]))
    fed.run(*FEEDS, REC_EVENTS)
    names = fed.sql(
        "select user_key from {} union all select user_key from {} union all select user_key "
        "from {}",
        "bronze.player_events",
        f"bronze.{feed}",
        "bronze.rec_events",
    )
    assert len(names) == 3
    assert len(set(names)) == 1
    assert "user-0042" not in str(names)


def test_tokens_in_a_players_report_reach_no_column(parse, make):
    secret = "s3cretT0ken"
    url = f"https://cdn.example/a.m4s?token={secret}"
    line = make.line(
        "cmcd_events",
        {
            "cid": f'cid="{url}"',
            "own": f'com.example-a="{secret}",cdn="{url}",h="{secret}",nor="{url}",url="{url}"',
        },
    )
    rows = parse("cmcd_events", line).rows
    assert len(rows) == 1
    assert secret not in repr(rows)
