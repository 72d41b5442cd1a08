"""SQLite, and another process holds the catalog."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

import lake.commit
from lake.catalog import open_catalog
from lake.outcome import CatalogError, in_plain_words
from lake.records import REC_EVENTS

from ..rec_feed import REC
from .batch import all_is_there_once, prepare

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
