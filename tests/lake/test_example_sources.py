"""The example sources of the documentation are complete, and their files have names that speak."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.formats import family_of
from lake.settings import PACKAGED_SOURCES
from lake.source import load_source, load_sources

EXAMPLES = Path(__file__).parents[2] / "docs/sources"
FILES = sorted(p.name for p in EXAMPLES.glob("*.yaml"))
FEEDS = ("player_beacons", "experiment_assignments", "items", "creators", "cmcd_events")


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_complete(name):
    source = load_source(EXAMPLES / name)
    assert source.name == name.removesuffix(".yaml")
    assert family_of(source.format)
    assert source.period is not None
    assert source.cadence is not None
    assert source.description


def test_examples_and_packaged_sources_go_together():
    examples, packaged = load_sources(EXAMPLES), load_sources(PACKAGED_SOURCES)
    assert not set(examples) & set(packaged)
    prefixes = [s.landing.prefix for s in (*examples.values(), *packaged.values())]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize("feed", FEEDS)
def test_the_name_of_a_feeds_file_says_hour_and_producer(feed):
    source = load_source(EXAMPLES / f"{feed}.yaml")
    end = "log" if feed == "cmcd_events" else "ndjson"
    facts = source.name_facts(f"{feed}/dt=2026-11-16/hour=10/eu-1-900.{end}.gz")
    assert facts.producer == "eu-1"
    assert facts.period_start == datetime(2026, 11, 16, 10, tzinfo=UTC)
    assert facts.period_end == datetime(2026, 11, 16, 11, tzinfo=UTC)
