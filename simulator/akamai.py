"""Write requests as Akamai DataStream 2, as JSON or as STRUCTURED columns.

Belongs here: what the vendor calls things and how it escapes them. Does not belong here: files,
delivery and incidents. The format cannot say that an object was stale.
"""

from __future__ import annotations

import json
import re

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
    NOT_MODIFIED,
    PARTIAL,
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    STATUS,
)
from simulator.traffic import Requests
from simulator.urls import content_type
from simulator.world import CUSTOMERS, DEVICES, HTTP_VERSIONS, ISPS, POPS

#: order of the columns of a STRUCTURED stream
FIELDS = (
    "version", "streamId", "cp", "reqId", "reqTimeSec", "bytes", "cliIP", "statusCode", "proto",
    "reqHost", "reqMethod", "reqPath", "reqPort", "rspContentLen", "rspContentType", "UA",
    "tlsVersion", "overheadBytes", "totalBytes", "queryStr", "range", "referer", "reqEndTimeMSec",
    "errorCode", "turnAroundTimeMSec", "transferTimeMSec", "timeToFirstByte", "cacheStatus",
    "cacheRefreshSrc", "cacheable", "lastByte", "isMidgress", "breadcrumbs", "country", "asn",
    "serverCountry", "billingRegion",
)  # fmt: skip
_ENCODED = re.compile(r"[^\x21-\x7e]")
SERVER_COUNTRIES = {
    "FRA": "DE", "AMS": "NL", "LHR": "GB", "CDG": "FR", "MAD": "ES", "IAD": "US", "SJC": "US",
    "SFO": "US", "GRU": "BR", "NRT": "JP",
}  # fmt: skip
_REGIONS = {"US": "1", "BR": "5", "JP": "3"}  # and 2 for Europe
_STATES = {
    HIT: ("1", "-", "1"),
    STALE: ("1", "-", "1"),
    REVALIDATED: ("1", "ORIGIN", "1"),
    SHIELD_HIT: ("0", "-", "1"),
    MISS: ("0", "ORIGIN", "1"),
    BYPASS: ("0", "ORIGIN", "0"),
}
_NO_STATE = ("-", "-", "-")
_PACKET, _PACKET_HEADERS = 1_400, 66


def encode(text: str) -> str:
    """Encode what is outside of 0x21-0x7E, as the vendor does."""
    return _ENCODED.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), text)


class AkamaiWriter(LineWriter):
    """Turns requests into lines of JSON; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        audience = sessions.audience
        self._sessions: list[dict[str, str]] = []
        for index, user in enumerate(sessions.user.tolist()):
            isp = ISPS[int(audience.isp[user])]
            device = DEVICES[int(audience.device[user])]
            customer = CUSTOMERS[int(audience.customer[user])]
            live = bool(sessions.is_live[index])
            referer = f"https://www.{customer.slug}.example/watch" if device.is_web else "-"
            self._sessions.append(
                {
                    "cp": "1206951" if live else "1206950",
                    "cliIP": audience.addresses[user],
                    "proto": HTTP_VERSIONS[device.http][1],
                    "reqHost": customer.live_host if live else customer.vod_host,
                    "UA": encode(device.user_agent),
                    "tlsVersion": "TLSv1.2" if device.http == 0 else "TLSv1.3",
                    "referer": referer,
                    "country": isp.country,
                    "asn": str(isp.asn),
                }
            )

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows; what is nothing is left out."""
        return [
            json.dumps({k: v for k, v in one.items() if v != "-"}, separators=(",", ":"))
            for one in self._records(rows)
        ]

    def _records(self, rows: Requests) -> list[dict[str, str]]:
        """Return the fields of each row as text."""
        paths = self._paths.paths(rows)
        return [
            {
                "version": "5",
                "streamId": "12345",
                **self._sessions[session],
                **edge,
                **_content(path, kind, ending, body, size, dice),
                "reqMethod": METHODS[method],
                "reqPath": path[1:],
                "queryStr": query.replace("CMCD=", "CMCD=//1.0@V/", 1) or "-",
            }
            for session, edge, path, kind, ending, body, size, dice, method, query in zip(
                rows.session.tolist(),
                _edges(self._seed, rows),
                paths,
                rows.kind.tolist(),
                rows.ending.tolist(),
                rows.body_bytes.tolist(),
                rows.body_size.tolist(),
                rows.dice.tolist(),
                rows.method.tolist(),
                self._queries.queries(rows),
                strict=True,
            )
        ]


