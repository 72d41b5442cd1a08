"""The weir command line: what it prints, how it ends, what it refuses and what it imports."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lake.deliveries import read_ledger
from orchestration.cli import app
from orchestration.settings import PROJECT
from simulator import Plan

REAL = PROJECT.parent / "shared" / "data" / "cdn"
HOSTILE = "\x1b]0;owned\x07\x1b[31m \u202e\u2066 \x9b1m \u2028 <script>"


@pytest.fixture
def weir() -> Callable[..., Result]:
    runner = CliRunner()

    def invoke(*arguments: object) -> Result:
        result = runner.invoke(app, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return invoke


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def steers(text: str) -> list[str]:
    """Return the characters that a terminal would obey."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}]


@pytest.fixture
def log(tmp_path: Path, traffic: Plan) -> Path:
    """Return a Cloudflare file with its own name."""
    one = next(a for a in traffic.arrivals if a.feed == "cloudflare")
    path = tmp_path / one.key
    path.parent.mkdir(parents=True)
    path.write_bytes(one.data)
    return path


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def with_lines(path: Path, *lines: bytes) -> Path:
    path.write_bytes(gzip.compress(b"".join(one + b"\n" for one in lines)))
    return path


def test_inspect_says_what_a_file_is_and_that_its_lines_add_up(
    weir: Callable[..., Result], log: Path
) -> None:
    result = weir("inspect", log)

    n = len(lines_of(log))
    assert result.exit_code == 0
    assert "cloudflare_logpush, as source cloudflare" in result.stdout
    assert f"{n} lines = {n} accepted + 0 rejected + 0 header + 0 blank" in result.stdout


def test_inspect_json_is_one_object_a_line_records_rejects_and_a_summary(
    weir: Callable[..., Result], log: Path
) -> None:
    good = lines_of(log)
    with_lines(log, *good, b"not json at all", b"")

    found = documents(weir("inspect", "--json", log).stdout)

    kinds = [next(iter(d)) for d in found]
    assert kinds == ["record"] * len(good) + ["reject", "summary"]
    assert found[-2]["reject"]["line"] == len(good) + 1
    assert found[-2]["reject"]["raw"] == "not json at all"
    summary = found[-1]["summary"]
    assert summary["lines"] == len(good) + 2
    assert (summary["accepted"], summary["rejected"], summary["blank"]) == (len(good), 1, 1)


def test_inspect_shows_values_as_they_are_in_the_log(
    weir: Callable[..., Result], log: Path
) -> None:
    one = json.loads(lines_of(log)[0])
    long = "/" + "segment" * 400 + "?v=1&token=s3cret"
    one |= {"ClientIP": "203.0.113.77", "ClientRequestURI": long, "ClientRequestPath": long}
    with_lines(log, json.dumps(one).encode())

    (record, _) = documents(weir("inspect", "--json", log).stdout)

    values = json.dumps(record)
    assert "203.0.113.77" in values
    assert "segment" * 400 in values
    assert "s3cret" in values


def test_inspect_keeps_rejected_lines_whole_in_json(weir: Callable[..., Result], log: Path) -> None:
    raw = b"x" * 5000
    with_lines(log, raw, *lines_of(log))

    found = documents(weir("inspect", "--json", log).stdout)

    assert [d["reject"]["raw"] for d in found if "reject" in d] == [raw.decode()]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_file_that_is_refused_whole_ends_with_1(
    weir: Callable[..., Result], log: Path, flags: list[str]
) -> None:
    log.write_bytes(log.read_bytes()[:-40])

    result = weir("inspect", *flags, log)

    assert result.exit_code == 1
    assert "truncated" in result.stdout


def test_a_file_that_is_not_there_ends_with_2_and_does_not_hide_the_others(
    weir: Callable[..., Result], log: Path, tmp_path: Path
) -> None:
    result = weir("inspect", tmp_path / "none.log", log)

    assert result.exit_code == 2
    assert "No such file" in result.stderr
    assert "cloudflare_logpush" in result.stdout


def test_an_unknown_source_is_answered_with_those_that_exist(
    weir: Callable[..., Result], log: Path
) -> None:
    result = weir("inspect", "--source", "akamai", log)

    assert result.exit_code == 2
    assert "expected one of cloudflare, cloudfront, rec_events" in " ".join(result.stderr.split())


def test_a_file_of_no_known_format_is_refused_with_the_formats(
    weir: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n" * 5)

    result = weir("inspect", path)

    assert result.exit_code == 1
    assert "unknown_format" in result.stdout


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_hostile_text_in_a_log_comes_out_escaped(
    weir: Callable[..., Result], log: Path, flags: list[str]
) -> None:
    one = json.loads(lines_of(log)[0]) | {
        "ClientRequestUserAgent": HOSTILE,
        "ClientRequestHost": HOSTILE,
        HOSTILE: HOSTILE,
    }
    text = json.dumps(one, ensure_ascii=False).replace("\\u001b", "\x1b")
    with_lines(
        log, json.dumps(one).encode(), text.encode(), HOSTILE.encode(), b"\xff\xfe\x00\x1b[2J"
    )

    result = weir("inspect", *flags, log)

    assert result.exit_code == 0
    assert "owned" in result.stdout
    assert steers(result.stdout + result.stderr) == []


def test_hostile_file_names_come_out_escaped(weir: Callable[..., Result], tmp_path: Path) -> None:
    missing = tmp_path / "\x1b[31m\u202egz.log"
    refused = tmp_path / "\x1b[32m\u202egz.log"
    refused.write_bytes(b"")

    result = weir("inspect", missing, refused)

    assert result.exit_code == 2
    assert steers(result.stdout + result.stderr) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="real log files are not in the repository")
