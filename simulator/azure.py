"""Write requests as Azure Front Door's access log, one JSON object a line.

Belongs here: what the vendor calls things. Does not belong here: files, delivery and incidents.
The format stamps the end of a response and gives its duration in whole milliseconds; it has no
word for stale or revalidated objects.
"""

from __future__ import annotations

import json

import numpy as np

from simulator.arrays import scrambled
from simulator.audience import Sessions
from simulator.cloudflare import statuses
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BYPASS,
    GONE,
    HIT,
    METHODS,
    MISS,
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
)
from simulator.traffic import Requests
from simulator.world import CUSTOMERS, DEVICES, ISPS, POPS

_STATES = {
    HIT: "HIT",
    STALE: "HIT",
    REVALIDATED: "HIT",
    SHIELD_HIT: "REMOTE_HIT",
    MISS: "MISS",
    BYPASS: "CONFIG_NOCACHE",
}
_HTTP = ("1.1", "2.0", "3.0")
_HEAD = (
    '"resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CDN/PROFILES/WEIR",'
    '"category":"FrontDoorAccessLog","operationName":"Microsoft.Cdn/Profiles/AccessLog/Write"'
)


class AzureWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        audience = sessions.audience
        self._hosts: list[str] = []
        self._clients: list[str] = []
        self._tls: list[str] = []
        for index, user in enumerate(sessions.user.tolist()):
            isp = ISPS[int(audience.isp[user])]
            device = DEVICES[int(audience.device[user])]
            customer = CUSTOMERS[int(audience.customer[user])]
            live = bool(sessions.is_live[index])
            host = customer.live_host if live else customer.vod_host
            referer = f"https://www.{customer.slug}.example/watch" if device.is_web else ""
            self._hosts.append(host)
            self._clients.append(
                f'"httpVersion":"{_HTTP[device.http]}","hostName":"{host}",'
                f'"endpoint":"{"live" if live else "vod"}.z01.azurefd.net",'
                f'"userAgent":{json.dumps(device.user_agent)},"referer":"{referer}",'
                f'"clientIp":"{audience.addresses[user]}",'
                f'"socketIp":"{audience.addresses[user]}",'
                f'"clientPort":"{sessions.port[index]}","clientCountry":"{isp.country}"'
            )
            self._tls.append("TLS 1.2" if device.http == 0 else "TLS 1.3")

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        paths, hosts, clients = self._paths.paths(rows), self._hosts, self._clients
        return [
            f'{{{edge},"httpMethod":"{METHODS[method]}","requestUri":"'
            f"{'http' if ending == REDIRECT else 'https'}://{hosts[s]}:"
            f'{80 if ending == REDIRECT else 443}{path}{"?" if query else ""}{query}",'
            f'"requestBytes":"{380 + dice}",{clients[s]},'
            f'"securityProtocol":"{"" if ending == REDIRECT else self._tls[s]}",'
            f'"errorInfo":"{"ClientDisconnected" if ending in (ABORTED, GONE) else "NoError"}"}}}}'
            for edge, s, method, path, query, ending, dice in zip(
                _edges(self._seed, rows),
                rows.session.tolist(),
                rows.method.tolist(),
                paths,
                self._queries.queries(rows),
                rows.ending.tolist(),
                rows.dice.tolist(),
                strict=True,
            )
        ]


def _edges(seed: int, rows: Requests) -> list[str]:
    """Return the fields of each row that describe the edge; a child row has its parent's id."""
    origin = np.where(rows.parent >= 0, rows.parent, rows.serial)
    ids = scrambled(seed, origin, 2)
    return [
        f'"time":"{end}0Z",{_HEAD},"properties":{{"trackingReference":"0{high:016x}{low:016x}",'
        f'"isReceivedFromClient":"{"false" if parent >= 0 else "true"}",'
        f'"timeTaken":"{taken / 1e3:.3f}","timeToFirstByte":"{ttfb / 1e3:.3f}",'
        f'"responseBytes":"{sent}","httpStatusCode":"{status}","pop":"{POPS[pop].name[:3]}",'
        f'"cacheStatus":"{_STATES.get(cache, "N/A")}",'
        f'"originName":"{"origin.example:443" if cache in (MISS, BYPASS) else "N/A"}"'
        for end, (high, low), parent, taken, ttfb, sent, status, pop, cache in zip(
            np.datetime_as_string(rows.end_us.astype("M8[us]")).tolist(),
            ids.tolist(),
            rows.parent.tolist(),
            (rows.duration_us // 1_000).tolist(),
            rows.ttfb_ms.tolist(),
            (rows.body_bytes + rows.header_bytes).tolist(),
            statuses(rows).tolist(),
            rows.pop.tolist(),
            rows.cache.tolist(),
            strict=True,
        )
    ]
