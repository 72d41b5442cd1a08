"""The example sources of the documentation are complete, and name what their vendors write."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from lake.formats import family_of
from lake.settings import PACKAGED_SOURCES
from lake.source import load_source, load_sources

EXAMPLES = Path(__file__).parents[2] / "docs/sources"
FILES = sorted(p.name for p in EXAMPLES.glob("*.yaml"))
AZURE = "insights-logs-frontdooraccesslog/resourceId=/SUBSCRIPTIONS/S/PROVIDERS/X/PROFILES/P1"
NAMES = [
    ("akamai", "akamai/2026/11/16/10/ak-12345-1794823205-ds.gz", None),
    ("akamai_structured", "akamai_structured/2026/11/16/10/ak-12345-1794823205-ds.gz", None),
    ("gcp", "gcp/requests/2026/11/16/10:00:00_10:59:59_S0.json", None),
    ("gcp", "gcp/requests/2026/11/16/10:00:00_10:59:59_A1.json", None),
    ("azure", f"{AZURE}/y=2026/m=11/d=16/h=10/m=00/PT1H.json", "P1"),
]


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_complete(name):
    source = load_source(EXAMPLES / name)
    assert source.name == name.removesuffix(".yaml")
    assert family_of(source.format)
    assert source.period is not None
    assert source.cadence is not None
    assert source.description


def test_examples_and_packaged_sources_go_together():
    examples = load_sources(EXAMPLES)
    packaged = load_sources(PACKAGED_SOURCES)
    assert not set(examples) & set(packaged)
    prefixes = [s.landing.prefix for s in (*examples.values(), *packaged.values())]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(("name", "key", "producer"), NAMES)
def test_an_example_reads_period_and_producer_out_of_a_key(name, key, producer):
    source = load_sources(EXAMPLES)[name]
    assert key.startswith(source.landing.prefix)
    facts = source.name_facts(key)
    assert facts.period_start == datetime.fromisoformat("2026-11-16T10:00:00+00:00")
    assert facts.producer == producer
