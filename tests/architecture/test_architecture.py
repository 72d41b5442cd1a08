"""What holds for the tree as a whole: who knows whom, and what stands where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.crash import MAINTENANCE_POINTS, POINTS

ROOT = Path(__file__).parents[2]
PACKAGES = ("lake", "analysis", "expectations", "orchestration", "simulator")
LAKE = sorted((ROOT / "lake").rglob("*.py"))
PIPELINE = [p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))]
MAX_LINES, MAX_FUNCTION = 330, 45


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Give every call with the text of what is called."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_import_contracts_hold():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_environment_is_read_in_two_files():
    readers = {
        named(path)
        for path in PIPELINE
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    }
    assert readers <= {"lake/settings.py", "orchestration/settings.py"}


CLOCKS = re.compile(r"(^|\.)(now|utcnow|today|time_ns|time|monotonic|localtime|gmtime)$")


@pytest.mark.parametrize("path", LAKE, ids=named)
def test_the_clock_is_passed_in(path):
    found = [
        text
        for text, _ in calls(path)
        if CLOCKS.search(text) and text.split(".")[0] in ("datetime", "date", "time", "dt")
    ]
    assert found == []


def test_the_clock_is_not_asked_for_in_sql():
    words = re.compile(r"\b(current_timestamp|get_current_time|today\(\)|now\(\))", re.IGNORECASE)
    assert [named(p) for p in LAKE if words.search(p.read_text())] == []


def test_every_crash_point_is_declared_and_used():
    used = {
        node.args[0].value
        for path in LAKE
        for text, node in calls(path)
        if text == "crashpoint" and isinstance(node.args[0], ast.Constant)
    }
    commit = (ROOT / "lake/commit.py").read_text()
    table = ast.literal_eval(
        "{" + ",".join(re.findall(r'("\w+_committed")', commit.split("_CRASH_AFTER")[1])) + "}"
    )
    assert used | table == {*POINTS, *MAINTENANCE_POINTS}


#: what opens no file of the lake: the parser, audits of the build file, a file to look at
OWN_DUCKDB = {
    "dbt_project/plugins/weir_lake.py",
    "expectations/deliveries.py",
    "expectations/runner.py",
    "lake/engine.py",
    "lake/reads.py",
    "lake/releases.py",
}


def test_duckdb_over_lake_files_is_opened_in_one_place():
    plugins = sorted((ROOT / "dbt_project" / "plugins").glob("*.py"))
    users = {
        named(path)
        for path in [*PIPELINE, *plugins]
        for text, _ in calls(path)
        if text == "duckdb.connect" and not named(path).startswith("simulator/")
    }
    assert users == OWN_DUCKDB


@pytest.mark.parametrize("path", LAKE, ids=named)
def test_files_and_functions_of_the_lake_are_short(path):
    text = path.read_text()
    # records.py is one table of columns
    if path.name != "records.py":
        assert text.count("\n") <= MAX_LINES
    long = {
        node.name: length
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
        and node.name not in DECLARATIONS
    }
    assert long == {}


#: one dictionary, column by column: not logic
DECLARATIONS = ("canonical_sql",)


@pytest.mark.parametrize("path", PIPELINE, ids=named)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))


def test_nobody_edits_the_path_of_modules():
    assert [named(p) for p in PIPELINE if re.search(r"sys\.path\b", p.read_text())] == []


def test_pipeline_code_reads_no_truth_of_the_simulator():
    users = [
        named(path)
        for path in PIPELINE
        if not named(path).startswith("simulator/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simulator.truth")
    ]
    assert users == []
