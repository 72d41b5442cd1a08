"""weir up: the Dagster UI, its daemon and the dbt docs on loopback, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from lake.settings import LakeSettings, load_settings
from orchestration.commands.output import console
from orchestration.settings import (
    DBT_PROJECT,
    PROJECT,
    ports,
    process_environment,
    tool,
    write_dagster_home,
)

_NO_DOCS = (
    "<!doctype html><title>Weir</title><p>dbt could not write its docs; see the terminal of "
    "<code>weir up</code>, then start it again."
)
_LOADED = (
    "{workspaceOrError {... on Workspace {locationEntries {locationOrLoadError "
    "{... on PythonError {message errorChain {error {message}}}}}} ... on PythonError {message}}}"
)
_STOP_SECONDS = 20
_START_SECONDS = 90


def run(home: Path | None) -> int:
    """Start all three, say where they are, and stop all three."""
    settings = load_settings(home=home)
    out = console()
    where = ports()
    write_dagster_home(settings.home)
    for number in (signal.SIGTERM, signal.SIGHUP):  # before the first child: it must not outlive us
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        out.print(f"lake at {settings.home}; writing the dbt docs ...")
        for command in _commands(write_docs(settings), where.ui, where.docs):
            children.append(_start(command, settings))  # noqa: PERF401 - each one, to be stopped
        ready = _wait(f"http://127.0.0.1:{where.ui}/server_info", children)
        if not ready:
            out.print("the Dagster webserver did not come up; its output is above")
            return 1
        wrong = _load_errors(f"http://127.0.0.1:{where.ui}/graphql")
        if wrong:
            out.print(
                "Dagster could not load the definitions:",
                *wrong,
                sep="\n",
                markup=False,
                soft_wrap=True,
            )
            return 1
        out.print(f"Dagster UI  http://127.0.0.1:{where.ui}")
        out.print(f"dbt docs    http://127.0.0.1:{where.docs}")
        out.print("Ctrl-C stops everything")
        while all(c.poll() is None for c in children):
            time.sleep(0.5)
        out.print("a process ended by itself; stopping the others")
    except KeyboardInterrupt:
        out.print("stopping ...")
        return 0
    finally:
        _stop(children)
    return 1


def write_docs(settings: LakeSettings) -> Path:
    """Write the static dbt docs and return their folder; the page opens from disk too.

    The page of before is kept where dbt cannot write one, as while a refresh holds the build file.
    """
    site = settings.home / "dbt-docs"
    done = subprocess.run(
        [tool("python"), str(DBT_PROJECT / "static_docs.py"), str(site / "index.html")],
        check=False,
        env=process_environment(settings),
        stdout=subprocess.DEVNULL,
    )
    if done.returncode and not (site / "index.html").exists():
        site.mkdir(parents=True, exist_ok=True)
        (site / "index.html").write_text(_NO_DOCS)
    return site


def _commands(docs: Path, ui_port: int, docs_port: int) -> list[list[str]]:
    workspace = str(PROJECT / "workspace.yaml")
    return [
        [tool("dagster-webserver"), "-h", "127.0.0.1", "-p", str(ui_port), "-w", workspace],
        [tool("dagster-daemon"), "run", "-w", workspace],
        [tool("python"), "-m", "http.server", str(docs_port), "--bind", "127.0.0.1",
         "--directory", str(docs)],
    ]  # fmt: skip


def _start(command: list[str], settings: LakeSettings) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that all it starts can be stopped with it."""
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env=process_environment(settings),
        stdout=subprocess.DEVNULL,
        # http.server reports every request there
        stderr=subprocess.DEVNULL if "http.server" in command else None,
        start_new_session=True,
    )


def _wait(url: str, children: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and all(c.poll() is None for c in children):
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False


def _load_errors(graphql: str) -> list[str]:
    """Return what kept the webserver from loading workspace.yaml; it serves an empty UI then."""
    asked = urllib.request.Request(  # noqa: S310
        graphql, json.dumps({"query": _LOADED}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=_START_SECONDS) as answer:  # noqa: S310
        workspace = json.loads(answer.read())["data"]["workspaceOrError"]
    places = [e["locationOrLoadError"] for e in workspace.get("locationEntries", ())]
    errors = [p for p in (workspace, *places) if p and "message" in p]
    chains = [[e, *(c["error"] for c in e.get("errorChain", ()))] for e in errors]
    return [e["message"].strip() for chain in chains for e in chain]


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask every session to end, then make it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for child in children:
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
    for child in children:
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return