@pytest.mark.parametrize(
    "name",
    ["cloudfront/basic.log", "cloudfront/basic.log.gz", "cloudflare/logfile_cloudflare.json"],
)
def test_real_files_are_read_to_the_last_line(weir: Callable[..., Result], name: str) -> None:
    path = REAL / name
    raw = path.read_bytes()
    text = gzip.decompress(raw) if name.endswith(".gz") else raw

    result = weir("inspect", "--json", path)
    found = documents(result.stdout)

    assert result.exit_code == 0
    summary = found[-1]["summary"]
    assert summary["lines"] == len(text.rstrip(b"\n").split(b"\n"))
    assert summary["lines"] == sum(summary[k] for k in ("accepted", "rejected", "header", "blank"))
    assert sum("record" in d for d in found) == summary["accepted"] > 0


def test_ingest_says_what_changed_and_then_that_nothing_is_new(
    weir: Callable[..., Result], home: Any, traffic: Plan
) -> None:
    home.deliver(traffic)

    first = json.loads(weir("ingest", "--json", "--dir", home.path).stdout)
    again = weir("ingest", "--dir", home.path)

    assert {c["state"] for c in first["changes"]} == {"loaded"}
    assert len(first["changes"]) == len(traffic.arrivals)
    for c in first["changes"]:
        assert c["lines"] == c["accepted"] + c["rejected"] + c["header"] + c["blank"]
    assert (again.exit_code, again.stdout.strip()) == (0, "nothing new in landing; nothing changed")


@pytest.fixture
def holding(home: Any, traffic: Plan) -> Any:
    """Return a home with one held delivery among good ones."""
    one, other = [a for a in traffic.arrivals if a.feed == "cloudflare"][:2]
    good = gzip.decompress(one.data).splitlines()
    broken = [b"garbage " + HOSTILE.encode()] * 40
    home.land(one.key, gzip.compress(b"\n".join([*good, *broken]) + b"\n"))
    home.land(other.key, other.data)
    return home


def test_a_held_delivery_waits_and_its_neighbours_go_in(
    weir: Callable[..., Result], holding: Any
) -> None:
    result = weir("ingest", "--dir", holding.path)

    states = [d.state for d in read_ledger(holding.catalog).values()]
    assert result.exit_code == 0
    assert sorted(states) == ["held", "loaded"]
    assert "rejected_share_is_low" in result.stdout
    assert steers(result.stdout + result.stderr) == []


def test_status_lists_what_is_held_and_why(weir: Callable[..., Result], holding: Any) -> None:
    weir("ingest", "--dir", holding.path)

    (listed,) = json.loads(weir("status", "--held", "--json", "--dir", holding.path).stdout)
    table = weir("status", "--held", "--dir", holding.path)

    assert listed["state"] == "held"
    assert "rejected_share_is_low: expected" in listed["reason"]
    assert listed["delivery_id"] in table.stdout


def test_a_released_delivery_goes_in_whatever_its_audit_said(
    weir: Callable[..., Result], holding: Any
) -> None:
    weir("ingest", "--dir", holding.path)
    (listed,) = json.loads(weir("status", "--held", "--json", "--dir", holding.path).stdout)

    result = weir("release", listed["delivery_id"][:8], "--json", "--dir", holding.path)

    (change,) = json.loads(result.stdout)["changes"]
    assert result.exit_code == 0
    assert (change["delivery_id"], change["state"]) == (listed["delivery_id"], "loaded")
    assert change["reason"].startswith("released by hand; was held: ")
    assert json.loads(weir("status", "--held", "--json", "--dir", holding.path).stdout) == []


@pytest.mark.parametrize("text", ["0000nothing", "", HOSTILE])
def test_releasing_what_is_not_held_ends_with_2(
    weir: Callable[..., Result], filled: Any, text: str
) -> None:
    result = weir("release", text, "--dir", filled.path)

    assert result.exit_code == 2
    assert "expected one held delivery" in result.stderr
    assert steers(result.stderr) == []


def test_status_counts_deliveries_lines_and_stale_partitions(
    weir: Callable[..., Result], filled: Any, traffic: Plan
) -> None:
    status = json.loads(weir("status", "--json", "--dir", filled.path).stdout)
    table = weir("status", "--dir", filled.path)

    feeds = [a.feed for a in traffic.arrivals]
    assert status["deliveries"] == {f: {"loaded": feeds.count(f)} for f in sorted(set(feeds))}
    for counts in status["lines"].values():
        assert counts["lines"] == sum(counts.values()) - counts["lines"]
    assert status["stale"]["delivery"]["partitions"] >= 3
    assert status["release"] is None
    assert "no release yet" in table.stdout


