"""weir inspect on logs without lines: Parquet is found out by its columns, rejects are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lake.remedies import REMEDIES
from orchestration.cli import app

EVENT = {
    "event_id": "e-1", "event_type": "play", "event_ts_ms": 1794823205123, "item_id": "i",
    "user_id": "user-0042",
}  # fmt: skip
REQUEST = {
    "date": "2026-11-16", "time": "10:00:05", "sc_status": "200", "x_edge_location": "FRA56-P1",
    "cs_uri_stem": "/a.ts",
}  # fmt: skip


def inspected(path: Path) -> list[dict[str, dict[str, object]]]:
    result = CliRunner().invoke(app, ["inspect", "--json", str(path)])
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_events_in_parquet_are_shown_with_the_rows_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.Table.from_pylist([EVENT, {**EVENT, "event_type": "purchase"}]), path)
    record, reject, summary = inspected(path)
    assert record["record"]["event_id"] == "e-1"
    assert (reject["reject"]["line"], reject["reject"]["reason"]) == (2, "unknown_event_type")
    assert json.loads(str(reject["reject"]["raw"]))["user_id"] == "user-0042"
    assert summary["summary"]["lines"] == 2


@pytest.mark.parametrize("what", ["parquet", "json"])
def test_cloudfront_v2_is_found_out(what: str, tmp_path: Path) -> None:
    path = tmp_path / f"log.{what}"
    if what == "parquet":
        pq.write_table(pa.Table.from_pylist([REQUEST]), path)
    else:
        path.write_text(json.dumps({k.replace("_", "-"): v for k, v in REQUEST.items()}) + "\n")
    record, summary = inspected(path)
    assert summary["summary"]["format"] == "cloudfront_v2"
    assert (record["record"]["pop"], record["record"]["path"]) == ("FRA56-P1", "/a.ts")


def test_parquet_of_nobody_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    (summary,) = inspected(path)
    assert summary["summary"]["refused"] == "unknown_format"
    assert "--source" in str(summary["summary"]["detail"])


def test_each_reason_comes_with_what_to_do_about_it(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    bad = ({**EVENT, "event_type": "purchase"}, {**EVENT, "watch_ms": "soon"}, EVENT)
    path.write_text("".join(f"{json.dumps(e)}\n" for e in bad), encoding="utf-8")
    shown = " ".join(CliRunner().invoke(app, ["inspect", str(path)]).stdout.split())
    for reason in ("unknown_event_type", "wrong_type"):
        assert f"{reason}: {REMEDIES[reason]}" in shown
    assert REMEDIES["ragged"] not in shown
