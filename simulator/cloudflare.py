"""Write requests as Cloudflare Logpush `http_requests`, one JSON object a line.

Belongs here: what the vendor calls things. Does not belong here: files, delivery and incidents.
"""

from __future__ import annotations

import json

import numpy as np

from simulator.arrays import IntArray, scrambled
from simulator.audience import Sessions
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BYPASS,
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
    UNKNOWN,
)
from simulator.traffic import Requests
from simulator.urls import content_type
from simulator.world import CUSTOMERS, DEVICES, HTTP_VERSIONS, ISPS, POPS, UPPER_TIERS

CLIENT_CLOSED_REQUEST = 499
_STATES = {
    HIT: ("hit", "hit"),
    SHIELD_HIT: ("hit", "hit"),
    STALE: ("stale", "updating"),
    REVALIDATED: ("revalidated", "revalidated"),
    MISS: ("miss", "expired"),
    BYPASS: ("dynamic", "bypass"),
    UNKNOWN: ("unknown", "unknown"),
}
_NO_PARENT = "00"
_NO_TLS = '"ClientSSLProtocol":"none","ClientSSLCipher":"NONE"'
_DEVICE_TYPES = {"web": "desktop", "tv": "desktop", "ios": "mobile", "android": "mobile"}


def statuses(rows: Requests) -> IntArray:
    """Return the status that Cloudflare logs: 499 for clients that left."""
    left = (rows.ending == ABORTED) | (rows.ending == GONE)
    return np.where(left, CLIENT_CLOSED_REQUEST, STATUS[rows.ending])


class CloudflareWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        audience = sessions.audience
        self._clients: list[str] = []
        self._hosts: list[str] = []
        self._agents: list[str] = []
        self._tls: list[str] = []
        for index, user in enumerate(sessions.user.tolist()):
            isp = ISPS[int(audience.isp[user])]
            device = DEVICES[int(audience.device[user])]
            customer = CUSTOMERS[int(audience.customer[user])]
            self._clients.append(
                f'"ClientIP":"{audience.addresses[user]}","ClientSrcPort":{sessions.port[index]},'
                f'"ClientASN":{isp.asn},"ClientCountry":"{isp.country.lower()}",'
                f'"ClientDeviceType":"{_DEVICE_TYPES[device.kind]}"'
            )
            self._hosts.append(customer.live_host if sessions.is_live[index] else customer.vod_host)
            referer = f"https://www.{customer.slug}.example/watch" if device.is_web else ""
            self._agents.append(
                f'"ClientRequestProtocol":"{HTTP_VERSIONS[device.http][1]}",'
                f'"ClientRequestUserAgent":{json.dumps(device.user_agent)},'
                f'"ClientRequestReferer":"{referer}"'
            )
            self._tls.append(
                '"ClientSSLProtocol":"TLSv1.2","ClientSSLCipher":"ECDHE-RSA-AES128-GCM-SHA256"'
                if device.http == 0
                else '"ClientSSLProtocol":"TLSv1.3","ClientSSLCipher":"AEAD-AES128-GCM-SHA256"'
            )

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        paths = self._paths.paths(rows)
        clients, hosts, agents, tls = self._clients, self._hosts, self._agents, self._tls
        return [
            f"{{{edge},{clients[s]},"
            f'"ClientRequestBytes":{380 + dice},"ClientRequestHost":"{hosts[s]}",'
            f'"ClientRequestMethod":"{METHODS[method]}","ClientRequestPath":"{path}",'
            f'"ClientRequestURI":"{path}{"?" if query else ""}{query}",'
            f'"ClientRequestScheme":"{"http" if ending == REDIRECT else "https"}",'
            f'"ClientRequestSource":"{"edgeWorkerFetch" if parent >= 0 else "eyeball"}",'
            f"{agents[s]},{_NO_TLS if ending == REDIRECT else tls[s]},{cache},{kind}}}"
            for edge, s, dice, method, path, query, ending, parent, cache, kind in zip(
                _edges(self._seed, rows),
                rows.session.tolist(),
                rows.dice.tolist(),
                rows.method.tolist(),
                paths,
                self._queries.queries(rows),
                rows.ending.tolist(),
                rows.parent.tolist(),
                _caches(rows),
                _content_types(rows, paths),
                strict=True,
            )
        ]