class AkamaiStructuredWriter(AkamaiWriter):
    """Turns requests into lines of columns, in the order of FIELDS; times are whole seconds."""

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        return [
            "\t".join(
                one[name].partition(".")[0] if name == "reqTimeSec" else one[name]
                for name in FIELDS
            )
            for one in self._records(rows)
        ]


def request_ids(seed: int, serials: IntArray) -> list[str]:
    """Return the id of each serial: 32 bits, which repeat in a large log."""
    return [f"{word & 0xFFFFFFFF:x}" for word in scrambled(seed, serials, 1)[:, 0].tolist()]


def _content(path: str, kind: int, ending: int, body: int, size: int, dice: int) -> dict[str, str]:
    """Return the fields about what was asked for and sent."""
    is_page = NOT_FOUND <= ending <= REDIRECT
    has_none = ending in (GONE, NOT_MODIFIED)
    is_left = ending in (GONE, ABORTED)
    return {
        "statusCode": str(STATUS[ending]),
        "rspContentType": "-" if has_none else "text/html" if is_page else content_type(path, kind),
        "rspContentLen": "-" if has_none else str(body if is_page or ending == PARTIAL else size),
        "range": f"{dice * 1000}-{dice * 1000 + body - 1}" if ending == PARTIAL else "-",
        "errorCode": "ERR_CLIENT_ABORT|general" if is_left else "-",
        "lastByte": "0" if is_left or ending == PARTIAL else "1",
        "reqPort": "80" if ending == REDIRECT else "443",
        **({"tlsVersion": "-"} if ending == REDIRECT else {}),
    }


def _edges(seed: int, rows: Requests) -> list[dict[str, str]]:
    """Return the fields of each row about times, bytes, caches and hops."""
    start_ms = (rows.end_us - rows.duration_us) // 1_000
    overhead = (rows.body_bytes + rows.header_bytes) // _PACKET * _PACKET_HEADERS
    countries = [SERVER_COUNTRIES[POPS[pop].name[:3]] for pop in range(len(POPS))]
    return [
        {
            "reqId": request_id,
            "reqTimeSec": f"{start // 1000}.{start % 1000:03d}",
            "bytes": str(body),
            "overheadBytes": str(extra),
            "totalBytes": str(body + headers + extra),
            "reqEndTimeMSec": str(waited),
            "turnAroundTimeMSec": str(ttfb - waited),
            "transferTimeMSec": str(taken - ttfb),
            "timeToFirstByte": str(ttfb),
            **dict(
                zip(
                    ("cacheStatus", "cacheRefreshSrc", "cacheable"),
                    _STATES.get(cache, _NO_STATE),
                    strict=True,
                )
            ),
            "isMidgress": "1" if parent >= 0 else "0",
            "breadcrumbs": _breadcrumbs(cache, ttfb, dice, parent_id if parent >= 0 else None),
            "serverCountry": countries[pop],
            "billingRegion": _REGIONS.get(countries[pop], "2"),
        }
        for request_id, start, body, headers, extra, waited, ttfb, taken, cache, dice, parent,
        parent_id, pop in zip(
            request_ids(seed, rows.serial),
            start_ms.tolist(),
            rows.body_bytes.tolist(),
            rows.header_bytes.tolist(),
            overhead.tolist(),
            np.minimum(rows.dice % 4, rows.ttfb_ms).tolist(),
            rows.ttfb_ms.tolist(),
            (rows.duration_us // 1_000).tolist(),
            rows.cache.tolist(),
            rows.dice.tolist(),
            rows.parent.tolist(),
            request_ids(seed, rows.parent),
            rows.pop.tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _breadcrumbs(cache: int, ttfb: int, dice: int, parent_id: str | None) -> str:
    """Return the hops of a request: the edge, a parent cache, the origin."""
    named = f"b={parent_id}," if parent_id else ""
    hops = [f"%5Ba=198.51.100.{1 + dice % 200},{named}c=g,k=0,l={ttfb}%5D"]
    if cache == SHIELD_HIT:
        hops.append(f"%5Ba=198.51.100.201,c=c,k=1,l={max(ttfb - 2, 1)}%5D")
    if cache in (MISS, BYPASS, REVALIDATED):
        hops.append(f"%5Ba=203.0.113.{10 + dice % 4},c=o,k=1,l={max(ttfb - 4, 1)}%5D")
    return "//BC/" + ",".join(hops)
