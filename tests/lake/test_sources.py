"""Source files: what is wrong with one is said with file, field and remedy."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lake.formats import family_of
from lake.settings import PACKAGED_SOURCES
from lake.source import (
    ABSOLUTE_RANGE,
    Source,
    SourceError,
    load_source,
    load_sources,
    source_schema,
)

GOOD = """
name: feed
description: a feed
owner: team:tests
format: rec_events
landing: {prefix: in/}
"""
BROKEN = yaml.safe_load((Path(__file__).parent / "broken_sources.yaml").read_text())


@pytest.mark.parametrize("case", BROKEN, ids=[case["what"] for case in BROKEN])
def test_an_error_names_file_line_field_and_remedy(case, tmp_path):
    path = tmp_path / "feed.yaml"
    path.write_text(case["text"])
    with pytest.raises(SourceError) as found:
        load_sources(tmp_path)
    said = case["says"].removesuffix("\n")
    assert re.fullmatch(".+".join(map(re.escape, said.split("..."))), str(found.value)), found.value


def test_every_place_of_a_broken_file_is_a_line_of_it():
    assert len(BROKEN) >= 25
    for case in BROKEN:
        for said in case["says"].strip().splitlines():
            name, line, field, rest = said.split(":", 3)
            assert name == "feed.yaml"
            assert 1 <= int(line) <= case["text"].count("\n") + 1
            assert field.strip()
            assert "expected" in rest
            assert "found" in rest


def test_a_name_that_is_given_twice_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(GOOD)
    with pytest.raises(SourceError, match=r"b\.yaml:2: name: .*'feed', as in a\.yaml\. Rename"):
        load_sources(tmp_path)


@pytest.mark.parametrize(
    ("prefix", "suffix", "is_shared"),
    [("in/", "", True), ("", ".gz", True), ("in/eu/", ".log.gz", True), ("in_eu/", "", False),
     ("in/", ".csv", False)],
)  # fmt: skip
def test_two_sources_of_one_object_are_refused_for_it_would_count_twice(
    prefix, suffix, is_shared, tmp_path
):
    first = GOOD.replace("{prefix: in/}", "{prefix: in/, suffix: .gz}")
    second = f'name: other\nlanding: {{prefix: "{prefix}", suffix: "{suffix}"}}\n'
    kept = [line for line in GOOD.splitlines() if not line.startswith(("name", "landing"))]
    (tmp_path / "a.yaml").write_text(first)
    (tmp_path / "b.yaml").write_text(second + "\n".join(kept))
    if is_shared:
        with pytest.raises(SourceError, match=r"b\.yaml:2: landing: .*'feed' \(a\.yaml: 'in/'"):
            load_sources(tmp_path)
    else:
        assert set(load_sources(tmp_path)) == {"feed", "other"}


def test_sources_of_different_tables_may_share_their_objects(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    other = GOOD.replace("name: feed", "name: other").replace("rec_events", "cloudfront_v1")
    (tmp_path / "b.yaml").write_text(other)
    assert set(load_sources(tmp_path)) == {"feed", "other"}


def test_a_source_file_that_would_not_be_read_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yml").write_text(GOOD)
    with pytest.raises(SourceError, match=r"b\.yml:1: file: .*Rename it to b\.yaml"):
        load_sources(tmp_path)


def test_a_folder_without_source_files_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no source files.*WEIR_SOURCES"):
        load_sources(tmp_path)


def test_a_source_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(GOOD.encode() + b"# caf\xe9\n")
    with pytest.raises(SourceError, match=r"yaml:7: file: expected UTF-8, found the byte 0xe9"):
        load_source(path)


def test_a_log_is_no_source_file(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"a" * 300_000)
    with pytest.raises(SourceError, match=r"broken\.yaml:1: .*at most 262144 bytes"):
        load_source(path)


def test_a_file_that_is_not_there_is_said_plainly(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.yaml: .*No such file.*Check the name"):
        load_source(tmp_path / "gone.yaml")


def test_the_schema_knows_what_the_loader_knows():
    schema = source_schema()
    assert set(schema["properties"]) == set(Source.model_fields)
    assert schema["additionalProperties"] is False
    rule = schema["$defs"]["DurationRule"]
    assert rule["required"] == ["unit"]
    assert "from" in rule["properties"]


def test_an_unknown_format_is_named_with_those_that_are_known():
    with pytest.raises(KeyError, match=r"'gopher' is not known; expected one of .*cloudfront_v1"):
        family_of("gopher")


FLARE = "20261116T100000Z_20261116T100500Z_ab.log.gz"
EVENT = "rec_events/dt=2026-11-16/hour=07/rec-eu-1-900.ndjson.gz"
NAMES = [
    ("cloudfront", "cloudfront/E2EXAMPLE.2026-11-16-10.a1b2c3d4.gz", "10:00", 60, "E2EXAMPLE"),
    ("cloudfront", "cloudfront/deep/er/E2.2026-11-16-23.x.gz", "23:00", 60, "E2"),
    ("cloudfront", "E2.2026-11-16-00.x.gz", "00:00", 60, "E2"),
    ("cloudflare", f"cloudflare/20261116/{FLARE}", "10:00", 5, None),
    ("rec_events", EVENT, "07:00", 60, "rec-eu-1"),
]


@pytest.mark.parametrize(("source", "key", "start", "minutes", "producer"), NAMES)
def test_a_name_declares_period_and_producer(source, key, start, minutes, producer):
    feed = load_sources(PACKAGED_SOURCES)[source]
    facts = feed.name_facts(key)
    begin = datetime.fromisoformat(f"2026-11-16T{start}:00+00:00")
    assert (facts.period_start, facts.producer) == (begin, producer)
    assert facts.period_end == begin + timedelta(minutes=minutes)
    assert facts.not_before == begin - feed.period.early
    assert facts.not_after == facts.period_end + feed.period.late


@pytest.mark.parametrize(
    ("source", "key", "producer"),
    [
        ("cloudfront", "cloudfront/E2.2026-02-30-10.x.gz", "E2"),
        ("cloudfront", "cloudfront/E2.2026-11-16-24.x.gz", "E2"),
        ("cloudfront", "cloudfront/E2.2026-13-01-00.x.gz", "E2"),
        ("cloudflare", "cloudflare/20260230T000000Z_20260301T000000Z_a.log.gz", None),
        ("rec_events", "rec_events/dt=2026-11-31/hour=07/rec-1-9.ndjson.gz", "rec-1"),
        ("cloudfront", "cloudfront/notes.txt", None),
        ("cloudfront", "cloudfront/E2.2026-11-16-10.x.gz.part", None),
        ("rec_events", "rec_events/dt=2026-11-16/hour=7/rec-1-9.ndjson.gz", None),
    ],
)
def test_a_name_that_is_no_date_declares_no_period(source, key, producer):
    facts = load_sources(PACKAGED_SOURCES)[source].name_facts(key)
    assert (facts.period_start, facts.period_end, facts.producer) == (None, None, producer)
    assert (facts.not_before, facts.not_after) == ABSOLUTE_RANGE


def test_a_period_that_ends_before_it_starts_is_none():
    feed = load_sources(PACKAGED_SOURCES)["cloudflare"]
    facts = feed.name_facts("20261116T100500Z_20261116T100000Z_a.log.gz")
    assert (facts.period_start, facts.period_end) == (None, None)


def test_a_period_at_the_end_of_time_is_cut_to_what_makes_sense():
    feed = load_sources(PACKAGED_SOURCES)["cloudfront"]
    assert feed.name_facts("E2.9999-12-31-23.x.gz").period_start is None
    assert feed.name_facts("E2.0001-01-01-00.x.gz").period_start is None
    early = feed.name_facts("E2.2005-01-01-00.x.gz")
    assert early.not_before == datetime(2005, 1, 1, tzinfo=UTC)


def test_packaged_sources_are_complete():
    feeds = load_sources(PACKAGED_SOURCES)
    assert set(feeds) == {"cloudfront", "cloudflare", "rec_events"}
    for feed in feeds.values():
        assert feed.period is not None
        assert feed.cadence is not None
        assert family_of(feed.format)
