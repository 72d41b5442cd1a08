"""Write requests as CloudFront standard logs, version 2: JSON lines, or the columns of Parquet.

Belongs here: what version 2 adds to a line of version 1 and what it calls things. Does not belong
here: the values both have (simulator.cloudfront), files and delivery.
"""

from __future__ import annotations

import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.arrays import IntArray
from simulator.audience import Sessions
from simulator.cloudfront import FIELDS, CloudFrontWriter
from simulator.outcomes import BYPASS, MISS, REVALIDATED
from simulator.traffic import Requests
from simulator.world import ISPS

MORE_FIELDS = ("timestamp(ms)", "asn", "c-country", "origin-fbl", "origin-lbl")
NAMES = (*FIELDS, *MORE_FIELDS)


class CloudFrontV2Writer:
    """Turns requests into records of version 2, all values text and `-` for nothing."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        self._standard = CloudFrontWriter(seed, sessions)
        audience = sessions.audience
        isps = [ISPS[int(audience.isp[user])] for user in sessions.user.tolist()]
        self._networks = [(str(isp.asn), isp.country.upper()) for isp in isps]

    def records(self, rows: Requests) -> list[tuple[str, ...]]:
        """Return the values of NAMES of each request, in the order of the rows."""
        return [
            (*line.split("\t"), str(end // 1_000), *self._networks[session], *origin)
            for line, end, session, origin in zip(
                self._standard.lines(rows),
                rows.end_us.tolist(),
                rows.session.tolist(),
                origin_times(rows),
                strict=True,
            )
        ]

    def lines(self, rows: Requests) -> list[str]:
        """Return one JSON object a request."""
        encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        return [encode(dict(zip(NAMES, one, strict=True))) for one in self.records(rows)]

    def parquet(self, rows: Requests) -> bytes:
        """Return the requests as a Parquet file."""
        columns = zip(*self.records(rows), strict=True)
        table = pa.table(
            {
                snake_case(name): pa.array(values, pa.string())
                for name, values in zip(NAMES, columns, strict=True)
            }
        )
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()


def snake_case(name: str) -> str:
    """Return what version 2 calls a field in Parquet."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def seconds(milliseconds: int) -> str:
    """Return a duration as CloudFront writes it."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def origin_times(rows: Requests) -> list[tuple[str, str]]:
    """Return first and last byte of the origin of each request; `-` where it was not asked."""
    durations: IntArray = rows.duration_us // 1_000
    return [
        (seconds(max(ttfb - 4, 1)), seconds(max(taken - 4, ttfb - 4, 1)))
        if cache in (MISS, BYPASS, REVALIDATED)
        else ("-", "-")
        for cache, ttfb, taken in zip(
            rows.cache.tolist(), rows.ttfb_ms.tolist(), durations.tolist(), strict=True
        )
    ]
