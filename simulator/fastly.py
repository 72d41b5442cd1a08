"""Write requests as Fastly logs them: an object of the service's own, behind a header of syslog.

Belongs here: what the vendor calls things. Does not belong here: files, delivery and incidents.
All values are text, as templates of Fastly's guides have them; durations are microseconds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

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
    REDIRECT,
    REVALIDATED,
    SHIELD_HIT,
    STALE,
    SYNTH,
    UNKNOWN,
)
from simulator.traffic import Requests
from simulator.world import CUSTOMERS, DEVICES, HTTP_VERSIONS, ISPS, POPS

#: an edge log cannot say that the shield had it: to the edge it is a miss
_STATES = {
    HIT: ("HIT", "HIT-CLUSTER"),
    SHIELD_HIT: ("MISS", "MISS-CLUSTER"),
    STALE: ("HIT-STALE", "HIT-STALE-CLUSTER"),
    REVALIDATED: ("HIT-REFRESH", "HIT-REFRESH-CLUSTER"),
    MISS: ("MISS", "MISS-WAIT-CLUSTER"),
    BYPASS: ("PASS", "PASS"),
    ERROR: ("ERROR", "ERROR-CLUSTER"),
    SYNTH: ("HIT-SYNTH", "HIT-SYNTH"),
    UNKNOWN: ("NONE", "NONE"),
}


class FastlyWriter(LineWriter):
    """Turns requests into lines; keeps the parts that do not change in a session."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        super().__init__(seed, sessions)
        audience = sessions.audience
        self._parts: list[str] = []
        for index, user in enumerate(sessions.user.tolist()):
            isp = ISPS[int(audience.isp[user])]
            device = DEVICES[int(audience.device[user])]
            customer = CUSTOMERS[int(audience.customer[user])]
            host = customer.live_host if sessions.is_live[index] else customer.vod_host
            referer = f"https://www.{customer.slug}.example/watch" if device.is_web else ""
            self._parts.append(
                f'"client_ip":"{audience.addresses[user]}","geo_country_code":"{isp.country}",'
                f'"client_as_number":"{isp.asn}","host":"{host}",'
                f'"protocol":"{HTTP_VERSIONS[device.http][1]}",'
                f'"request_user_agent":{json.dumps(device.user_agent)},'
                f'"request_referer":"{referer}"'
            )

    def lines(self, rows: Requests) -> list[str]:
        """Return one line a request, in the order of the rows."""
        starts = rows.end_us - rows.duration_us
        return [
            f"<134>{end[:19]}Z cache-{POPS[pop].name.lower()}-1 logs[314159]: "
            f'{{"service_id":"7i6HN3TK9wS159v2gPAZ8A","request_id":"{ray}",'
            f'"time_start":"{_iso(start)}","time_end":"{end}","time_elapsed":"{took}",'
            f'"time_to_first_byte":"{ttfb / 1000}","is_edge":"{str(parent < 0).lower()}",'
            f'{self._parts[s]},"request":"{METHODS[method]}",'
            f'"url":"{path}{"?" if query else ""}{query}",'
            f'"is_tls":"{str(ending != REDIRECT).lower()}","status":"{status}",'
            f'"cache_status":"{_STATES[cache][dice % 5 == 0]}",'
            f'"geo_datacenter":"{POPS[pop].name}",'
            f'"req_header_size":"{380 + dice}","req_body_size":"0",'
            f'"resp_header_size":"{header}","resp_body_size":"{body}",'
            f'"resp_completed":"{int(ending not in (ABORTED, GONE))}"}}'
            for (
                ray, start, end, took, ttfb, parent, s, method, path, query, ending, status, cache,
                dice, pop, header, body,
            ) in zip(
                ray_ids(self._seed, rows.serial),
                starts.tolist(),
                map(_iso, rows.end_us.tolist()),
                rows.duration_us.tolist(),
                rows.ttfb_ms.tolist(),
                rows.parent.tolist(),
                rows.session.tolist(),
                rows.method.tolist(),
                self._paths.paths(rows),
                self._queries.queries(rows),
                rows.ending.tolist(),
                statuses(rows).tolist(),
                rows.cache.tolist(),
                rows.dice.tolist(),
                rows.pop.tolist(),
                rows.header_bytes.tolist(),
                rows.body_bytes.tolist(),
                strict=True,
            )
        ]  # fmt: skip


def _iso(us: int) -> str:
    """Return an instant in us since 1970 as Fastly's templates write it."""
    whole = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06d}Z"
