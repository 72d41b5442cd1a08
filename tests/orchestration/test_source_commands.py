"""weir source: drafts that load, checks that fail, and no log text that steers a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import Result

from lake.source import load_source
from orchestration.settings import PROJECT, tool

from .test_cli import HOSTILE, steers, weir  # noqa: F401 (a fixture)

Weir = Callable[..., Result]
ODD: dict[str, Any] = {
    "when": "2026-11-16 10:00:05",
    "took": {"all_ms": 250, "first.byte": 12},
    "who": {"addr": "192.0.2.77", "agent": "x"},
    "what": "https://vod.aurora.example/a/1.ts",
    "code": 200,
    "kb": 1.5,
    "cache": "warm",
}


def sample(folder: Path, *records: dict[str, Any], name: str = "acme-2026-11-16-10.log") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_a_draft_of_an_unknown_log_loads_and_reads_its_sample(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log, out = sample(tmp_path, *[ODD] * 30), tmp_path / "acme.yaml"
    result = weir("source", "new", log, "--out", out)
    assert result.exit_code == 0
    assert "event_time from when, unit: iso, zone: UTC" in result.stdout
    source = load_source(out)
    assert (source.name, source.format) == ("acme", "json_map")
    assert source.map.bytes_out_total is not None
    assert source.map.bytes_out_total.unit == "kB"
    assert source.map.ttfb_ms is not None
    assert source.map.ttfb_ms.from_ == ('took."first.byte"',)
    assert source.name_facts(str(log)).period_start is not None
    text = out.read_text()
    for todo in ("start or the end", "names no time zone", "KiB", "team:unknown", "not mapped"):
        assert todo in text
    assert "vod.aurora.example: name  # 30 lines" in text
    assert "192.0.2.77" not in text
    checked = weir("source", "check", out, log, "--json")
    (tried,) = json.loads(checked.stdout)["samples"]
    assert checked.exit_code == 0
    assert (tried["accepted"], tried["rejected"]) == (30, 0)
    assert tried["hosts"] == {"vod.aurora.example": 30}


def test_a_draft_of_a_known_log_names_its_family(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log = sample(tmp_path, {"EdgeStartTimestamp": 1794823205, "EdgeResponseStatus": 200,
                            "EdgeResponseBytes": 1})  # fmt: skip
    said = json.loads(weir("source", "new", log, "--json").stdout)
    assert said["format"] == "cloudflare_logpush"
    assert yaml.safe_load(said["text"])["format"] == "cloudflare_logpush"


def test_a_log_of_no_shape_leaves_the_format_open(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log = tmp_path / "x.log"
    log.write_text("what is this\n" * 3)
    said = json.loads(weir("source", "new", log, "--json").stdout)
    assert said["format"] is None
    assert any("no format was told; candidates: " in todo for todo in said["open"])
    assert "# other lines of text: TODO if a format string writes these lines" in said["text"]


def test_check_says_which_period_a_name_declares(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log, out = sample(tmp_path, *[ODD] * 30), tmp_path / "acme.yaml"
    assert weir("source", "new", log, "--out", out).exit_code == 0
    said = weir("source", "check", out, log).stdout
    assert "by its name: 2026-11-16T10:00:00Z to 2026-11-16T11" in said
    out.write_text(out.read_text().replace("'%Y-%m-%d-%H'", "'%Y%m%d%H'"))
    result = weir("source", "check", out, log)
    assert "by its name: no period, expected one by period.pattern" in result.stdout
    (tried,) = json.loads(weir("source", "check", out, log, "--json").stdout)["samples"]
    assert tried["is_period_missing"]


@pytest.mark.parametrize("data", ["{}\n".encode("utf-16"), bytes(range(256)) * 9, b"\n\n"])
def test_what_has_no_lines_of_text_is_not_drafted(weir: Weir, tmp_path: Path, data: bytes) -> None:  # noqa: F811
    log, out = tmp_path / "x.log", tmp_path / "x.yaml"
    log.write_bytes(data)
    result = weir("source", "new", log, "--out", out)
    assert result.exit_code == 1
    assert "a sample is refused: " in result.stderr
    assert not out.exists()


@pytest.mark.parametrize("format_name", ["json_map", "delimited_map"])
def test_a_format_that_takes_a_map_is_not_inspected_without_one(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
    format_name: str,
) -> None:
    log = sample(tmp_path, ODD)
    result = weir("inspect", "--format", format_name, log)
    assert result.exit_code == 1
    assert "incomplete_map: expected event_time and status" in " ".join(result.stdout.split())


def test_an_array_for_a_file_is_refused_with_the_way_to_lines(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "acme.yaml"
    assert weir("source", "new", sample(tmp_path, *[ODD] * 30), "--out", out).exit_code == 0
    whole = tmp_path / "whole.json"
    for indent in (None, 2):
        whole.write_text(json.dumps([ODD] * 30, indent=indent))
        result = weir("source", "check", out, whole)
        assert result.exit_code == 1
        assert "bad_lines: expected a JSON object a line" in result.stderr
        assert "jq -c '.[]'" in result.stderr


@pytest.mark.parametrize(
    ("value", "unit"),
    [(1794823205, "s"), (1794823205123, "ms"), ("1794823205123456", "us"),
     (1794823205123456789, "ns"), ("2026-11-16T10:00:05Z", "iso")],
)  # fmt: skip
def test_units_of_instants_are_told_by_their_magnitude(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
    value: Any,
    unit: str,
) -> None:
    log, out = sample(tmp_path, {**ODD, "when": value}), tmp_path / "acme.yaml"
    weir("source", "new", log, "--out", out)
    source = load_source(out)
    assert source.map.event_time is not None
    assert source.map.event_time.unit == unit
    assert weir("source", "check", out, log).exit_code == 0


def test_text_of_a_log_stays_data_in_the_draft_and_on_the_terminal(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
) -> None:
    evil = f'{HOSTILE}"]}}\nowner: mallory\n#'
    log = sample(tmp_path, {**ODD, evil: 1, "host": evil, "pop": evil, "cache": evil})
    out = tmp_path / "acme.yaml"
    for arguments in (("--out", out), (), ("--json",)):
        result = weir("source", "new", log, *arguments)
        assert result.exit_code == 0
        assert steers(result.stdout) == []
    assert steers(out.read_text()) == []
    assert load_source(out).owner == "team:unknown"
    assert steers(weir("source", "check", out, log).stdout) == []


def test_a_draft_overwrites_nothing(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log, out = sample(tmp_path, ODD), tmp_path / "acme.yaml"
    out.write_text("mine")
    assert weir("source", "new", log, "--out", out).exit_code == 2
    assert out.read_text() == "mine"
    assert weir("source", "new", tmp_path / "gone.log").exit_code == 1


def test_check_says_what_is_wrong_with_the_file_and_with_the_sample(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
) -> None:
    log, out = sample(tmp_path, ODD, {**ODD, "code": None}), tmp_path / "acme.yaml"
    weir("source", "new", log, "--out", out)
    result = weir("source", "check", out, log)
    assert result.exit_code == 1
    assert "1 accepted, 1 rejected" in result.stdout
    assert "missing_field" in result.stdout
    out.write_text(out.read_text().replace("owner:", "ownr:"))
    broken = weir("source", "check", out, log, "--json")
    assert broken.exit_code == 1
    assert "Did you mean `owner`?" in json.loads(broken.stdout)["error"]


@pytest.mark.parametrize("command", ["ingest", "status", "refresh", "replay"])
def test_a_mistake_in_a_source_file_is_a_sentence_whatever_is_asked(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    (tmp_path / "feed.yaml").write_text("name: feed\nformt: json_map\n")
    monkeypatch.setenv("WEIR_SOURCES", str(tmp_path))
    result = weir(command, "--dir", tmp_path / "lake")
    assert result.exit_code == 2
    assert result.stderr.lstrip().startswith("weir: feed.yaml:1: description: expected a value")
    assert "feed.yaml:2: formt: " in result.stderr
    assert "Did you mean `format`?" in result.stderr


def test_the_schema_is_json(weir: Weir) -> None:  # noqa: F811
    assert json.loads(weir("source", "schema").stdout)["title"] == "Weir source file"


def test_source_commands_import_nothing_heavy(tmp_path: Path) -> None:
    log = sample(tmp_path, ODD)
    code = (
        "import sys\nfrom orchestration.cli import app\n"
        "try: app(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print([m for m in ('dagster', 'dbt', 'great_expectations') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "source", "new", str(log)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.endswith("[]\n")


def commands_of(page: str) -> list[str]:
    return [part.split("\n```", 1)[0] for part in page.split("```sh\n")[1:]]


def test_the_tutorial_is_a_story_of_commands() -> None:
    page = (PROJECT / "docs/your-own-log.md").read_text()
    story = "\n".join(commands_of(page))
    for step in ("weir inspect", "source new", "source check", "weir refresh", "weir sql"):
        assert step in story


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """The commands of docs/your-own-log.md, one shell, an empty folder."""
    page = (PROJECT / "docs/your-own-log.md").read_text()
    script = "set -eu\n" + "\n".join(f"echo '== {n}'\n{c}" for n, c in enumerate(commands_of(page)))
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": f"{Path(tool('weir')).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    parts = done.stdout.split("== ")
    assert "not known" in parts[2]
    assert "TODO" in parts[3]
    assert "40 accepted, 0 rejected" in parts[5]
    mart = parts[-1]
    for cell in ("2026-11-16T12:00:00Z", "nimbus", "aurora", "40", "60000", "0.75"):
        assert cell in mart


def delimited(*lines: str, head: str = "when;took_ms;who;url;code;kb;hitmiss") -> str:
    row = "2026-11-16 10:30:{};250;192.0.2.77;https://vod.aurora.example/{}.ts;200;1.5;warm"
    return "\n".join([head, *lines, *(row.format(n, n) for n in range(10, 40)), ""])


DELIMITED = {
    "named": (delimited(), "dialect: {delimiter: semicolon"),
    "tabs and no names": (
        delimited().split("\n", 1)[1].replace(";", "\t"),
        "fields: [time, column_2, client_ip, url, status, column_6, column_7]",
    ),
    "W3C": (
        delimited("#Fields: date time took_ms who url code kb hitmiss", head="#Version: 1.0")
        .replace(";", " "),
        "event_time: {join: [date, time], unit: iso",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DELIMITED)
def test_a_draft_of_an_unknown_delimited_log_loads_and_reads_its_sample(
    what: str,
    weir: Weir,  # noqa: F811
    tmp_path: Path,
) -> None:
    text, says = DELIMITED[what]
    log, out = tmp_path / "acme-2026-11-16-10.log", tmp_path / "acme.yaml"
    log.write_text(text)
    assert "delimited text, " in weir("inspect", log).stdout.replace("\n", " ")
    assert weir("source", "new", log, "--out", out).exit_code == 0
    assert says in out.read_text()
    assert "192.0.2.77" not in out.read_text()
    checked = weir("source", "check", out, log, "--json")
    (tried,) = json.loads(checked.stdout)["samples"]
    assert (tried["format"], tried["accepted"], tried["rejected"]) == ("delimited_map", 30, 0)
    assert tried["hosts"] == {"vod.aurora.example": 30}


def test_names_of_columns_stay_data_in_the_draft(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    evil = "host: x]}\nowner: mallory".replace("\n", "\\n")
    log, out = tmp_path / "acme.log", tmp_path / "acme.yaml"
    log.write_text(delimited(head=f"#Fields: when;took_ms;who;url;code;kb;{evil}{HOSTILE[:9]}"))
    for arguments in (("--out", out), ()):
        assert steers(weir("source", "new", log, *arguments).stdout) == []
    assert load_source(out).owner == "team:unknown"


def test_a_standard_log_without_its_header_is_shown_and_drafted(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    log, out = tmp_path / "d.tsv", tmp_path / "d.yaml"
    row = "2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET d1.net /index.html {} - A - - Hit r h"
    log.write_text("".join(f"{row.format(200 + n)}\n".replace(" ", "\t") for n in range(3)))
    assert "none of them" in weir("inspect", log).stdout, "16 columns it never had"
    log.write_text(log.read_text().replace("\tr\th\n", "\tr\n"))
    said = json.loads(weir("inspect", "--json", log).stdout.splitlines()[-1])["summary"]
    assert (said["format"], said["accepted"], said["rejected"]) == ("cloudfront_v1", 3, 0)
    assert weir("source", "new", log, "--out", out).exit_code == 0
    assert load_source(out).fields[-1] == "x-edge-request-id"
    assert weir("source", "check", out, log).exit_code == 0


def test_a_draft_of_parquet_says_what_it_is(weir: Weir, tmp_path: Path) -> None:  # noqa: F811
    sample, out = tmp_path / "focus.parquet", tmp_path / "focus.yaml"
    columns = {"BilledCost": [0.5], "BillingCurrency": ["USD"], "ChargeCategory": ["Usage"],
               "InvoiceIssuerName": ["AWS"], "BillingPeriodStart": ["2026-11-01"]}  # fmt: skip
    pq.write_table(pa.table(columns), sample)
    assert weir("source", "new", sample, "--out", out).exit_code == 0
    source = load_source(out)
    assert (source.format, source.container) == ("focus_invoice", "parquet")
    assert weir("source", "check", out, sample).exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "column", "unit"),
    [("duration_s", 0.5, "duration_ms", "s"), ("Time Taken (ms)", 12, "duration_ms", "ms"),
     ("latencyUs", 900, "duration_ms", "us"), ("total_s", 0.5, "duration_ms", "s"),
     ("ttfb_us", 900, "ttfb_ms", "us"), ("sizeKiB", 1.5, "bytes_out_total", "KiB"),
     ("response_size_mb", 2, "bytes_out_total", "MB"), ("size_kbit", 8, "bytes_out_total", "kbit"),
     ("request_time", 0.05, "duration_ms", "s")],
)  # fmt: skip
def test_a_unit_in_a_name_is_told_and_held_to(
    weir: Weir,  # noqa: F811
    tmp_path: Path,
    name: str,
    value: float,
    column: str,
    unit: str,
) -> None:
    record = {"timestamp_ms": 1794823205123, "status": 200, "path": "/a.ts", name: value}
    out = tmp_path / "acme.yaml"
    assert weir("source", "new", sample(tmp_path, *[record] * 30), "--out", out).exit_code == 0
    source = load_source(out)
    rule = getattr(source.map, column)
    assert (rule.from_, rule.unit) == ((name,), unit)
    assert source.map.event_time is not None
    assert source.map.event_time.from_ == ("timestamp_ms",)
    in_unit = {"s": 1e3, "ms": 1, "us": 1e-3, "KiB": 1024, "MB": 1e6, "kbit": 125}[unit] * value
    ranges = source.expect.given()[column].p50
    assert ranges is not None
    assert ranges[0] < in_unit < ranges[1]
    assert not ranges[0] < in_unit * 1000 < ranges[1]
    assert not ranges[0] < in_unit / 1000 < ranges[1]
