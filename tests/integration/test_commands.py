"""weir demo and weir up, as a stranger starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.settings import tool

pytestmark = pytest.mark.slow


def test_a_small_demo_is_right_and_a_repeat_of_it_does_nothing(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    done = make(tmp_path / "demo").command(
        "demo", "--json", "--hours", "3", "--lines", "1500", "--seed", "11"
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["is_right"] is True
    assert {c["name"]: c["difference"] for c in told["checks"] if c["difference"] != 0} == {}
    assert len(told["checks"]) > 50
    assert all(e["relative_error"] <= e["bound"] + 1e-9 for e in told["estimates"])
    assert told["repeat"] == {"runs": 0, "snapshots": 0}
    assert told["runs"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def processes_of(home: Path) -> dict[int, str]:
    """Return the processes whose environment names this home."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"DAGSTER_HOME={home}".encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command:  # a zombie has none
                        found[int(entry.name)] = command
            except OSError:
                continue
    return found


#: a shell that runs the tests in the background ignores Ctrl-C, and its children inherit that
HEEDS_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, int, int]]:
    home, ui, docs = tmp_path / "home", free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDS_CTRL_C, tool("weir"), "up", "--dir", str(home)],
        env={**os.environ, "WEIR_UI_PORT": str(ui), "WEIR_DOCS_PORT": str(docs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, home, ui, docs
    finally:
        process.kill()
        process.wait()
        for pid in processes_of(home):
            os.kill(pid, signal.SIGKILL)


def wait_until_up(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if "Ctrl-C" in line:
            return
    raise AssertionError("".join(told))


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return bytes(answer.read())


ASSETS = "{assetNodes {assetKey {path} groupName owners {... on TeamAssetOwner {team}}}}"


def ask_assets(port: int) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": ASSETS}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        nodes: list[dict[str, Any]] = json.loads(answer.read())["data"]["assetNodes"]
    return nodes


def stop(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(60)


def gone(home: Path, within_seconds: float = 10) -> dict[int, str]:
    """Return what still runs after a while."""
    deadline = time.monotonic() + within_seconds
    while (left := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def test_up_answers_everywhere_and_ctrl_c_stops_everything(
    started: tuple[subprocess.Popen[str], Path, int, int],
) -> None:
    process, home, ui, docs = started
    wait_until_up(process)

    assert json.loads(get(ui, "/server_info"))["dagster_version"]
    nodes = {"/".join(n["assetKey"]["path"]): n for n in ask_assets(ui)}
    assert nodes["gold/traffic_5m"]["groupName"] == "gold"
    assert nodes["gold/bills"]["owners"] == [{"team": "finance"}]
    assert all(n["owners"] and n["groupName"] for n in nodes.values())
    assert b"<html" in get(docs, "/").lower()
    assert processes_of(home)

    assert stop(process, signal.SIGINT) == 0
    assert gone(home) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_up_is_stopped_by_a_signal_also_before_it_is_up(
    started: tuple[subprocess.Popen[str], Path, int, int], number: signal.Signals
) -> None:
    process, home, _, _ = started
    assert process.stdout is not None
    assert "lake at" in process.stdout.readline()  # dbt docs are being written
    time.sleep(1)

    assert stop(process, number) == 0
    assert gone(home) == {}


def test_up_stops_everything_on_sigterm(
    started: tuple[subprocess.Popen[str], Path, int, int],
) -> None:
    process, home, _, _ = started
    wait_until_up(process)

    assert stop(process, signal.SIGTERM) == 0
    assert gone(home) == {}


def test_up_says_which_source_keeps_it_from_loading_and_stops(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "edge.yaml").write_text("name: edge\nformat: cloudfrnt\n")

    done = subprocess.run(
        [tool("weir"), "up", "--dir", str(tmp_path / "home")],
        env={**os.environ, "WEIR_UI_PORT": str(free_port()), "WEIR_DOCS_PORT": str(free_port()),
             "WEIR_SOURCES": str(sources)},
        check=False, capture_output=True, text=True, timeout=240,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Dagster could not load the definitions" in done.stdout
    assert "edge.yaml" in done.stdout.split("could not load")[1]
    assert "Ctrl-C" not in done.stdout
    assert gone(tmp_path / "home") == {}
