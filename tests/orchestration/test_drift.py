"""What a vendor changes is seen where a person looks: weir status, the Dagster check, a release."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from lake.records import CDN_REQUESTS
from lake.settings import load_settings
from orchestration.assets import ingest as assets
from orchestration.operations import run_ingest

from .test_cli import weir  # noqa: F401 (a fixture)

Weir = Callable[..., Result]
Change = Callable[[dict[str, Any]], dict[str, Any]]
SOURCE = """
name: zephyr
description: a vendor that nobody knows
owner: team:tests
format: json_map
cdn: zephyr
landing: {prefix: zephyr/}
map:
  event_time: {from: at, unit: ms}
  status: code
  host: host
  url: what
  duration_ms: {from: time.all, unit: s}
  ttfb_ms: {from: time.first, unit: us}
  cache_status: cache
  error_detail: oops
customers: {vod.aurora.example: aurora}
expect:
  duration_ms: {p50: [10, 60000]}
"""
AT = datetime(2026, 11, 16, 12, tzinfo=UTC)


def line(n: int) -> dict[str, Any]:
    return {"at": int(AT.timestamp() * 1000) + n, "code": 200, "host": "vod.aurora.example",
            "what": f"/a/{n}.ts", "time": {"all": 0.5, "first": 900}, "cache": "HIT"}  # fmt: skip


def times(**changes: Any) -> Change:
    return lambda record: {**record, "time": {**record["time"], **changes}}


def without_first(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "time": {"all": record["time"]["all"]}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/zephyr.yaml").write_text(SOURCE)
    monkeypatch.setenv("WEIR_SOURCES", str(tmp_path / "sources"))
    return tmp_path / "lake"


def land(home: Path, deliveries: Mapping[str, Change]) -> None:
    folder = home / "landing/zephyr"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, change) in enumerate(deliveries.items()):
        records = [change(line(n + 1000 * number)) for n in range(24)]
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in records))


def test_what_went_in_and_is_not_as_before_stands_in_the_status(weir: Weir, home: Path) -> None:  # noqa: F811
    land(home, {
        "a.json": lambda record: record,
        "renamed.json": lambda r: {**without_first(r), "first_byte": 900},
        "dropped.json": without_first,
        "added.json": lambda r: {**r, "edge": "fra"},
    })  # fmt: skip
    assert weir("ingest", "--dir", home).exit_code == 0
    status = json.loads(weir("status", "--json", "--dir", home).stdout)
    assert status["deliveries"] == {"zephyr": {"loaded": 4}}
    assert status["lines"]["zephyr"]["accepted"] == 4 * 24
    assert {d["what"]: d["deliveries"] for d in status["drift"]} == {
        "field no rule names: edge": 1,
        "field no rule names: first_byte": 1,
        "ttfb_ms_has_values: expected >= 1, found 0": 2,
    }
    (edge,) = [d for d in status["drift"] if d["what"].endswith("edge")]
    assert edge["last_key"] == "zephyr/added.json"
    table = " ".join(weir("status", "--dir", home).stdout.split())
    assert "field no rule names: edge" in table
    assert "ttfb_ms_has_values" in table


def test_a_changed_unit_is_held_and_the_way_to_release_it_is_said(weir: Weir, home: Path) -> None:  # noqa: F811
    land(home, {"good.json": lambda record: record, "in_ms.json": times(all=500)})
    ingested = weir("ingest", "--dir", home)
    assert ingested.exit_code == 0
    held = weir("status", "--held", "--dir", home).stdout
    assert "duration_ms_p50_is_as_declared" in held
    assert "weir release <delivery>" in held
    (one,) = json.loads(weir("status", "--held", "--json", "--dir", home).stdout)
    assert one["key"] == "zephyr/in_ms.json"
    assert weir("release", one["delivery_id"][:8], "--dir", home).exit_code == 0
    status = json.loads(weir("status", "--json", "--dir", home).stdout)
    assert status["deliveries"] == {"zephyr": {"loaded": 2}}
    assert status["lines"]["zephyr"]["accepted"] == 48


def test_the_check_of_an_ingest_names_warnings_and_fields(home: Path) -> None:
    land(home, {"a.json": lambda r: {**without_first(r), "first_byte": 900}})
    report = run_ingest(load_settings(home=home), CDN_REQUESTS, AT)
    (audited,) = [c for c in assets._checks(report) if c.check_name == "deliveries_audited"]
    assert audited.passed
    assert audited.metadata["fields_no_rule_names"].value == {"zephyr": ["first_byte"]}
    (warning,) = audited.metadata["warnings"].value
    assert warning.endswith(": ttfb_ms_has_values, found 0")


def test_a_small_delivery_of_nothing_but_rejects_is_told(weir: Weir, home: Path) -> None:  # noqa: F811
    folder = home / "landing/zephyr"
    folder.mkdir(parents=True)
    (folder / "small.json").write_text(json.dumps({**line(1), "code": "ok"}) + "\n")
    assert weir("ingest", "--dir", home).exit_code == 0
    status = json.loads(weir("status", "--json", "--dir", home).stdout)
    assert status["deliveries"] == {"zephyr": {"loaded": 1}}
    assert [d["what"] for d in status["drift"]] == ["every line is rejected"]


def test_few_rows_and_rules_of_seldom_fields_warn_of_nothing(weir: Weir, home: Path) -> None:  # noqa: F811
    folder = home / "landing/zephyr"
    folder.mkdir(parents=True)
    few = [without_first(line(n)) for n in range(19)]
    (folder / "few.json").write_text("".join(json.dumps(r) + "\n" for r in few))
    land(home, {"full.json": lambda record: record})  # no line of it has an error
    assert weir("ingest", "--dir", home).exit_code == 0
    assert json.loads(weir("status", "--json", "--dir", home).stdout)["drift"] == []
