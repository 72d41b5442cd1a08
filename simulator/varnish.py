"""Write requests as varnishncsa logs: NCSA, and what video fleets append to it.

Belongs here: what Varnish calls things. Does not belong here: files, delivery and incidents. The
format string stands in docs/sources/varnishncsa.yaml, as an operator would paste it.
"""

from __future__ import annotations

from simulator.audience import Sessions
from simulator.combined import Clients, escape_apache, stamps
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    BYPASS,
    ERROR,
    HIT,
    METHODS,
    MISS,
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    STATUS,
    SYNTH,
    UNKNOWN,
)
from simulator.traffic import Requests

#: (hitmiss, handling): grace and revalidation are hits to Varnish, a shield is behind it
STATES = {
    HIT: ("hit", "hit"),
    STALE: ("hit", "hit"),
    REVALIDATED: ("hit", "hit"),
    SHIELD_HIT: ("miss", "miss"),
    MISS: ("miss", "miss"),
    BYPASS: ("miss", "pass"),
    ERROR: ("miss", "error"),
    SYNTH: ("miss", "synth"),
    UNKNOWN: ("miss", "synth"),
}


class VarnishWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        self._clients = clients = Clients(sessions)
        self._agents = clients.quoted(escape_apache)

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        clients, agents = self._clients, self._agents
        # a transaction id of 2^31 and more cannot be told from one of another start of varnishd
        first = 32_770 + self._seed % 1_000
        return [
            f"{clients.addresses[s]} - - [{stamp}] "
            f'"{METHODS[method]} {"http" if ending == REDIRECT else "https"}://{clients.hosts[s]}'
            f'{path}{"?" if query else ""}{query} {clients.protocols[s]}" '
            f"{STATUS[ending]:03d} {body or '-'} {agents[s]} {ttfb // 1000}.{ttfb % 1000:03d}000 "
            f"{STATES[cache][0]} {STATES[cache][1]} {taken} {380 + dice} {body + header} "
            f"{first + serial}"
            for (
                s,
                stamp,
                method,
                ending,
                path,
                query,
                body,
                ttfb,
                cache,
                taken,
                dice,
                header,
                serial,
            ) in zip(
                rows.session.tolist(),
                stamps((rows.end_us - rows.duration_us) // 1_000_000),
                rows.method.tolist(),
                rows.ending.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                rows.body_bytes.tolist(),
                rows.ttfb_ms.tolist(),
                rows.cache.tolist(),
                rows.duration_us.tolist(),
                rows.dice.tolist(),
                rows.header_bytes.tolist(),
                rows.serial.tolist(),
                strict=True,
            )
        ]
