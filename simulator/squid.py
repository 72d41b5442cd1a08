"""Write requests as Squid's native access log, and what Traffic Server makes of that format.

Belongs here: result codes and hierarchy. Does not belong here: files, delivery and incidents.
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import IntArray
from simulator.audience import Sessions
from simulator.combined import Clients, decimal_seconds
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BYPASS,
    ERROR,
    GONE,
    HIT,
    METHODS,
    MISS,
    NOT_FOUND,
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    STATUS,
    SYNTH,
    UNKNOWN,
)
from simulator.traffic import Requests
from simulator.urls import content_type

#: a cache of one tier has no word for a hit at a shield, nor one for what nobody looked up
CODES = {
    HIT: ("TCP_HIT", "TCP_MEM_HIT"),
    SHIELD_HIT: ("TCP_MISS", "TCP_MISS"),
    STALE: ("TCP_REFRESH_FAIL_OLD", "TCP_REFRESH_FAIL_OLD"),
    REVALIDATED: ("TCP_REFRESH_UNMODIFIED", "TCP_REFRESH_UNMODIFIED"),
    MISS: ("TCP_MISS", "TCP_REFRESH_MODIFIED"),
    BYPASS: ("TCP_TUNNEL", "TCP_TUNNEL"),
    ERROR: ("NONE_NONE", "NONE_NONE"),
    SYNTH: ("TCP_REDIRECT", "TCP_REDIRECT"),
    UNKNOWN: ("NONE_NONE", "NONE_NONE"),
}
#: of Traffic Server, which has no word for what it must not cache nor for what is no object
ATS_CODES = {
    HIT: ("TCP_HIT", "TCP_MEM_HIT"),
    SHIELD_HIT: ("TCP_MISS", "TCP_MISS"),
    STALE: ("TCP_REF_FAIL_HIT", "TCP_REF_FAIL_HIT"),
    REVALIDATED: ("TCP_REFRESH_HIT", "TCP_REFRESH_HIT"),
    MISS: ("TCP_MISS", "TCP_REFRESH_MISS"),
    BYPASS: ("TCP_MISS", "TCP_MISS"),
    ERROR: ("TCP_MISS", "TCP_MISS"),
    SYNTH: ("TCP_MISS", "TCP_MISS"),
    UNKNOWN: ("TCP_MISS", "TCP_MISS"),
}


class SquidWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        self._first_origin = 10 + seed % 4
        self._clients = Clients(sessions)

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        clients = self._clients
        return [
            f"{decimal_seconds(at)} {taken:6d} {clients.addresses[s]} "
            f"{self._code(cache, dice, is_left=ending in (ABORTED, GONE))}/{STATUS[ending]:03d} "
            f"{sent} {METHODS[method]} {'http' if ending == REDIRECT else 'https'}://"
            f"{clients.hosts[s]}{path}{'?' if query else ''}{query} - {self._peer(asked, dice)} "
            f"{_kind(path, kind, ending)}"
            for at, taken, s, cache, dice, ending, sent, method, path, query, asked, kind in zip(
                (self._instants_us(rows) // 1000).tolist(),
                (rows.duration_us // 1000).tolist(),
                rows.session.tolist(),
                rows.cache.tolist(),
                rows.dice.tolist(),
                rows.ending.tolist(),
                (rows.body_bytes + rows.header_bytes).tolist(),
                rows.method.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                np.isin(rows.cache, (MISS, SHIELD_HIT, BYPASS, REVALIDATED)).tolist(),
                rows.kind.tolist(),
                strict=True,
            )
        ]

    def _instants_us(self, rows: Requests) -> IntArray:
        """Return the instants that are stamped: the ends."""
        return rows.end_us

    def _code(self, cache: int, dice: int, *, is_left: bool) -> str:
        """Return the result code; that a client left is said beside it."""
        return CODES[cache][dice % 2] + ("_ABORTED" if is_left else "")

    def _peer(self, asked: bool, dice: int) -> str:
        """Return how the object was fetched, and from whom."""
        return f"HIER_DIRECT/203.0.113.{self._first_origin + dice % 4}" if asked else "HIER_NONE/-"


class TrafficServerWriter(SquidWriter):
    """Turns requests into lines as Traffic Server writes Squid's format."""

    def _instants_us(self, rows: Requests) -> IntArray:
        """Return the instants that are stamped: the starts."""
        return rows.end_us - rows.duration_us

    def _code(self, cache: int, dice: int, *, is_left: bool) -> str:
        """Return the result code; that a client left is said in its place."""
        return "ERR_CLIENT_ABORT" if is_left else ATS_CODES[cache][dice % 2]


def _kind(path: str, kind: int, ending: int) -> str:
    """Return the content type, a hyphen where nothing was sent."""
    if ending == GONE:
        return "-"
    return "text/html" if NOT_FOUND <= ending <= REDIRECT else content_type(path, kind)
