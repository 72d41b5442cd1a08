"""What every writer of requests begins with: the paths and query strings of its sessions.

Belongs here: what no vendor calls by a name of its own. Does not belong here: formats (one module a
vendor), files, delivery and incidents.
"""

from __future__ import annotations

from simulator.audience import Sessions
from simulator.cmcd import ON_THE_WIRE, Escapes, QueryWriter
from simulator.urls import PathWriter


class LineWriter:
    """Prepares what does not change in a session; a writer adds how its vendor writes a line."""

    def __init__(self, seed: int, sessions: Sessions, escapes: Escapes = ON_THE_WIRE) -> None:
        self._seed = seed
        self._paths = PathWriter(sessions)
        self._queries = QueryWriter(sessions, escapes)
