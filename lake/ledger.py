"""The ledger as an ingest asks it: what is new, what is known, what hangs together.

ops.deliveries grows for ever and an ingest must not: it reads the deliveries that share a key or a
content with what it holds, directly or over others. `settle` on such a slice says the same of its
members as on everything, because only deliveries of one key or one content look at each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.table import Table

from lake.deliveries import CURRENT, Delivery, deliveries_of
from lake.reads import connect, relation_sql

#: key and content of every row that hangs together with what is in `members`, history included
_GROW = """
insert into members
select distinct h.source, h.key, h.content_id, h.delivery_id from history h
where ((h.source, h.key) in (select (source, key) from members)
    or (h.source, h.content_id) in (select (source, content_id) from members))
  and h.delivery_id not in (select delivery_id from members where delivery_id is not null)
"""
_REPEATED = """
select source, key, content_id, delivery_id from (
  select *, count(*) over (partition by source, key) as versions,
    count(*) over (partition by source, content_id) as copies from ({current}))
where versions > 1 or copies > 1 or (state = 'loaded') <> (verdict in ('passed', 'released'))
"""


class Ledger:
    """ops.deliveries at the snapshot of a table handle, or rows of it; safe for several threads."""

    def __init__(self, history: Table | pa.Table) -> None:
        self._lock = threading.Lock()
        self._connection = connect(history if isinstance(history, Table) else None)
        if isinstance(history, pa.Table):
            self._connection.register("history", history)
        else:
            self._connection.execute(f"create view history as {relation_sql(history)}")
        self._passed: npt.NDArray[np.uint64] | None = None

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Answer a query over `{current}`: the current row of every delivery."""
        current = CURRENT.format(history="select * from history")
        with self._lock:
            return self._connection.execute(query.format(current=current)).fetchall()

    def unknown(self, delivery_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that the ledger does not know."""
        listed = pa.table({"delivery_id": pa.array(delivery_ids, pa.string())})
        with self._lock:
            self._connection.register("listed", listed)
            rows = self._connection.execute(
                "select delivery_id from listed anti join history using (delivery_id)"
            ).fetchall()
            self._connection.unregister("listed")
        return {r[0] for r in rows}

    def passed(self, content_id: str) -> Delivery | None:
        """Return a delivery of a content that passed its audit; None where there is none."""
        with self._lock:
            if self._passed is None:
                found = self._connection.execute(
                    "select distinct ('0x' || content_id[:16])::ubigint as h from history "
                    "where verdict = 'passed' and lines is not null order by h"
                ).fetchnumpy()
                self._passed = np.asarray(found["h"], dtype=np.uint64)
            wanted = np.uint64(int(content_id[:16], 16))
            at = int(np.searchsorted(self._passed, wanted))
            if at == len(self._passed) or self._passed[at] != wanted:
                return None
            known = self._current(
                "select delivery_id from history where content_id = $1", [content_id]
            ).values()
        return next(
            (
                d
                for d in known
                if d.content_id == content_id and d.verdict == "passed" and d.lines is not None
            ),
            None,
        )

    def related(
        self, seeds: Iterable[Delivery], delivery_ids: Iterable[str] = ()
    ) -> dict[str, Delivery]:
        """Return what hangs together with deliveries, in the ledger or not, or with known ids."""
        rows = [(d.source, d.key, d.content_id, d.delivery_id) for d in seeds]
        with self._lock:
            self._start(rows)
            self._connection.execute(
                "insert into members select distinct source, key, content_id, delivery_id "
                "from history where delivery_id in (select unnest($1::varchar[]))",
                [list(delivery_ids)],
            ).fetchall()
            return self._grown()

    def repeated(self) -> dict[str, Delivery]:
        """Return every delivery that is not alone with its key and content, or looks unsettled."""
        with self._lock:
            self._start([])
            current = CURRENT.format(history="select * from history")
            self._connection.execute(
                "insert into members " + _REPEATED.format(current=current)
            ).fetchall()
            return self._grown()

    def _start(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        self._connection.execute(
            "create or replace temp table members "
            "(source varchar, key varchar, content_id varchar, delivery_id varchar)"
        )
        if rows:
            columns = zip(*rows, strict=True)
            names = ("source", "key", "content_id", "delivery_id")
            seeds = pa.table(
                {n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)}
            )
            self._connection.register("seeds", seeds)
            # a seed that the ledger knows comes back with every content it ever had
            self._connection.execute(
                "insert into members select source, key, content_id, null from seeds"
            )
            self._connection.unregister("seeds")

    def _grown(self) -> dict[str, Delivery]:
        while True:
            before = self._count()
            self._connection.execute(_GROW).fetchall()
            if self._count() == before:
                break
        return self._current("select delivery_id from members")

    def _current(self, ids: str, params: Sequence[object] = ()) -> dict[str, Delivery]:
        """Return the current rows of the deliveries that a query names."""
        history = f"select * from history where delivery_id in ({ids})"
        found = self._connection.sql(CURRENT.format(history=history), params=list(params))
        return deliveries_of(found.to_arrow_table())

    def _count(self) -> int:
        found = self._connection.execute("select count(*) from members").fetchall()
        return int(found[0][0])


class Books:
    """The ledger that was opened last: as long as the table stays as it is, it is not read again.

    A run plans on the same state of the ledger several times. Not thread-safe; the ledgers are.
    """

    def __init__(self) -> None:
        self._open: Ledger | None = None
        self._state: str | None = None

    def at(self, history: Table) -> Ledger:
        """Return the ledger at the state of a table handle; that of another state is closed."""
        if self._open is None or self._state != history.metadata_location:
            self.close()
            self._open, self._state = Ledger(history), history.metadata_location
        return self._open

    def close(self) -> None:
        """Free the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Books:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
