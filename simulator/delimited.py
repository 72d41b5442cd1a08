"""Write requests as a delimited log that no vendor known here writes.

Belongs here: the words of a made-up vendor: semicolons, quotes, the end of a request in Tehran's
time, seconds and kilobytes. Does not belong here: files, delivery and incidents. Its source is
docs/sources/delimited.yaml.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from simulator.audience import Sessions
from simulator.cloudflare import ray_ids
from simulator.combined import Clients
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BYPASS,
    ERROR,
    GONE,
    HIT,
    METHODS,
    MISS,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    STATUS,
    SYNTH,
    UNKNOWN,
)
from simulator.traffic import Requests
from simulator.world import POPS

COLUMNS = (
    "id", "ended", "took_s", "first_s", "code", "kb", "kb_up", "verb", "host", "target", "who",
    "edge", "cache", "left", "relay", "proto", "referer", "agent",
)  # fmt: skip
HEADER = (";".join(COLUMNS),)
_STATES = {
    HIT: "warm",
    SHIELD_HIT: "tepid",
    STALE: "old",
    REVALIDATED: "asked",
    MISS: "cold",
    BYPASS: "never",
    ERROR: "fault",
    SYNTH: "made",
    UNKNOWN: "-",
}
_ZONE = timedelta(hours=3, minutes=30)


class DelimitedWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        clients = Clients(sessions)
        self._addresses, self._hosts = clients.addresses, clients.hosts
        self._ends = [
            f"{protocol};{referer};{_quoted(agent)}"
            for protocol, referer, agent in zip(
                clients.protocols, clients.referers, clients.agents, strict=True
            )
        ]

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        return [
            f"{ray};{_stamp(end)};{took / 1000:.3f};{ttfb / 1000};{STATUS[ending]};"
            f"{sent / 1000:.3f};{(380 + dice) / 1000:.3f};{METHODS[method]};{self._hosts[s]};"
            f"{_quoted(path + ('?' if query else '') + query)};{self._addresses[s]};"
            f"{POPS[pop].name};{_STATES[cache]};{_yes(ending in (ABORTED, GONE))};"
            f"{_yes(parent >= 0)};{self._ends[s]}"
            for (
                ray, end, took, ttfb, ending, sent, dice, method, s, path, query, pop, cache, parent
            ) in zip(
                ray_ids(self._seed, rows.serial),
                rows.end_us.tolist(),
                (rows.duration_us // 1000).tolist(),
                rows.ttfb_ms.tolist(),
                rows.ending.tolist(),
                (rows.body_bytes + rows.header_bytes).tolist(),
                rows.dice.tolist(),
                rows.method.tolist(),
                rows.session.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                rows.pop.tolist(),
                rows.cache.tolist(),
                rows.parent.tolist(),
                strict=True,
            )
        ]  # fmt: skip


def _yes(is_so: bool) -> str:
    return "y" if is_so else "n"


def _quoted(text: str) -> str:
    """Return a field of RFC 4180, in quotes where it must be."""
    if ";" not in text and '"' not in text:
        return text
    return '"' + text.replace('"', '""') + '"'


def _stamp(us: int) -> str:
    """Return an instant in us since 1970 as the vendor's clock shows it, to the millisecond."""
    local = datetime.fromtimestamp(us // 1_000_000, UTC) + _ZONE
    return f"{local:%d.%m.%Y %H:%M:%S}.{us // 1000 % 1000:03d}"
