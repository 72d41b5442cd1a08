"""Write requests as CloudFront standard log lines, version 1.0, all 33 fields.

Belongs here: what the vendor calls things and how it escapes them. Does not belong here: files,
delivery and incidents.
"""

from __future__ import annotations

import base64
import re

import numpy as np

from simulator.arrays import scrambled
from simulator.audience import Sessions
from simulator.cmcd import Escapes
from simulator.line_writer import LineWriter
from simulator.outcomes import (
    ABORTED,
    BAD_GATEWAY,
    BYPASS,
    ERROR,
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
    SYNTH,
    UNAVAILABLE,
    UNKNOWN,
)
from simulator.traffic import Requests
from simulator.urls import content_type
from simulator.world import CUSTOMERS, DEVICES, DISTRIBUTIONS, HTTP_VERSIONS, POPS

_FIELD_NAMES = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header "
    "cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher "
    "x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port "
    "time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start "
    "sc-range-end"
)
FIELDS = tuple(_FIELD_NAMES.split())
HEADER = ("#Version: 1.0", f"#Fields: {_FIELD_NAMES}")
REQUEST_ID_COLUMN = FIELDS.index("x-edge-request-id")

_ESCAPED = re.compile(r"[\x00-\x20\x7f-\U0010ffff<>\"#%{}|\\^~\[\]`']")
# What a client escaped once is escaped again in the log, as the vendor documents.
_IN_THE_LOG = Escapes("%252C", "%253D", "%2522")
#: states beside CloudFront's own are those of requests that another vendor served
_RESULTS = {
    HIT: "Hit",
    STALE: "Hit",
    REVALIDATED: "RefreshHit",
    SHIELD_HIT: "Miss",
    MISS: "Miss",
    BYPASS: "Miss",
    UNKNOWN: "Error",
    ERROR: "Error",
    SYNTH: "Redirect",
}
_MODERN_TLS = "TLSv1.3\tTLS_AES_128_GCM_SHA256"
_NO_TLS = "-\t-"
_OLD_TLS = "TLSv1.2\tECDHE-RSA-AES128-GCM-SHA256"


def escape(text: str) -> str:
    """Percent-encode a value as CloudFront does in its log."""
    return _ESCAPED.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), text)


def result_types(ending: int, cache: int, dice: int) -> tuple[str, str, str]:
    """Return the result type, the response result type and the detailed result type."""
    response = "Redirect" if ending == REDIRECT else _RESULTS[cache]
    if ending == UNAVAILABLE and dice < 300:
        response = "CapacityExceeded"
    result = "Error" if ending == ABORTED else response
    detailed = result
    if ending == GONE:
        detailed = "ClientCommError" if dice < 600 else "ClientHungUpRequest"
    elif ending == ABORTED and dice < 700:
        detailed = "ClientCommError"
    elif ending == BAD_GATEWAY:
        detailed = "OriginConnectError"
    elif cache == SHIELD_HIT:
        detailed = "OriginShieldHit"
    return result, response, detailed


class CloudFrontWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions, _IN_THE_LOG)
        audience = sessions.audience
        agents = [
            (f"https://www.{{}}.example/watch\t{escape(one.user_agent)}")
            if one.is_web
            else f"-\t{escape(one.user_agent)}"
            for one in DEVICES
        ]
        self._addresses: list[str] = []
        self._agents: list[str] = []
        self._hosts: list[str] = []
        self._forwarded: list[str] = []
        self._tls: list[str] = []
        self._connections: list[str] = []
        self._live = sessions.is_live.astype(np.int8).tolist()
        for index, user in enumerate(sessions.user.tolist()):
            customer = CUSTOMERS[int(audience.customer[user])]
            device = int(audience.device[user])
            old = DEVICES[device].http == 0
            self._addresses.append(audience.addresses[user])
            self._agents.append(agents[device].replace("{}", customer.slug))
            self._hosts.append(customer.live_host if self._live[index] else customer.vod_host)
            self._forwarded.append(f"203.0.113.{index % 250}" if user % 97 == 5 else "-")
            self._tls.append(_OLD_TLS if old else _MODERN_TLS)
            version = HTTP_VERSIONS[DEVICES[device].http][0]
            self._connections.append(f"{version}\t-\t-\t{sessions.port[index]}")

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        paths = self._paths.paths(rows)
        agents, hosts, tls = self._agents, self._hosts, self._tls
        return [
            f"{head}\t{self._addresses[s]}\t{METHODS[method]}\t"
            f"{DISTRIBUTIONS[self._live[s]].domain}\t"
            f"{path.replace('%', '%25') if '%' in path else path}\t"
            f"{STATUS[ending]:03d}\t{agents[s]}\t{query or '-'}\t-\t{kinds[0]}\t{row_id}\t"
            f"{hosts[s]}\t{'http' if ending == REDIRECT else 'https'}\t{310 + dice}\t"
            f"{taken // 1000}.{taken % 1000:03d}\t{self._forwarded[s]}\t"
            f"{_NO_TLS if ending == REDIRECT else tls[s]}\t{kinds[1]}\t"
            f"{self._connections[s]}\t{ttfb // 1000}.{ttfb % 1000:03d}\t{kinds[2]}\t{tail}"
            for head, s, method, path, ending, query, kinds, row_id, dice, taken, ttfb, tail in zip(
                _heads(rows),
                rows.session.tolist(),
                rows.method.tolist(),
                paths,
                rows.ending.tolist(),
                self._queries.queries(rows),
                _kinds(rows),
                _request_ids(self._seed, rows),
                rows.dice.tolist(),
                (rows.duration_us // 1_000).tolist(),
                rows.ttfb_ms.tolist(),
                _contents(rows, paths),
                strict=True,
            )
        ]


def _heads(rows: Requests) -> list[str]:
    """Return the columns date, time, location and bytes sent of each row."""
    moments = np.datetime_as_string((rows.end_us // 1_000_000).astype("M8[s]"))
    return [
        f"{when[:10]}\t{when[11:]}\t{POPS[pop].name}\t{sent}"
        for when, pop, sent in zip(
            moments.tolist(),
            rows.pop.tolist(),
            (rows.body_bytes + rows.header_bytes).tolist(),
            strict=True,
        )
    ]


def _kinds(rows: Requests) -> list[tuple[str, str, str]]:
    """Return the result types of each row."""
    known: dict[tuple[int, int, int], tuple[str, str, str]] = {}
    kinds = []
    for key in zip(
        rows.ending.tolist(), rows.cache.tolist(), (rows.dice // 100).tolist(), strict=True
    ):
        if key not in known:
            known[key] = result_types(key[0], key[1], key[2] * 100)
        kinds.append(known[key])
    return kinds


def _request_ids(seed: int, rows: Requests) -> list[str]:
    """Return request ids of 54 characters and the two pad signs that the vendor's end with."""
    text = base64.urlsafe_b64encode(scrambled(seed, rows.serial, 6).tobytes()).decode()
    return [f"{text[at : at + 54]}==" for at in range(0, len(text), 64)]


def _contents(rows: Requests, paths: list[str]) -> list[str]:
    """Return the columns content type, content length, range start and range end of each row."""
    return [
        "-\t-\t-\t-"
        if ending in (GONE, NOT_MODIFIED)
        else f"{content_type(path, kind)}\t{body}\t{dice * 1000}\t{dice * 1000 + body - 1}"
        if ending == PARTIAL
        else f"text/html\t{body}\t-\t-"
        if NOT_FOUND <= ending <= REDIRECT
        else f"{content_type(path, kind)}\t{size}\t-\t-"
        for ending, path, kind, body, size, dice in zip(
            rows.ending.tolist(),
            paths,
            rows.kind.tolist(),
            rows.body_bytes.tolist(),
            rows.body_size.tolist(),
            rows.dice.tolist(),
            strict=True,
        )
    ]
