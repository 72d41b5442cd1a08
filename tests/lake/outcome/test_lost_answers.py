"""A commit whose answer gets lost happened once, or is done again once: never twice, never none."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import replace

import pytest
from pyiceberg.exceptions import CommitStateUnknownException, ServiceUnavailableError
from sqlalchemy.exc import OperationalError

from lake.outcome import CatalogError, in_plain_words, is_passing
from lake.records import REC_EVENTS

from ..rec_feed import REC
from .batch import all_is_there_once, dropped, prepare

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
@pytest.mark.parametrize("error", SOME_AT_ONCE)
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
