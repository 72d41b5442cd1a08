"""Catalog on PostgreSQL or REST and warehouse in S3: same tables, same reads, no secret shown."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lake.catalog import ensure_all, open_catalog, table_of
from lake.landing import FolderLanding
from lake.locations import LocationError, S3Location, sqlite_file, sqlite_uri
from lake.reads import connect, relation_sql
from lake.records import DELIVERIES, REC_EVENTS, RECORDS, RELEASES
from lake.settings import load_settings, storage_environment

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CANARY = "canary-of-a-secret"


def file_of(make, n: int) -> bytes:
    return make.file(
        "rec_events",
        [make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": 1794823205123})],
    )


# --- settings ----------------------------------------------------------------------------------


def test_landing_and_warehouse_are_each_a_folder_or_a_prefix(tmp_path):
    mixed = load_settings(
        {"WEIR_LANDING": "s3://logs/a/b/", "WEIR_WAREHOUSE": f"file://{tmp_path}/my%20lake"},
        home=tmp_path,
    )
    assert mixed.landing == S3Location("logs", "a/b/")
    assert str(mixed.landing) == "s3://logs/a/b"
    assert mixed.warehouse == tmp_path / "my lake"
    assert load_settings({"WEIR_WAREHOUSE": "s3://lake"}).warehouse == S3Location("lake", "")
    plain = load_settings({}, home=tmp_path)
    assert (plain.landing, plain.warehouse) == (tmp_path / "landing", tmp_path / "warehouse")


def test_landing_takes_keys_of_its_own_and_never_half_of_them():
    shared = {"WEIR_S3_ACCESS_KEY_ID": "lake", "WEIR_S3_SECRET_ACCESS_KEY": "s1",
              "WEIR_S3_SESSION_TOKEN": "t1", "WEIR_S3_ENDPOINT": "https://s3.example"}  # fmt: skip
    one = load_settings(shared)
    assert one.landing_s3 == one.s3
    own = {"WEIR_LANDING_S3_ACCESS_KEY_ID": "vendor", "WEIR_LANDING_S3_SECRET_ACCESS_KEY": "s2"}
    two = load_settings({**shared, **own})
    assert two.s3.secret_access_key == "s1"
    assert two.landing_s3.endpoint == "https://s3.example"
    access = two.landing_s3
    assert (access.access_key_id, access.secret_access_key) == ("vendor", "s2")
    assert access.session_token is None
    with pytest.raises(LocationError, match="WEIR_LANDING_S3_ACCESS_KEY_ID and"):
        load_settings({**shared, "WEIR_LANDING_S3_ACCESS_KEY_ID": "vendor"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEIR_LANDING", f"s3://key:{CANARY}@bucket/x"),
        ("WEIR_LANDING", f"gs://{CANARY}/x"),
        ("WEIR_LANDING", "s3:///x"),
        ("WEIR_WAREHOUSE", "s3://bucket/a*b"),
        ("WEIR_WAREHOUSE", "/tmp/with#hash"),
        ("WEIR_S3_ENDPOINT", f"https://user:{CANARY}@s3.example"),
        ("WEIR_S3_ENDPOINT", "s3.example"),
        ("WEIR_S3_SECRET_ACCESS_KEY", CANARY),
        ("WEIR_S3_ADDRESSING", "sideways"),
        ("WEIR_CATALOG_URI", CANARY),
        ("WEIR_CATALOG_URI", f"mysql://u:{CANARY}@h/db"),
        ("WEIR_CATALOG_URI", f"https://u:{CANARY}@catalog.example"),
    ],
)
def test_a_setting_that_names_nothing_is_refused_without_its_secret(name, value):
    with pytest.raises(LocationError) as caught:
        load_settings({name: value})
    assert name.rsplit("_", 2)[0] in str(caught.value)
    assert CANARY not in str(caught.value)


def test_settings_show_no_secret_and_a_child_reads_them_back(tmp_path):
    given = {
        "WEIR_LANDING": "s3://logs/in",
        "WEIR_WAREHOUSE": "s3://lake/tables",
        "WEIR_CATALOG_URI": f"postgresql://weir:{CANARY}@db/catalog",
        "WEIR_CATALOG_TOKEN": CANARY,
        "WEIR_S3_ACCESS_KEY_ID": "lake",
        "WEIR_S3_SECRET_ACCESS_KEY": CANARY,
        "WEIR_S3_SESSION_TOKEN": CANARY,
        "WEIR_S3_ETAG_IS_MD5": "false",
    }
    made = load_settings(given, home=tmp_path)
    assert CANARY not in repr(made) + str(made) + f"{made.s3}"
    assert made.catalog_uri == f"postgresql+psycopg2://weir:{CANARY}@db/catalog"
    assert load_settings(storage_environment(made), home=tmp_path) == made


@pytest.mark.parametrize("name", ["my lake", "100%25 full", "üñí", "it's"])
def test_a_home_may_be_called_anything_that_a_person_calls_a_folder(tmp_path, lake_at, make, name):
    box = lake_at(tmp_path / name)
    assert sqlite_file(box.settings.catalog_uri) == tmp_path / name / "home" / "catalog.db"
    assert sqlite_file(sqlite_uri(Path("/a?b/c.db"))) == Path("/a?b/c.db")
    box.land("rec_events/1.gz", file_of(make, 1))
    assert box.run(REC_EVENTS).by_state == {"loaded": 1}
    assert box.count("bronze.rec_events") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


# --- catalogs ----------------------------------------------------------------------------------


def test_workers_that_start_at_once_on_a_fresh_postgres_make_one_set_of_tables(
    tmp_path, postgres_url
):
    settings = load_settings({"WEIR_CATALOG_URI": postgres_url}, home=tmp_path)

    def start(_: int) -> list[str]:
        catalog = open_catalog(settings)
        ensure_all(catalog)
        return [str(table_of(catalog, r).metadata.table_uuid) for r in RECORDS.values()]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(start, range(4)))
    assert made == [made[0]] * 4


def test_a_wrong_password_is_not_repeated_in_the_error(tmp_path):
    uri = f"postgresql://weir:{CANARY}@127.0.0.1:9/none"
    with pytest.raises(Exception, match="refused") as caught:
        open_catalog(load_settings({"WEIR_CATALOG_URI": uri}, home=tmp_path))
    assert CANARY not in str(caught.value) + repr(caught.value.__cause__)


# --- warehouse in S3 ---------------------------------------------------------------------------


@pytest.fixture
def remote(tmp_path, s3_server, s3_proxy, postgres_url, make):
    """Return settings of a lake in S3 and PostgreSQL behind the proxy."""
    environment = {
        **s3_server.environment(s3_proxy.endpoint),
        "WEIR_WAREHOUSE": f"s3://{s3_server.new_bucket()}/my lake",
        "WEIR_CATALOG_URI": postgres_url,
    }
    return load_settings(environment, home=tmp_path / "home")


def test_duckdb_asks_for_a_data_file_once_and_reads_what_is_in_it(remote, box, make, s3_proxy):
    box.land("rec_events/1.gz", file_of(make, 1))
    catalog = open_catalog(remote)
    ensure_all(catalog)
    landing = FolderLanding(box.settings.landing)
    report = box.ingest_of(REC_EVENTS, landing=landing, catalog=catalog).run()
    assert report.by_state == {"loaded": 1}
    table = catalog.load_table("bronze.rec_events")
    with pytest.raises(duckdb.Error, match=r"s3|httpfs"), duckdb.connect() as plain:
        plain.execute(relation_sql(table))
    s3_proxy.clear()
    with connect(table) as connection:
        ids = connection.execute(f"select event_id from ({relation_sql(table)})").fetchall()
    assert ids == [("e-1",)]
    asked = [(r.method, r.path) for r in s3_proxy.log if r.path.endswith(".parquet")]
    assert [m for m, _ in asked] == ["HEAD", "GET"]


@pytest.mark.slow
def test_a_warehouse_that_fails_three_requests_of_ten_is_worked_through(
    remote, box, make, s3_proxy
):
    for n in range(3):
        box.land(f"rec_events/{n}.gz", file_of(make, n))
    catalog = open_catalog(remote)
    ensure_all(catalog)
    landing = FolderLanding(box.settings.landing)
    s3_proxy.at_random(0.3, 5, "status", "reset", "cut")
    report = box.ingest_of(REC_EVENTS, landing=landing, catalog=catalog).run()
    assert report.by_state == {"loaded": 3}
    assert {r.fault for r in s3_proxy.log} >= {"status", "reset"}
    again = box.ingest_of(REC_EVENTS, landing=landing, catalog=catalog).run()
    assert again.changes == ()
    table = catalog.load_table("bronze.rec_events")
    with connect(table) as connection:
        ids = connection.execute(f"select event_id from ({relation_sql(table)}) order by 1")
        assert [i for (i,) in ids.fetchall()] == ["e-0", "e-1", "e-2"]


@pytest.mark.slow
def test_an_answer_lost_after_a_write_leaves_one_copy(remote, box, make, s3_proxy):
    """S3 did it and says 500: the write is repeated, under the same name."""
    box.land("rec_events/1.gz", file_of(make, 1))
    catalog = open_catalog(remote)
    ensure_all(catalog)
    s3_proxy.add("lose_response", method="PUT", p=0.5, status=500)
    s3_proxy.add("lose_response", method="POST", p=0.5, status=500)
    landing = FolderLanding(box.settings.landing)
    assert box.ingest_of(REC_EVENTS, landing=landing, catalog=catalog).run().by_state == {
        "loaded": 1
    }
    assert any(r.fault for r in s3_proxy.log)
    s3_proxy.clear()
    assert box.ingest_of(REC_EVENTS, landing=landing, catalog=catalog).run().changes == ()
    table = catalog.load_table(DELIVERIES.identifier)
    assert len(table.metadata.snapshots) == 1


# --- REST --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tables_are_made_written_and_read_through_a_rest_catalog(tmp_path, s3_server):
    """Not an ingest: SeaweedFS's table buckets refuse files that Iceberg does not name."""
    bucket = s3_server.new_bucket("unused").replace("unused", "tables")
    weed = subprocess.run(
        [s3_server.program, "shell", f"-master={s3_server.master}", f"-filer={s3_server.filer}"],
        input=f"s3tables.bucket -create -name {bucket} -account admin\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert weed.returncode == 0, weed.stderr
    rest = s3_server.iceberg_endpoint
    settings = load_settings(
        {
            **s3_server.environment(),
            "WEIR_CATALOG_URI": rest,
            "WEIR_CATALOG_WAREHOUSE": f"s3://{bucket}/",
            "WEIR_CATALOG_CREDENTIAL": f"{s3_server.access_key}:{s3_server.secret_key}",
            "WEIR_CATALOG_OAUTH2_URI": f"{rest}/v1/oauth/tokens",
            "WEIR_CATALOG_SCOPE": "PRINCIPAL_ROLE:ALL",
        },
        home=tmp_path / "rest",
    )
    catalog = open_catalog(settings)
    ensure_all(catalog)
    table = table_of(catalog, RELEASES)
    row = {"release_no": 1, "released_at": NOW, "refresh_id": "r", "marts": []}
    for _ in range(2):  # the second is a commit on top of another
        table.append(pa.Table.from_pylist([row], schema=RELEASES.arrow))
    again = table_of(open_catalog(settings), RELEASES)
    with connect(again) as connection:
        found = connection.execute(f"select release_no, released_at from ({relation_sql(again)})")
        assert found.fetchall() == [(1, NOW)] * 2