def test_status_says_which_partitions_are_given_up(
    weir: Callable[..., Result], home: Any, traffic: Plan
) -> None:
    import duckdb

    from lake.publish import publish_partitions
    from lake.versions import MAX_ATTEMPTS
    from orchestration.refresh import find_stale
    from orchestration.settings import price_contracts

    home.deliver(traffic)
    home.ingest()
    bad, *_ = find_stale(home.catalog, "delivery", price_contracts())
    with duckdb.connect(str(home.settings.build_file)):
        pass
    for n in range(MAX_ATTEMPTS):
        publish_partitions(
            home.catalog, home.settings.build_file, "delivery", [], {bad: "a reason"}, f"run-{n}",
            bad.start + timedelta(days=1),
        )  # fmt: skip

    status = json.loads(weir("status", "--json", "--dir", home.path).stdout)

    assert status["stale"]["delivery"]["given_up"] == 1
    assert status["stale"]["engagement"]["given_up"] == 0


def test_sql_prints_a_table_csv_and_json(weir: Callable[..., Result], filled: Any) -> None:
    query = "select source, count(*) as n from bronze.cdn_requests group by 1 order by 1"

    table = weir("sql", query, "--dir", filled.path).stdout
    csv = weir("sql", query, "--csv", "--dir", filled.path).stdout.splitlines()
    found = json.loads(weir("sql", query, "--json", "--dir", filled.path).stdout)

    assert [r["source"] for r in found] == ["cloudflare", "cloudfront"]
    assert csv == ["source,n", *(f"{r['source']},{r['n']}" for r in found)]
    assert "2 rows" in table
    assert all(str(r["n"]) in table for r in found)


def test_sql_says_how_many_rows_it_did_not_print(weir: Callable[..., Result], filled: Any) -> None:
    query = "select * from range(25)"

    few = weir("sql", query, "--limit", "3", "--dir", filled.path).stdout
    everything = weir("sql", query, "--limit", "0", "--dir", filled.path).stdout

    assert "25 rows (showing 3; --limit 0 for all)" in few
    assert "24" not in few
    assert "24" in everything


def test_sql_has_json_for_every_value_of_the_engine(
    weir: Callable[..., Result], filled: Any
) -> None:
    query = (
        "select 'nan'::double as nan, '-inf'::double as low, interval 1 day as span, "
        "time '01:02' as clock, '7f0b'::blob as raw, 1.10::decimal(9, 2) as money, "
        "[1, null] as some, {'a': date '2026-11-16'} as held, (2::hugeint ** 100)::hugeint as big"
    )

    (row,) = json.loads(weir("sql", query, "--json", "--dir", filled.path).stdout)
    every = weir("sql", "select * from test_all_types()", "--json", "--dir", filled.path)

    assert (row["nan"], row["low"], row["money"]) == ("nan", "-inf", "1.10")
    assert row["some"] == [1, None]
    assert row["held"] == {"a": "2026-11-16"}
    assert row["big"] == 2**100
    assert len(json.loads(every.stdout)) == 3


def test_demo_refuses_a_folder_that_holds_something_else(
    weir: Callable[..., Result], tmp_path: Path
) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("years of work")

    result = weir("demo", "--dir", tmp_path)

    assert result.exit_code == 2
    assert "is not empty and no demo made it" in result.stderr
    assert mine.read_text() == "years of work"


def test_a_run_that_fails_in_the_demo_is_named_with_where_to_look(tmp_path: Path) -> None:
    from orchestration.commands.demo import FailedRunError, require_success
    from orchestration.local import RunOutcome

    log = tmp_path / "logs" / "runs.log"
    well = RunOutcome("ingest", "", "run-1", is_success=True)
    ill = RunOutcome("refresh_billing", "2026-11-01", "run-2", is_success=False)

    require_success([well], tmp_path, log)
    with pytest.raises(FailedRunError) as raised:
        require_success([well, ill], tmp_path, log)

    said = str(raised.value)
    assert "refresh_billing 2026-11-01 failed (run run-2)" in said
    assert str(log) in said
    assert f"weir up --dir {tmp_path}" in said


def test_demo_empties_a_folder_that_a_demo_made(tmp_path: Path) -> None:
    from orchestration.commands.demo import _empty

    home = tmp_path / "demo"
    assert _empty(home)
    (home / "old").touch()

    assert _empty(home)
    assert not (home / "old").exists()


IMPORTS = """
import sys
from typer.testing import CliRunner
from orchestration.cli import app
result = CliRunner().invoke(app, sys.argv[1:])
heavy = {"dagster", "dagster_dbt", "dbt", "great_expectations"}
print(result.exit_code, sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"], ["inspect", "LOG"]])
def test_help_and_inspect_import_nothing_heavy(arguments: list[str], log: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *(str(log) if a == "LOG" else a for a in arguments)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "0 []"
