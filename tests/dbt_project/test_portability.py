"""SQL stays portable: what belongs to one engine is dispatched, and both engines' parsers agree."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import sqlglot
from dbt.cli.main import dbtRunner

from .conftest import PROJECT

#: functions that one engine has and another has not, or under another meaning
ENGINES_OWN = re.compile(
    r"(?<!\.)\b(make_timestamptz|epoch_us|epoch_ms|epoch|time_bucket|strftime|unnest|generate_series|"
    r"list_\w+|struct_pack|quantile\w*|approx_\w+|arg_max|arg_min|count_if|any_value|explode|"
    r"timestamp_seconds|unix_seconds|try_divide|read_parquet|regexp_matches|isfinite)\s*\(|"
    r"\b(qualify|exclude|group by all|order by all|timestamptz)\b|//(?!\w*/)|::",
    re.IGNORECASE,
)
DISPATCHED = re.compile(
    r"\{% macro (?:default|duckdb|spark)__(\w+).*?\{%-? endmacro -?%\}", re.DOTALL
)
COMMENT = re.compile(r"\{#.*?#\}|--[^\n]*", re.DOTALL)
#: macros with an engine's own form, and why: the whole list, so that a new one is seen
KNOWN = {
    "whole_type", "div_floor", "quantity",  # whole numbers (macros/money.sql)
    "largest", "nth", "first_below", "count_turns",  # ranks (macros/ranks.sql)
    "instant", "instant_type", "slot_start", "slot_number", "slot_after", "slots_between",
    "midnight",  # time
    "add_days", "add_months", "days_between", "spine", "numbers",  # calendars
    "each_of",  # lists (macros/billing.sql)
    "replace_periods_sql",  # transactions
}  # fmt: skip


def _files() -> list[Path]:
    folders = ("models", "macros", "tests")
    return sorted(p for folder in folders for p in (PROJECT / folder).rglob("*.sql"))


def _outside_dispatch(text: str) -> list[str]:
    return [m[0] for m in ENGINES_OWN.finditer(COMMENT.sub("", DISPATCHED.sub("", text)))]


def test_functions_of_one_engine_stand_in_dispatched_macros_alone():
    found = {p.name: own for p in _files() if (own := _outside_dispatch(p.read_text()))}
    assert found == {}
    assert _outside_dispatch("select epoch_us(x) // 2") == ["epoch_us(", "//"]  # it would be seen


def test_the_dispatched_macros_are_these():
    text = "".join(p.read_text() for p in (PROJECT / "macros").glob("*.sql"))
    assert set(re.findall(r"adapter\.dispatch\('(\w+)'", text)) == KNOWN
    assert set(DISPATCHED.findall(text)) == KNOWN


def _compiled(project: Path, folder: Path) -> dict[str, str]:
    paths = ["--project-dir", str(project), "--profiles-dir", str(project)]
    paths += ["--target-path", str(folder / "target"), "--log-path", str(folder)]
    result = dbtRunner().invoke(["--quiet", "compile", *paths])
    assert result.success, result.exception
    return {
        n.node.name: n.node.compiled_code
        for n in result.result
        if n.node.resource_type in ("model", "test")
    }


@pytest.fixture
def without_duckdb(tmp_path) -> Path:
    """Return the project as another engine sees it: without the macros that are DuckDB's own."""
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    own = re.compile(r"\{% macro duckdb__.*?\{%-? endmacro -?%\}", re.DOTALL)
    for path in (copy / "macros").glob("*.sql"):
        path.write_text(own.sub("", path.read_text()))
    for path in (copy / "models").rglob("*.yml"):  # types of contracts are DuckDB's
        path.write_text(path.read_text().replace("timestamptz", "timestamp"))
    return copy


def test_every_compiled_model_and_test_is_sql_of_duckdb_and_of_spark(
    tmp_path, without_duckdb, monkeypatch
):
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    monkeypatch.setenv("WEIR_HOME", str(tmp_path / "home"))
    try:
        duckdb = _compiled(PROJECT, tmp_path / "duckdb")
        spark = _compiled(without_duckdb, tmp_path / "spark")
    finally:
        DuckDBConnectionManager.close_all_connections()
    assert duckdb.keys() == spark.keys()
    assert {"qos_5m", "qos_places_hourly", "qos_buckets_hourly", "qos_daily"} <= duckdb.keys()
    for name, sql in duckdb.items():
        assert len(sqlglot.parse(sql, read="duckdb")) == 1, name
    for name, sql in spark.items():
        assert "make_timestamptz" not in sql
        assert len(sqlglot.parse(sql, read="spark")) == 1, name
    with pytest.raises(sqlglot.errors.ParseError):
        sqlglot.parse("select from where", read="spark")
