"""Write requests as access logs of nginx and Apache: combined, and what fleets append to it.

Belongs here: what the two servers call things and how they escape them. Does not belong here:
files, delivery and incidents. The log formats themselves stand in docs/sources, as an operator
would paste them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from simulator.arrays import IntArray
from simulator.audience import Sessions
from simulator.cloudflare import ray_ids, statuses
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
from simulator.world import CUSTOMERS, DEVICES, HTTP_VERSIONS

_UNSAFE = re.compile(r'["\\\x00-\x1f\x7f-\xff]')
#: a cache of one tier has no word for a hit at a shield: to its log that is a miss
NGINX_STATES = {
    HIT: ("HIT", "HIT"),
    SHIELD_HIT: ("MISS", "MISS"),
    STALE: ("STALE", "UPDATING"),
    REVALIDATED: ("REVALIDATED", "REVALIDATED"),
    MISS: ("MISS", "EXPIRED"),
    BYPASS: ("BYPASS", "BYPASS"),
    ERROR: ("-", "-"),
    SYNTH: ("-", "-"),
    UNKNOWN: ("-", "-"),
}


def escape_nginx(text: str) -> str:
    r"""Escape a value as nginx does: bytes that are not plain become \xHH."""
    latin = text.encode().decode("latin-1")
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02X}", latin)


def escape_apache(text: str) -> str:
    r"""Escape a value as Apache does: quotes and backslashes by a backslash, others as \xhh."""
    latin = text.encode().decode("latin-1")
    return _UNSAFE.sub(
        lambda found: f"\\{found[0]}" if found[0] in '"\\' else f"\\x{ord(found[0]):02x}", latin
    )


def stamps(seconds: IntArray) -> list[str]:
    """Return instants as both servers write them, in UTC."""
    distinct, where = np.unique(seconds, return_inverse=True)
    texts = [
        moment.strftime("%d/%b/%Y:%H:%M:%S +0000") for moment in distinct.astype("M8[s]").tolist()
    ]
    return [texts[at] for at in where.tolist()]


def decimal_seconds(milliseconds: int) -> str:
    """Return seconds with three decimals."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


class Clients:
    """What each session repeats in every line: address, host, protocol, Referer and agent."""

    def __init__(self, sessions: Sessions) -> None:
        audience = sessions.audience
        self.addresses: list[str] = []
        self.hosts: list[str] = []
        self.protocols: list[str] = []
        self.referers: list[str] = []
        self.agents: list[str] = []
        self.tls: list[tuple[str, str]] = []
        for index, user in enumerate(sessions.user.tolist()):
            customer = CUSTOMERS[int(audience.customer[user])]
            device = DEVICES[int(audience.device[user])]
            self.addresses.append(audience.addresses[user])
            self.hosts.append(customer.live_host if sessions.is_live[index] else customer.vod_host)
            self.protocols.append(HTTP_VERSIONS[device.http][0])
            self.referers.append(
                f"https://www.{customer.slug}.example/watch" if device.is_web else "-"
            )
            self.agents.append(device.user_agent)
            self.tls.append(
                ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
                if device.http == 0
                else ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
            )

    def quoted(self, escape: Callable[[str], str]) -> list[str]:
        """Return Referer and agent of each session as combined logs have them."""
        return [
            f'"{referer}" "{escape(agent)}"'
            for referer, agent in zip(self.referers, self.agents, strict=True)
        ]


class NginxWriter(LineWriter):
    """Turns requests into lines of nginx; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        self._clients = clients = Clients(sessions)
        self._agents = clients.quoted(escape_nginx)
        self._tails = [
            f'{host} {version} {cipher} "{f"203.0.113.{n % 250}" if n % 97 == 5 else "-"}"'
            for n, (host, (version, cipher)) in enumerate(
                zip(clients.hosts, clients.tls, strict=True)
            )
        ]

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        clients, agents, tails = self._clients, self._agents, self._tails
        return [
            f"{clients.addresses[s]} - - [{stamp}] "
            f'"{METHODS[method]} {path}{"?" if query else ""}{query} {clients.protocols[s]}" '
            f"{status} {body} {agents[s]} {end // 1000}.{end % 1000:03d} {decimal_seconds(taken)} "
            f'{body + header} {380 + dice} {NGINX_STATES[cache][dice % 5 == 0]} "{upstream}" '
            f"{ray}{ray} {tails[s]}"
            for (
                s,
                stamp,
                method,
                path,
                query,
                status,
                body,
                end,
                taken,
                header,
                dice,
                cache,
                upstream,
                ray,
            ) in zip(
                rows.session.tolist(),
                stamps(rows.end_us // 1_000_000),
                rows.method.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                statuses(rows).tolist(),
                rows.body_bytes.tolist(),
                (rows.end_us // 1000).tolist(),
                (rows.duration_us // 1000).tolist(),
                rows.header_bytes.tolist(),
                rows.dice.tolist(),
                rows.cache.tolist(),
                _upstream_times(rows),
                ray_ids(self._seed, rows.serial),
                strict=True,
            )
        ]


def _upstream_times(rows: Requests) -> list[str]:
    """Return the times of upstream requests in s; one in eight was tried at two upstreams."""
    asked = (rows.cache == MISS) | (rows.cache == BYPASS) | (rows.cache == REVALIDATED)
    return [
        "-"
        if not is_asked
        else f"0.001, {decimal_seconds(ttfb)}"
        if dice % 8 == 0
        else decimal_seconds(ttfb)
        for is_asked, ttfb, dice in zip(
            asked.tolist(), rows.ttfb_ms.tolist(), rows.dice.tolist(), strict=True
        )
    ]


class ApacheWriter(LineWriter):
    """Turns requests into lines of Apache; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        self._clients = clients = Clients(sessions)
        self._agents = clients.quoted(escape_apache)

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        clients, agents = self._clients, self._agents
        return [
            f"{clients.addresses[s]} - - [{stamp}] "
            f'"{METHODS[method]} {path}{"?" if query else ""}{query} {clients.protocols[s]}" '
            f"{STATUS[ending] or '-'} {body or '-'} {agents[s]} {clients.hosts[s]} {taken} "
            f"{380 + dice} {body + header} {'X' if ending in (ABORTED, GONE) else '+'} {ray}"
            for s, stamp, method, path, query, ending, body, taken, header, dice, ray in zip(
                rows.session.tolist(),
                stamps((rows.end_us - rows.duration_us) // 1_000_000),
                rows.method.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                rows.ending.tolist(),
                rows.body_bytes.tolist(),
                rows.duration_us.tolist(),
                rows.header_bytes.tolist(),
                rows.dice.tolist(),
                ray_ids(self._seed, rows.serial),
                strict=True,
            )
        ]
