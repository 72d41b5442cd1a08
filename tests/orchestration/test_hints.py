"""weir ingest --hint: what S3 events name is loaded, everything else refused in a sentence."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from typer.testing import CliRunner

from orchestration.cli import app

NAME = "it's *?[x] \x1b[31m\u202e;drop table x.gz"
LINE = {"event_id": "e-1", "event_type": "play", "item_id": "i", "user_id": "u",
        "event_ts_ms": 1794823205123}  # fmt: skip


def event(bucket: str, *keys: str) -> str:
    records = [
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
         "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}}}
        for key in keys
    ]  # fmt: skip
    return json.dumps({"Records": records})


def invoke(home: Path, *arguments: str, given: str | None = None, **environment: str) -> Any:
    runner = CliRunner(env=environment)
    return runner.invoke(app, ["ingest", *arguments, "--dir", str(home)], input=given)


@pytest.fixture
def remote(s3_server: Any) -> dict[str, str]:
    bucket = s3_server.new_bucket()
    body = gzip.compress(json.dumps(LINE).encode() + b"\n")
    for name in (NAME, "other.gz"):
        s3_server.client.put_object(Bucket=bucket, Key=f"in/rec_events/{name}", Body=body)
    return {**s3_server.environment(), "WEIR_LANDING": f"s3://{bucket}/in", "bucket": bucket}


def test_a_hinted_key_is_loaded_whatever_it_is_called(
    tmp_path: Path, remote: dict[str, str]
) -> None:
    bucket = remote.pop("bucket")
    told = event(bucket, f"in/rec_events/{NAME}", "in/rec_events/not there.gz")
    first = invoke(tmp_path, "--hint", "-", "--json", given=told, **remote)
    assert first.exit_code == 0, first.output
    (change,) = json.loads(first.stdout)["changes"]
    assert (change["key"], change["state"]) == (f"rec_events/{NAME}", "loaded")

    rest = invoke(tmp_path, **remote)
    assert rest.exit_code == 0
    assert "duplicate" in rest.stdout
    assert not [c for c in rest.output if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]


def test_what_cannot_be_a_hint_is_refused_in_a_sentence(
    tmp_path: Path, remote: dict[str, str]
) -> None:
    remote.pop("bucket")
    for given, said in (
        (event("\x1b[31m-bucket", "in/x.gz"), "an event of the bucket"),
        ("<xml>", "no JSON at character 1"),
    ):
        refused = invoke(tmp_path, "--hint", "-", given=given, **remote)
        assert refused.exit_code == 2
        assert refused.stdout == ""
        assert said in refused.stderr
        assert "\x1b" not in refused.stderr
    (tmp_path / "event.json").write_text(event("b", "x"))
    folder = invoke(tmp_path, "--hint", str(tmp_path / "event.json"))
    assert folder.exit_code == 2
    assert "expected s3://bucket/prefix in WEIR_LANDING" in " ".join(folder.stderr.split())


def test_a_setting_that_names_nothing_is_one_sentence(tmp_path: Path) -> None:
    wrong = invoke(tmp_path, WEIR_LANDING="s3://key:canary@bucket/x")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("weir: WEIR_LANDING names no bucket")
    assert "canary" not in wrong.output
