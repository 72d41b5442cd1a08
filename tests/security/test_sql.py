"""weir sql reads the lake and nothing else, whatever it is asked."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lake.settings import LakeSettings, load_settings
from orchestration.cli import app
from orchestration.commands import sql
from orchestration.operations import open_lake

SECRET = "the canary sings"


@pytest.fixture(autouse=True)
def no_weir_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WEIR_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LakeSettings:
    """Return an empty lake with secrets around it."""
    made = load_settings({}, home=tmp_path_factory.mktemp("security") / "home")
    open_lake(made)
    for path in ("secrets/hmac_key", "landing/raw.csv", "serving.duckdb.csv", "warehouse2/x.csv"):
        (made.home / path).parent.mkdir(parents=True, exist_ok=True)
        (made.home / path).write_text(SECRET)
    (made.warehouse / "part.csv").write_text("a\n1\n")
    return made


@pytest.fixture
def ask(settings: LakeSettings) -> Callable[..., Result]:
    def invoke(query: str, *flags: str) -> Result:
        result = CliRunner().invoke(app, ["sql", query, *flags, "--dir", str(settings.home)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return invoke


@pytest.fixture
def unchanged(settings: LakeSettings, tmp_path: Path) -> Iterator[None]:
    """Require that the test leaves every file of the home as it was, and makes none."""

    def state() -> dict[str, tuple[int, int]]:
        return {
            str(p): (p.stat().st_size, p.stat().st_mtime_ns)
            for p in settings.home.rglob("*")
            if p.is_file()
        }

    before = state()
    yield
    assert state() == before
    assert list(tmp_path.iterdir()) == []


NOT_A_SELECT = [
    "select 1; select 2",
    "select 1; drop table x",
    "",
    "  ;  ",
    "/* a remark */",
    "copy (select 1) to '{out}/x.csv'",
    "copy (select 1) to '{warehouse}/x.csv'",
    "copy ops.rejects from '{warehouse}/part.csv'",
    "export database '{out}/dump'",
    "import database '{out}/dump'",
    "attach '{home}/catalog.db'",
    "attach ':memory:' as other",
    "detach memory",
    "install httpfs",
    "load httpfs",
    "force install spatial from 'http://127.0.0.1:1'",
    "pragma database_list",
    "pragma enable_profiling",
    "set memory_limit = '1TB'",
    "set enable_external_access = true",
    "reset lock_configuration",
    "call pragma_version()",
    "create table t as select 1",
    "create or replace view ops.rejects as select 1",
    "create macro f() as 1",
    "create secret s (type s3, key_id 'a', secret 'b')",
    "drop view ops.rejects",
    "insert into ops.rejects select * from ops.rejects",
    "update ops.rejects set key = ''",
    "delete from ops.rejects",
    "alter view ops.rejects rename to x",
    "prepare p as select 1",
    "execute p",
    "begin",
    "checkpoint",
    "vacuum",
    "use memory",
    "explain analyze select 1",
    "comment on view ops.rejects is 'x'",
]

WRITING = [
    "with x as (copy (select 1) to '{warehouse}/x.csv') select * from x",
    "with x as (copy (select 1) to '{warehouse}/part.csv') select 1",
    "with x as (copy (select 1 a, 2 b) to '{warehouse}/p' (format parquet, partition_by a)) "
    "select 1",
    "with x as (copy (select 1) to '{warehouse}/x.csv') select 1 where false",
    "with x as (copy (select 1) to '{warehouse}/x.csv') from x limit 0",
    "WITH y AS (SELECT 1), x AS MATERIALIZED (COPY (SELECT 1) TO '{warehouse}/x.csv') FROM y",
    "from query('with x as (copy (select 1) to ''{warehouse}/x.csv'') select * from x')",
    "from query('copy (select 1) to ''{warehouse}/x.csv''')",
    "select exists (with x as (copy (select 1) to '{warehouse}/x.csv') select * from x)",
    "with x as (insert into ops.rejects select * from ops.rejects returning *) select * from x",
    "with x as (delete from ops.rejects returning *) select * from x",
    "with x as (update ops.rejects set key = '' returning *) select * from x",
]

OUTSIDE = [
    "select * from read_text('/etc/passwd')",
    "select * from read_blob('/etc/passwd')",
    "select * from read_csv('/etc/passwd')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from read_text('/proc/self/environ')",
    "select * from read_text('{home}/secrets/hmac_key')",
    "select * from read_blob('{home}/catalog.db')",
    "select * from parquet_metadata('{home}/catalog.db')",
    "select * from read_csv('{home}/landing/raw.csv')",
    "select * from read_csv('{home}/warehouse2/x.csv')",
    "from '{home}/landing/raw.csv'",
    "from 'raw.csv'",
    "select * from read_text('{warehouse}/../secrets/hmac_key')",
    "select * from read_text('{warehouse}/bronze/../../secrets/hmac_key')",
    "select * from read_text('{warehouse}//..//secrets/hmac_key')",
    "select * from read_text('file://{home}/secrets/hmac_key')",
    "select * from read_text(['{warehouse}/part.csv', '{home}/secrets/hmac_key'])",
    "select * from glob('/*')",
    "select * from glob('{home}/*')",
    "select * from glob('{warehouse}/../*')",
    "select * from read_json('http://127.0.0.1:1/x')",
    "select * from read_parquet('s3://bucket/x')",
    "select * from duckdb_secrets()",
    "select getenv('HOME')",
    "select * from sqlite_scan('{home}/catalog.db', 'iceberg_tables')",
    "select * from iceberg_scan('{warehouse}')",
    "select * from python_list",
    "select * from query_table('/etc/passwd')",
    "from query('select * from read_text(''/etc/passwd'')')",
    "select read_text('/etc/passwd')",
]


def filled(query: str, settings: LakeSettings, out: Path) -> str:
    return query.format(home=settings.home, warehouse=settings.warehouse, out=out)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", NOT_A_SELECT)
def test_only_one_select_is_run(
    ask: Callable[..., Result], settings: LakeSettings, tmp_path: Path, query: str
) -> None:
    result = ask(filled(query, settings, tmp_path))

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "expected one SELECT, found" in result.stderr or "Parser Error" in result.stderr


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", WRITING)
def test_a_select_that_writes_is_not_run(
    ask: Callable[..., Result], settings: LakeSettings, tmp_path: Path, query: str
) -> None:
    result = ask(filled(query, settings, tmp_path))

    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", OUTSIDE)
def test_nothing_outside_the_warehouse_is_read(
    ask: Callable[..., Result], settings: LakeSettings, tmp_path: Path, query: str
) -> None:
    python_list = [SECRET]  # what a replacement scan would find  # noqa: F841

    result = ask(filled(query, settings, tmp_path), "--json")

    assert result.exit_code == 2
    assert SECRET not in result.stdout + result.stderr
    assert "root:" not in result.stdout


def test_a_link_out_of_the_warehouse_is_not_a_way_to_the_key(
    ask: Callable[..., Result], settings: LakeSettings
) -> None:
    link = settings.warehouse / "link.csv"
    link.symlink_to(settings.home / "secrets" / "hmac_key")
    try:
        result = ask(f"select * from glob('{settings.warehouse}/*.csv')")
    finally:
        link.unlink()

    assert SECRET not in result.stdout


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "select 1;",
        "values (1)",
        "from ops.rejects",
        "with x as (select 1 as a) select * from x",
        "with recursive x(a) as (select 1 union all select a + 1 from x where a < 3) from x",
        "describe ops.rejects",
        "summarize ops.rejects",
        "select 'copy into; delete from x' as insert_text -- copy",
        "from query('select 42')",
    ],
)
def test_harmless_queries_are_run(ask: Callable[..., Result], query: str) -> None:
    assert ask(query, "--csv").exit_code == 0


def test_a_running_query_cannot_change_the_locked_configuration(settings: LakeSettings) -> None:
    with sql.connect(settings) as connection:
        for change in ("set memory_limit = '1TB'", "set enable_external_access = true"):
            with pytest.raises(duckdb.Error, match="locked"):
                connection.execute(change)
        found = dict(connection.execute(
            "select name, value from duckdb_settings() where name in "
            "('autoload_known_extensions', 'autoinstall_known_extensions', "
            "'enable_external_access', 'lock_configuration', 'temp_directory')"
        ).fetchall())  # fmt: skip
    assert found == {
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
        "temp_directory": "",
    }


def test_a_query_that_does_not_end_is_ended(
    ask: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_TIMEOUT_SECONDS", 0.5)

    result = ask("select count(*) from range(10000000) a, range(10000000) b")

    assert result.exit_code == 2
    assert "Interrupted" in result.stderr


def test_a_query_that_gathers_too_much_is_ended_by_the_memory_limit(
    settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_MEMORY_LIMIT", "100MB")
    with sql.connect(settings) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(
            sql.checked(connection, "select list(i) from range(100000000) t(i)")
        ).fetchall()


LARGE = """
import sys
from orchestration.cli import app
sys.stdout = open("/dev/null", "w")
query = ["sql", "from range(5000000)", sys.argv[1], "--dir", sys.argv[2]]
app(query, standalone_mode=False)
"""

# Linux starts ru_maxrss at the size of the parent, which here is the whole test run: a small
# process in between asks for the memory of its own child.
MEASURE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // unit)
"""


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--csv", "--json", "--limit=5"])
def test_a_large_result_is_printed_without_being_held(settings: LakeSettings, flag: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, LARGE, flag, str(settings.home)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) < 400


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://x","y")',
        "+1",
        "-1",
        "-cmd|' /C calc'!A0",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
    ],
)
def test_a_formula_cell_gets_an_apostrophe(ask: Callable[..., Result], cell: str) -> None:
    literal = cell.replace("'", "''")

    result = ask(f"select '{literal}' as a, 'plain' as b", "--csv")

    assert parsed(result.stdout) == [["a", "b"], ["'" + cell, "plain"]]


