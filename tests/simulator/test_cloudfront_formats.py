"""The same requests in every log that CloudFront writes become the same rows."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lake.columnar import parser_of
from lake.formats import family_of
from lake.parse import Constants
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.source import ABSOLUTE_RANGE, LandingSpec, Source
from simulator.audience import make_sessions
from simulator.cloudfront import HEADER, CloudFrontWriter
from simulator.cloudfront_realtime import FIELDS, CloudFrontRealtimeWriter
from simulator.cloudfront_v2 import CloudFrontV2Writer
from simulator.scenario import Scenario
from simulator.traffic import make_requests
from simulator.world import CLOUDFRONT

#: what differs by nature: which log and line it was, and what is made of it
LINEAGE = ("parser_version", "source_line", "row_key", "event_time_precision")
#: what a log of version 1 has no field for
NOT_IN_V1 = ("asn", "country", "origin_ttfb_ms", "origin_duration_ms")
TIMES = ("event_time", "end_time")


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def parsed(family: str, data: bytes, **changes: Any) -> list[dict[str, Any]]:
    source = Source(
        name="feed", description="d", owner="o", format=family,
        landing=LandingSpec(prefix=""), **changes,
    )  # fmt: skip
    parser = parser_of(source, family_of(family), Protection(Keyring.of(b"a key of the tests")))
    tables: list[Any] = []
    now = datetime(2026, 11, 20, tzinfo=UTC)
    constants = Constants("d", now, None, *ABSOLUTE_RANGE)
    totals = parser.parse(io.BytesIO(data), "in/a", len(data), constants, tables.append)
    parser.close()
    assert (totals.rejected, totals.unknown_fields) == (0, set())
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["source_line"])


@pytest.fixture(scope="module")
def found() -> dict[str, list[dict[str, Any]]]:
    scenario = Scenario(seed=11, hours=1, lines=6_000)
    sessions = make_sessions(scenario, scenario.cdn_lines, 1.0)
    requests = make_requests(scenario, sessions, 50)
    rows = requests.take(np.flatnonzero(requests.cdn == CLOUDFRONT)[:3_000])
    assert len(rows) == 3_000
    v2 = CloudFrontV2Writer(scenario.seed, sessions)
    v1_lines = CloudFrontWriter(scenario.seed, sessions).lines(rows)
    realtime = CloudFrontRealtimeWriter(scenario.seed, sessions).lines(rows)
    return {
        "v1": parsed("cloudfront_v1", text([*HEADER, *v1_lines])),
        "json": parsed("cloudfront_v2", text(v2.lines(rows))),
        "parquet": parsed("cloudfront_v2", v2.parquet(rows), container="parquet"),
        "realtime": parsed("cloudfront_realtime", text(realtime), fields=FIELDS),
    }


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in names} for row in rows]


def test_json_and_parquet_give_equal_rows(found):
    assert found["json"] == found["parquet"]


def test_a_real_time_log_gives_the_rows_of_version_2(found):
    assert without(found["realtime"], *LINEAGE) == without(found["json"], *LINEAGE)
    with_cmcd = [r for r in found["realtime"] if r["cmcd"] and r["cmcd"]["sid"]]
    assert len(with_cmcd) > 1_000


def test_version_1_gives_the_same_up_to_what_it_cannot_carry(found):
    left_out = (*LINEAGE, *NOT_IN_V1, *TIMES)
    assert without(found["v1"], *left_out) == without(found["json"], *left_out)
    assert {r["asn"] for r in found["v1"]} == {None}
    assert None not in {r["asn"] for r in found["json"]}


def test_version_1_stamps_the_whole_second_of_the_end(found):
    for coarse, fine in zip(found["v1"], found["json"], strict=True):
        assert coarse["end_time"] == fine["end_time"].replace(microsecond=0)
        assert timedelta(0) <= fine["event_time"] - coarse["event_time"] < timedelta(seconds=1)
    assert {r["event_time_precision"] for r in found["v1"]} == {"end_s"}
    assert {r["event_time_precision"] for r in found["json"]} == {"end_ms"}