def ray_ids(seed: int, serials: IntArray) -> list[str]:
    """Return the unique ray id of each serial."""
    return [f"{word:016x}" for word in scrambled(seed, serials, 1)[:, 0].tolist()]


def _edges(seed: int, rows: Requests) -> list[str]:
    """Return the fields of each row that describe the edge, times in ns since the epoch."""
    parents = [
        ray if parent >= 0 else _NO_PARENT
        for ray, parent in zip(ray_ids(seed, rows.parent), rows.parent.tolist(), strict=True)
    ]
    return [
        f'"EdgeStartTimestamp":{start}000,"EdgeEndTimestamp":{end}000,'
        f'"EdgeTimeToFirstByteMs":{ttfb},"EdgeResponseBytes":{body + header},'
        f'"EdgeResponseBodyBytes":{body},"EdgeResponseStatus":{status},'
        f'"EdgeColoCode":"{POPS[pop].name}","EdgeColoID":{POPS[pop].colo_id},'
        f'"RayID":"{ray}","ParentRayID":"{parent}",'
        f'"WorkerSubrequest":{"false" if parent == _NO_PARENT else "true"}'
        for start, end, ttfb, body, header, status, pop, ray, parent in zip(
            (rows.end_us - rows.duration_us).tolist(),
            rows.end_us.tolist(),
            rows.ttfb_ms.tolist(),
            rows.body_bytes.tolist(),
            rows.header_bytes.tolist(),
            statuses(rows).tolist(),
            rows.pop.tolist(),
            ray_ids(seed, rows.serial),
            parents,
            strict=True,
        )
    ]


def _caches(rows: Requests) -> list[str]:
    """Return the fields of each row about cache, tiered cache and origin."""
    return [
        f'"CacheCacheStatus":"{_STATES[cache][dice % 5 == 0]}",'
        f'"CacheTieredFill":{"true" if tiered else "false"},'
        f'"CacheResponseBytes":{0 if cache in (BYPASS, UNKNOWN) else sent},'
        f'"CacheResponseStatus":{0 if cache in (BYPASS, UNKNOWN) else status},'
        f'"UpperTierColoID":{_upper_tier(pop) if tiered else 0},'
        + (
            f'"OriginIP":"203.0.113.{10 + dice % 4}",'
            f'"OriginResponseStatus":{304 if cache == REVALIDATED else status or 200},'
            f'"OriginResponseDurationMs":{max(ttfb - 4, 1)},"OriginSSLProtocol":"TLSv1.3"'
            if cache in (MISS, BYPASS, REVALIDATED)
            else '"OriginIP":"","OriginResponseStatus":0,"OriginResponseDurationMs":0,'
            '"OriginSSLProtocol":"none"'
        )
        for cache, dice, tiered, sent, status, pop, ttfb in zip(
            rows.cache.tolist(),
            rows.dice.tolist(),
            ((rows.cache == SHIELD_HIT) | ((rows.cache == MISS) & (rows.dice % 2 == 1))).tolist(),
            (rows.body_bytes + rows.header_bytes).tolist(),
            STATUS[rows.ending].tolist(),
            rows.pop.tolist(),
            rows.ttfb_ms.tolist(),
            strict=True,
        )
    ]


def _upper_tier(pop: int) -> int:
    """Return the upper tier of a PoP, which is never the PoP itself."""
    first, second = UPPER_TIERS.values()
    is_european = POPS[pop].name in ("AMS", "LHR", "CDG", "MAD", "IAD")
    return first if is_european else second


def _content_types(rows: Requests, paths: list[str]) -> list[str]:
    """Return the content type field of each row."""
    return [
        '"EdgeResponseContentType":""'
        if ending == GONE
        else '"EdgeResponseContentType":"text/html"'
        if NOT_FOUND <= ending <= REDIRECT
        else f'"EdgeResponseContentType":"{content_type(path, kind)}"'
        for ending, path, kind in zip(rows.ending.tolist(), paths, rows.kind.tolist(), strict=True)
    ]