def test_a_formula_as_a_column_name_gets_an_apostrophe(ask: Callable[..., Result]) -> None:
    assert parsed(ask('select 1 as "=1+1"', "--csv").stdout) == [["'=1+1"], ["1"]]


def test_negative_numbers_stay_numbers(ask: Callable[..., Result]) -> None:
    result = ask("select -1 as a, -1.50::decimal(9, 2) as b, -2.5::double as c", "--csv")

    assert result.stdout == "a,b,c\n-1,-1.50,-2.5\n"


def test_a_cell_cannot_begin_a_row_of_its_own(ask: Callable[..., Result]) -> None:
    result = ask("select 'a' || chr(13) || '=1+1' as a, 'b' || chr(10) || '=2' as b", "--csv")

    assert '"a\r=1+1","b\n=2"' in result.stdout


HOSTILE = "chr(27) || '[31m' || chr(155) || chr(8238) || chr(8294) || chr(8232) || chr(7) || chr(0)"


def steers(text: str) -> list[str]:
    return [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}]


@pytest.mark.parametrize("flag", ["--limit=9", "--json"])
def test_values_that_would_steer_a_terminal_come_out_escaped(
    ask: Callable[..., Result], flag: str
) -> None:
    result = ask(f"select {HOSTILE} as a, [{HOSTILE}] as b, {{'k': {HOSTILE}}} as c", flag)

    assert result.exit_code == 0
    assert steers(result.stdout) == []
    assert "\\x1b" in result.stdout or "\\u001b" in result.stdout


@pytest.mark.parametrize(
    "query",
    [
        "select \x1b[31m\u202e from",
        'select * from "\x1b[31m\u202e\u2066"',
        f"select error({HOSTILE})",
        f"select cast({HOSTILE} as integer)",
    ],
)
def test_errors_that_quote_data_come_out_escaped(ask: Callable[..., Result], query: str) -> None:
    result = ask(query)

    assert result.exit_code == 2
    assert steers(result.stderr) == []


def test_a_column_name_that_would_steer_a_terminal_comes_out_escaped(
    ask: Callable[..., Result],
) -> None:
    result = ask('select 1 as "\x1b[31m\u202e[bold]x[/bold]"')

    assert steers(result.stdout) == []
    assert "[bold]x[/bold]" in result.stdout
