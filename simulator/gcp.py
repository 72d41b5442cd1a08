"""Write requests as Google's LogEntry: live streams as Media CDN, the rest as Cloud CDN.

Belongs here: what the vendor calls things. Does not belong here: files, delivery and incidents.
Cloud CDN has no shield and no word for a stale object; Media CDN does not say which viewer left
in the middle. Requests that others caused are Media CDN's own to an origin.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from simulator.arrays import scrambled
from simulator.audience import Sessions
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BYPASS,
    GONE,
    HIT,
    METHODS,
    MISS,
    PARTIAL,
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    STATUS,
)
from simulator.traffic import Requests
from simulator.world import CUSTOMERS, DEVICES, HTTP_VERSIONS, ISPS, POPS

_CHAINS = {
    HIT: "hit",
    STALE: "hit,stale",
    REVALIDATED: "hit,revalidated",
    SHIELD_HIT: "hit,miss",
    MISS: "fetch,miss,miss",
    BYPASS: "uncacheable",
}
_LOOKED_UP: dict[str, Any] = {"cacheLookup": True}
_FLAGS: dict[int, dict[str, Any]] = {
    HIT: {**_LOOKED_UP, "cacheHit": True},
    STALE: {**_LOOKED_UP, "cacheHit": True},
    REVALIDATED: {**_LOOKED_UP, "cacheHit": True, "cacheValidatedWithOriginServer": True},
    SHIELD_HIT: _LOOKED_UP,
    MISS: _LOOKED_UP,
}
_DETAILS = {
    HIT: "response_from_cache",
    STALE: "response_from_cache",
    REVALIDATED: "response_from_cache_validated",
    SHIELD_HIT: "response_sent_by_backend",
    MISS: "response_sent_by_backend",
    BYPASS: "response_sent_by_backend",
}
_MEDIA = {
    "type": "edgecache.googleapis.com/EdgeCacheRouteRule",
    "labels": {"service_name": "live", "location": "global"},
}
_CLOUD = {"type": "http_load_balancer", "labels": {"url_map_name": "vod", "project_id": "weir"}}


class GcpWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        audience = sessions.audience
        self._is_live = sessions.is_live.tolist()
        self._hosts: list[str] = []
        self._clients: list[dict[str, str]] = []
        self._addresses: list[str] = []
        self._ports = sessions.port.tolist()
        self._payloads: list[dict[str, str]] = []
        for index, user in enumerate(sessions.user.tolist()):
            isp = ISPS[int(audience.isp[user])]
            device = DEVICES[int(audience.device[user])]
            customer = CUSTOMERS[int(audience.customer[user])]
            self._hosts.append(customer.live_host if self._is_live[index] else customer.vod_host)
            referer = f"https://www.{customer.slug}.example/watch"
            self._addresses.append(audience.addresses[user])
            self._clients.append(
                {
                    "userAgent": device.user_agent,
                    "protocol": HTTP_VERSIONS[device.http][1],
                    **({"referer": referer} if device.is_web else {}),
                }
            )
            self._payloads.append(
                {
                    "clientAsn": str(isp.asn),
                    "clientRegionCode": isp.country,
                    "tlsVersion": "TLS 1.2" if device.http == 0 else "TLS 1.3",
                    "tlsCipherSuite": "C02F" if device.http == 0 else "1301",
                }
            )

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        starts = np.datetime_as_string((rows.end_us - rows.duration_us).astype("M8[us]"))
        ends = np.datetime_as_string(rows.end_us.astype("M8[us]"))
        return [
            json.dumps(
                {
                    "insertId": insert_id,
                    "timestamp": f"{start}Z",
                    "receiveTimestamp": f"{end}Z",
                    "httpRequest": request,
                    "jsonPayload": payload,
                    "resource": _MEDIA if is_media else _CLOUD,
                },
                separators=(",", ":"),
            )
            for insert_id, start, end, request, (is_media, payload) in zip(
                insert_ids(self._seed, rows),
                starts.tolist(),
                ends.tolist(),
                self._requests(rows),
                self._answers(rows),
                strict=True,
            )
        ]

    def _requests(self, rows: Requests) -> list[dict[str, Any]]:
        """Return httpRequest of each row; a zero and a false flag are left out."""
        return [
            {
                "requestMethod": METHODS[method],
                "requestUrl": f"{'http' if ending == REDIRECT else 'https'}://{self._hosts[s]}"
                f"{path}{'?' if query else ''}{query}",
                "requestSize": str(380 + dice),
                **({"status": int(STATUS[ending])} if ending != GONE else {}),
                **({"responseSize": str(sent)} if sent else {}),
                **self._clients[s],
                "remoteIp": _with_port(self._addresses[s], self._ports[s]),
                "latency": f"{taken / 1e6:.6f}s",
                **({} if self._is_live[s] or parent >= 0 else _FLAGS.get(cache, {})),
            }
            for s, method, path, query, ending, dice, sent, taken, cache, parent in zip(
                rows.session.tolist(),
                rows.method.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                rows.ending.tolist(),
                rows.dice.tolist(),
                (rows.body_bytes + rows.header_bytes).tolist(),
                rows.duration_us.tolist(),
                rows.cache.tolist(),
                rows.parent.tolist(),
                strict=True,
            )
        ]

    def _answers(self, rows: Requests) -> list[tuple[bool, dict[str, str]]]:
        """Return of each row whether it is Media CDN's, and jsonPayload."""
        return [
            (True, self._media(s, cache, pop, ttfb, taken, ending, dice, parent >= 0))
            if self._is_live[s] or parent >= 0
            else (False, _cloud(cache, pop, ending, dice))
            for s, cache, pop, ttfb, taken, ending, dice, parent in zip(
                rows.session.tolist(),
                rows.cache.tolist(),
                rows.pop.tolist(),
                rows.ttfb_ms.tolist(),
                rows.duration_us.tolist(),
                rows.ending.tolist(),
                rows.dice.tolist(),
                rows.parent.tolist(),
                strict=True,
            )
        ]

    def _media(
        self,
        session: int,
        cache: int,
        pop: int,
        ttfb: int,
        taken: int,
        ending: int,
        dice: int,
        is_fill: bool,
    ) -> dict[str, str]:
        """Return the payload of a Media CDN entry."""
        place = POPS[pop].name[:3]
        has_shield = cache in (SHIELD_HIT, MISS)
        given = {
            "@type": "type.googleapis.com/google.cloud.edgecache.v1.EdgeCacheLogEntry",
            "cacheId": ("fra-77, " if has_shield else "") + f"{place.lower()}-{dice % 16:06x}",
            "metroIataCode": place.lower(),
            "latency": f"{taken / 1e6:.6f}s",
            "httpTtfb": f"{ttfb / 1e3:.3f}s",
            **self._payloads[session],
        }
        if cache in _CHAINS:
            given["cacheStatus"] = _CHAINS[cache]
        if ending == PARTIAL:
            given["rangeHeader"] = f"bytes={dice * 1000}-"
        if ending == REDIRECT:
            given["tlsVersion"] = given["tlsCipherSuite"] = ""
        if cache in (MISS, BYPASS, REVALIDATED):
            given["originIp"] = f"203.0.113.{10 + dice % 4}"
        if is_fill:
            given["backendLatency"] = given["latency"]
            given["backendInitialLatency"] = given["httpTtfb"]
        return given


def _cloud(cache: int, pop: int, ending: int, dice: int) -> dict[str, str]:
    """Return the payload of a Cloud CDN entry."""
    details = _DETAILS.get(cache)
    if ending == ABORTED:
        details = "client_disconnected_after_partial_response"
    elif ending == GONE:
        details = "client_disconnected_before_any_response"
    return {
        "@type": "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry",
        "cacheId": f"{POPS[pop].name[:3]}-{dice % 16:08x}",
        **({"statusDetails": details} if details else {}),
    }


def insert_ids(seed: int, rows: Requests) -> list[str]:
    """Return the id of each entry."""
    return [f"{word:016x}" for word in scrambled(seed, rows.serial, 1)[:, 0].tolist()]


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
