"""A lake that outgrew one machine: landing and warehouse in S3, catalog and Dagster on PostgreSQL.

The same three simulated hours as the undisturbed lake on folders and SQLite, and the same gold;
here everything arrives at once, there in two waves.
Every address carries a canary secret, and no artefact of the run holds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import sqlalchemy as sa

from lake.deliveries import read_ledger
from lake.settings import load_settings
from orchestration.local import RunOutcome
from orchestration.settings import dagster_home

PASSWORD = "canary-of-postgres-9d1f"


@dataclass(frozen=True)
class Outgrown:
    weir: Any
    server: Any
    bucket: str
    catalog_url: str
    dagster_url: str
    runs: list[RunOutcome]

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.server.secret_key, PASSWORD)


def upload(server: Any, bucket: str, folder: Path) -> None:
    """Copy a folder to landing; versions of a key keep their order."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    for path in sorted(files, key=lambda p: p.stat().st_mtime_ns):
        key = f"landing/{path.relative_to(folder).as_posix()}"
        server.client.upload_file(str(path), bucket, key)
        path.unlink()


@pytest.fixture(scope="module")
def outgrown(
    make: Any, plan: Any, s3_server: Any, postgres_server: Any, tmp_path_factory: Any
) -> Iterator[Outgrown]:
    home, staging = tmp_path_factory.mktemp("outgrown") / "home", tmp_path_factory.mktemp("vendor")
    bucket = s3_server.new_bucket()
    urls = [postgres_server.new_database(PASSWORD) for _ in range(2)]
    environment = {
        **s3_server.environment(),
        "WEIR_LANDING": f"s3://{bucket}/landing",
        "WEIR_WAREHOUSE": f"s3://{bucket}/warehouse",
        # as people write it: without a driver
        "WEIR_CATALOG_URI": urls[0].replace("+psycopg2", ""),
    }
    weir = type(make(home))(load_settings(environment, home=home))
    plan.write_geo(home / "geo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("WEIR_DAGSTER_POSTGRES_URL", urls[1].replace("+psycopg2", ""))
        plan.deliver(staging, None, plan.last_arrival_at)
        upload(s3_server, bucket, staging)
        runs = weir.drain()
        # for whoever opens Dagster's storage past the commands, which put the driver in
        patch.setenv("WEIR_DAGSTER_POSTGRES_URL", urls[1])
        yield Outgrown(weir, s3_server, bucket, *urls, runs)


@pytest.mark.slow
def test_gold_is_what_it_is_on_one_machine(outgrown: Outgrown, undisturbed: Any) -> None:
    assert all(o.is_success for o in outgrown.runs)
    found, expected = outgrown.weir.gold(), undisturbed.weir.gold()
    assert list(found) == list(expected)
    for mart, rows in expected.items():
        assert len(found[mart]) == len(rows) > 0, mart
        for a, b in zip(found[mart], rows, strict=True):
            assert list(a) == [_rounded(v) for v in b], mart


@pytest.mark.slow
def test_nothing_but_the_home_is_on_the_machine(outgrown: Outgrown) -> None:
    home = outgrown.weir.settings.home
    assert not (home / "warehouse").exists()
    assert not (home / "catalog.db").exists()
    assert not list(dagster_home(home).rglob("*.db"))
    with psycopg2.connect(_dsn(outgrown.dagster_url)) as connection:
        cursor = connection.cursor()
        cursor.execute("select count(*) from runs where status = 'SUCCESS'")
        assert cursor.fetchone() == (len(outgrown.runs),)


@pytest.mark.slow
def test_commands_answer(outgrown: Outgrown) -> None:
    weir = outgrown.weir
    asked = weir.command("sql", "select count(*) as n from gold.traffic_5m", "--json")
    assert asked.returncode == 0, asked.stderr
    rows = weir.query("select count(*) from {gold_traffic_5m}")
    assert json.loads(asked.stdout) == [{"n": rows[0][0]}]
    state = weir.command("status", "--json")
    assert state.returncode == 0, state.stderr
    assert weir.command("ingest").stdout == "nothing new in landing; nothing changed\n"
    outside = weir.command("sql", f"from read_text('s3://{outgrown.bucket}/landing/x')")
    assert outside.returncode == 2
    assert "Permission Error: Cannot access file" in outside.stderr


@pytest.mark.slow
def test_serving_shows_files_in_s3_as_any_client_names_them(outgrown: Outgrown) -> None:
    with duckdb.connect(str(outgrown.weir.settings.serving_file), read_only=True) as serving:
        views = serving.execute("select sql from duckdb_views() where not internal").fetchall()
        release = serving.execute("select count(*) from weir.release").fetchall()
    assert release[0][0] > 0
    assert all(f"s3://{outgrown.bucket}/warehouse/" in sql for (sql,) in views)


@pytest.mark.slow
def test_no_artefact_of_the_run_holds_a_secret(outgrown: Outgrown) -> None:
    weir, secrets = outgrown.weir, [s.encode() for s in outgrown.secrets]
    wrong = weir.command("ingest", WEIR_S3_ENDPOINT="http://127.0.0.1:9",
                         WEIR_LANDING_S3_ENDPOINT="http://127.0.0.1:9")  # fmt: skip
    assert wrong.returncode != 0
    told = (wrong.stdout + wrong.stderr).encode()
    with weir.instance() as instance:
        told += instance.info_str().encode()
    told += repr((weir.settings, read_ledger(weir.catalog), weir.catalog)).encode()
    for url in (outgrown.catalog_url, outgrown.dagster_url):
        told += _dump(url)
    client = outgrown.server.client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=outgrown.bucket):
        for found in page["Contents"]:
            told += client.get_object(Bucket=outgrown.bucket, Key=found["Key"])["Body"].read()
    assert [s for s in secrets if s in told] == []
    project = Path(__file__).parents[2] / "dbt_project"
    files = [*weir.settings.home.rglob("*"), *(project / "target").rglob("*"),
             *(project / "logs").rglob("*")]  # fmt: skip
    leaks = [f for f in files if f.is_file() and any(s in f.read_bytes() for s in secrets)]
    assert leaks == []


def _rounded(value: Any) -> Any:
    """Return a value as two runs must agree on it: money and counts exactly, floats to 1e-9."""
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


def _dsn(url: str) -> str:
    made = sa.make_url(url)
    return f"host={made.query['host']} user={made.username} dbname={made.database}"


def _dump(url: str) -> bytes:
    """Return every row of every table of a database."""
    found = b""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        for name in sa.inspect(engine).get_table_names():
            found += repr(connection.execute(sa.text(f'select * from "{name}"')).all()).encode()
    engine.dispose()
    return found
