"""A Spark for tests, where there is one, and the macros of the project as each engine has them.

pyspark is no dependency (half a GB): it is looked for in this Python, or in the Python that
WEIR_SPARK_PYTHON names, and Java 17 in JAVA_HOME or on the path. Tests skip where either is
missing: `python -m venv V; V/bin/pip install pyspark==4.1.4`, WEIR_SPARK_PYTHON=V/bin/python.
WEIR_SPARK_ICEBERG: the jar iceberg-spark-runtime-4.1_2.13, for what only Iceberg's tables can.
Belongs here: finding, starting and asking it. What must be equal stands in the tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2

from .spark_worker import written

PROJECT = Path(__file__).parents[2] / "dbt_project"
WORKER = Path(__file__).with_name("spark_worker.py")
JAVA = 17  # 25 does not run Spark 4.1; others are not tried


class SparkError(RuntimeError):
    """What Spark says of a statement it refuses."""


@dataclass(frozen=True)
class Answer:
    """Rows as spark_worker writes values down, and the types of the columns."""

    rows: list[list[Any]]
    types: list[str]


def missing(environment: dict[str, str]) -> str | None:
    """Return why no Spark can be started, or None."""
    if not environment.get("WEIR_SPARK_PYTHON") and importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed here, and WEIR_SPARK_PYTHON names no Python that has it"
    java = _java(environment)
    if java is None:
        return f"no Java {JAVA} in JAVA_HOME or on the path"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) != JAVA:
        return f"{java} is Java {found[1] if found else 'of an unknown version'}, not {JAVA}"
    return None


def _java(environment: dict[str, str]) -> str | None:
    home = environment.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH"))


class Spark:
    """One session in a process of its own, asked a statement at a time."""

    def __init__(self, folder: Path) -> None:
        python = os.environ.get("WEIR_SPARK_PYTHON") or sys.executable
        iceberg = os.environ.get("WEIR_SPARK_ICEBERG", "")
        self.has_iceberg = bool(iceberg)
        self._log = (folder / "spark.log").open("w+")
        self._process = subprocess.Popen(
            [python, str(WORKER), str(folder), iceberg], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": python},
        )  # fmt: skip
        self.version = self._answer()["version"]

    def ask(self, sql: str) -> Answer:
        """Run one statement; SparkError where Spark refuses it."""
        assert self._process.stdin is not None
        print(json.dumps(sql), file=self._process.stdin, flush=True)
        answer = self._answer()
        if "error" in answer:
            raise SparkError(f"{answer['error']}\n{sql}")
        return Answer(answer["rows"], answer["types"])

    def read(self, name: str, parquet: Path) -> None:
        """Make a relation of a Parquet file."""
        self.ask(f"create or replace temporary view {name} as select * from parquet.`{parquet}`")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise SparkError(f"Spark ended: {self._log.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def ask_duckdb(connection: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    """Answer as Spark does."""
    relation = connection.sql(sql)
    types = [str(kind).lower() for kind in relation.types]
    return Answer([[written(v) for v in row] for row in relation.fetchall()], types)


def macros_of(engine: str) -> jinja2.Environment:
    """Return an environment whose templates may call the dispatched macros, for one engine."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)
    texts = [p.read_text() for p in sorted((PROJECT / "macros").glob("*.sql"))]
    text = "\n".join(t for t in texts if "adapter.dispatch(" in t)

    def dispatch(name: str, _package: str) -> Any:
        forms = (getattr(module, f"{kind}__{name}", None) for kind in (engine, "default"))
        return next(form for form in forms if form is not None)

    environment.globals.update(
        {
            "adapter": SimpleNamespace(dispatch=dispatch),
            "return": lambda value: value,
            "var": lambda _name, default: default,
        }
    )
    module = environment.from_string(text).module
    for name in dir(module):
        if not name.startswith("__"):
            environment.globals[name] = getattr(module, name)
    return environment
