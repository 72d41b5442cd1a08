"""What became of a commit whose answer got lost, and errors of a catalog in plain words.

A connection that drops after COMMIT, an HTTP 502, a time-out: the catalog may have done it or not,
or may still be about to. Nothing that such a commit names may be deleted, and it is not repeated
before the table's own history was read again. A commit that lands later still finds the table
moved, or moves it first: the compare-and-swap of the catalog holds for it as for any other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.exceptions import RESTError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from sqlalchemy.exc import SQLAlchemyError

#: errors after which a commit may or may not have happened
UNSURE = (SQLAlchemyError, RESTError, OSError)
#: how often a step that met a silent catalog is tried, and the first pause, seconds
ATTEMPTS, PAUSE_S = 6, 0.25


class CatalogError(RuntimeError):
    """The catalog did not answer in a bounded time."""


def happened(table: Table, key: str, value: str) -> bool:
    """Tell whether a snapshot with this property is in the table's history as it is now.

    Raises what the catalog raises where it still does not answer.
    """
    now = table.catalog.load_table(table.name())
    current = now.current_snapshot()
    return current is not None and any(
        s.summary is not None and s.summary.get(key) == value
        for s in ancestors_of(current, now.metadata)
    )


def is_passing(err: BaseException) -> bool:
    """Tell whether an error may go away by itself: the catalog or the network, not the disk."""
    if isinstance(err, SQLAlchemyError):
        told = str(getattr(getattr(err, "orig", None), "sqlite_errorname", ""))
        return not told.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))
    if isinstance(err, RESTError | ConnectionError | TimeoutError):
        return True
    # a full disk, a lost right: the system says which; libraries of the network give no number
    return isinstance(err, OSError) and err.errno is None


def pause(attempt: int) -> None:
    """Wait before the next attempt, from 0: longer each time, never two workers in step."""
    time.sleep(PAUSE_S * 2**attempt * (0.5 + random.random()))  # noqa: S311 - no secret


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn what a catalog raises into an error that says what to do."""
    try:
        yield
    except (SQLAlchemyError, RESTError) as err:
        raise CatalogError(
            f"the catalog does not answer: {_first_line(err)}. What was begun is seen whole or "
            "not at all, and the next run completes it. Look whether the database is up and "
            "whether another process holds a lock on it, then run it again."
        ) from err


def _first_line(err: BaseException) -> str:
    """Return what the driver said; the statement and its values stay out of it."""
    text = str(getattr(err, "orig", None) or err).strip()
    return f"{type(err).__name__}: {text.splitlines()[0] if text else 'no message'}"
