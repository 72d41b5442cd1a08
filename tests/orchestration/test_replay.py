"""weir replay and the history of a delivery, as a person sees them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lake.settings import PACKAGED_SOURCES
from orchestration.cli import app

T0 = datetime(2026, 11, 16, 11, 2, tzinfo=UTC)
KEY = "rec_events/dt=2026-11-16/hour=10/rec-1-1.ndjson.gz"


class Place:
    """A home with source files of its own, and events of which some lie outside the period."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.sources = folder / "sources"
        shutil.copytree(PACKAGED_SOURCES, self.sources)
        path = self.home / "landing" / KEY
        path.parent.mkdir(parents=True)
        start = int(T0.replace(hour=10, minute=0).timestamp() * 1000)
        lines = [
            {"event_id": f"e-{n}", "event_type": "play", "item_id": "i", "user_id": "u",
             "event_ts_ms": start + n * 20 * 60_000}
            for n in range(4)
        ]  # fmt: skip
        path.write_bytes(gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in lines)))
        os.utime(path, (T0.timestamp(), T0.timestamp()))
        self.late("0s")

    def late(self, late: str) -> None:
        path = self.sources / "rec_events.yaml"
        source = yaml.safe_load(path.read_text())
        source["period"]["late"] = late
        path.write_text(yaml.safe_dump(source))

    def weir(self, *arguments: str, code: int = 0):
        result = CliRunner(env={"WEIR_SOURCES": str(self.sources)}).invoke(
            app, [*arguments, "--dir", str(self.home)]
        )
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments else result


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_after_a_fix_replay_says_what_it_would_do_does_it_and_then_nothing(place: Place) -> None:
    (loaded,) = place.weir("ingest", "--json")["changes"]
    assert (loaded["state"], loaded["accepted"], loaded["rejected"]) == ("loaded", 3, 1)
    place.late("5m")

    dry = place.weir("replay", "--dry-run", "--json")
    assert dry["by_outcome"] == {"changed": 1}
    assert dry["replayed"][0]["after"]["accepted"] == 4
    assert "hours would become stale" in place.weir("replay", "--dry-run").stdout
    done = place.weir("replay", "--since", "2026-11-16T10:00", "--source", "rec_events")
    assert "read otherwise than before" in done.stdout
    assert "2 hours are stale: 2026-11-16T10:00:00Z to 2026-11-16T11:00:00Z" in done.stdout
    again = place.weir("replay", "--state", "loaded", "--json")
    assert (again["by_outcome"], again["changes"]) == ({"same": 1}, [])

    shown = place.weir("status", loaded["delivery_id"][:9], "--json")
    assert [h["change_no"] for h in shown["history"]] == [1, 2]
    assert [h["accepted"] for h in shown["history"]] == [3, 4]
    assert "replayed" in shown["reason"]
    assert shown["lateness_s"] == 120
    assert [h["rows"] for h in shown["hours"]] == [3, 1]
    text = place.weir("status", loaded["delivery_id"]).stdout
    assert "History" in text
    assert "before 3" in text


def test_what_is_gone_is_named_and_fails_the_command(place: Place) -> None:
    place.weir("ingest")
    (place.home / "landing" / KEY).unlink()
    result = place.weir("replay", code=1)
    assert "not in landing any more" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "replaced"), "expected one of held, rejected, loaded"),
        (("--source", "nobody"), "expected one of"),
        (("--delivery", "zzz"), "expected one delivery"),
        (("--since", "soon"), "expected e.g."),
    ],
)
def test_a_condition_that_names_nothing_is_refused(place: Place, arguments, words) -> None:
    result = place.weir("replay", *arguments, code=2)
    assert words in " ".join(result.output.split())
    result = place.weir("status", "zzz", code=2)
    assert "expected the beginning" in " ".join(result.output.split())
