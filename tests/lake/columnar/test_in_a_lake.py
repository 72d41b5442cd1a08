"""A Parquet feed in a lake: its source file, and a replay of its rejected rows."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from lake.records import REC_EVENTS
from lake.replay import Replay
from lake.selection import Selection
from lake.settings import PACKAGED_SOURCES
from lake.source import LandingSpec, Period, SourceError, load_source, load_sources

from .parquet import packed


def test_rejected_rows_that_now_pass_move_into_bronze_by_a_replay(box, event):
    packaged = load_sources(PACKAGED_SOURCES)["rec_events"]
    with_parquet = {"container": "parquet", "landing": LandingSpec(prefix="rec_events/")}
    period = Period(
        pattern=r"dt=(?P<start>.+)/(?P<producer>.+)-\d+\.parquet$",
        start_format="%Y-%m-%d/hour=%H",
        length=timedelta(hours=1),
    )
    source = packaged.model_copy(update={**with_parquet, "period": period})
    box.sources = {"rec_events": source}
    late = event(event_id="e-2", event_ts_ms=1794823205123 + 3_600_000)
    table = pa.Table.from_pylist([event(), late, event(event_type="purchase")])
    box.land("rec_events/dt=2026-11-16/hour=10/rec-1-1.parquet", packed(table), packed=False)
    box.run(REC_EVENTS)
    assert box.count("bronze.rec_events") == 1
    assert box.sql("select line, reason, byte_offset from {} order by all", "ops.rejects") == [
        (2, "time_out_of_range", 0), (3, "unknown_event_type", 0),
    ]  # fmt: skip
    wide = period.model_copy(update={"late": timedelta(hours=2)})
    box.sources = {"rec_events": source.model_copy(update={"period": wide})}
    one = box.ingest_of(REC_EVENTS)
    parts = ("catalog", "landing", "sources", "record", "audit", "protection", "now")
    given = {name: getattr(one, name) for name in parts}
    assert Replay(**given).run(Selection()).by_outcome == {"changed": 1}
    assert box.sql("select event_id, source_line from {} order by all", "bronze.rec_events") == [
        ("e-1", 1), ("e-2", 2),
    ]  # fmt: skip
    assert box.sql("select line from {}", "ops.rejects") == [(3,)]
    assert Replay(**given).run(Selection()).by_outcome == {"same": 1}


def test_a_container_that_the_format_does_not_know_is_refused_by_its_source_file(tmp_path):
    path = tmp_path / "feed.yaml"
    path.write_text(
        "name: feed\ndescription: d\nowner: o\nformat: cloudfront_v1\ncontainer: parquet\n"
        "landing: {prefix: in/}\n"
    )
    with pytest.raises(SourceError, match=r"container: cloudfront_v1 comes in lines"):
        load_source(path)
