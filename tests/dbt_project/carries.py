"""What the families of CDN logs carry of the same requests, and what they cannot, with the reason.

Belongs here: the table that test_same_traffic compares by. Does not: the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.akamai import SERVER_COUNTRIES
from simulator.arrays import IntArray
from simulator.traffic import Requests
from simulator.world import CLOUDFLARE_FIRST_POP, POPS

#: how a format gives instants -> the start that follows from it, in us
STAMPS: dict[str, Callable[[Requests], IntArray]] = {
    # a start, in whatever unit: cutting it moves no row over a border of whole seconds
    "start": lambda rows: rows.end_us - rows.duration_us,
    "end_us": lambda rows: rows.end_us - rows.duration_us // 1_000 * 1_000,
    "end_ms": lambda rows: rows.end_us // 1_000 * 1_000 - rows.duration_us // 1_000 * 1_000,
    "end_s": lambda rows: rows.end_us // 1_000_000 * 1_000_000 - rows.duration_us // 1_000 * 1_000,
}

TTFB = ("ttfb_count", "ttfb_p50_ms", "ttfb_p95_ms", "ttfb_p99_ms")
HITS = ("hit_requests", "hit_bytes", "hit_ratio_requests", "hit_ratio_bytes")
ELIGIBLE = ("eligible_requests", "eligible_bytes", "hit_ratio_requests", "hit_ratio_bytes")
LEFT_IS_499 = {"a viewer that left has status 499, also where it got no answer": ("no_response",)}
NO_TTFB = {"no time to first byte": TTFB}
NO_BYTES_IN = {"no size of the request": ("bytes_in",)}
#: CloudFront's states tell answers that no cache could have given, the traffic's do not
KNOWS_ERRORS = {"errors and redirects have a state of their own, and no cache could": ELIGIBLE}


@dataclass(frozen=True)
class Carries:
    """What a family carries.

    pop: what it calls the PoP of a place in the simulator's list, None where it names none. cannot:
    reason -> columns. bytes_in_less: by what the simulator lets a vendor's requests be smaller.
    """

    cdn: str
    stamp: str = "start"
    pop: Callable[[int], str] | None = None
    cannot: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bytes_in_less: int = 0

    @property
    def unsaid(self) -> set[str]:
        return {column for columns in self.cannot.values() for column in columns}


def flare_pop(place: int) -> str:
    return POPS[place + CLOUDFLARE_FIRST_POP].name


def cloudfront(stamp: str) -> Carries:
    return Carries("cloudfront", stamp, lambda at: POPS[at].name, KNOWS_ERRORS, bytes_in_less=70)


def akamai() -> Carries:
    """Return what both forms carry: of a PoP its country."""
    return Carries("akamai", pop=lambda at: SERVER_COUNTRIES[flare_pop(at)], cannot=NO_BYTES_IN)


CARRIES = {
    "cloudflare": Carries("cloudflare", pop=flare_pop, cannot=LEFT_IS_499),
    "cloudfront": cloudfront("end_s"),
    "cloudfront_v2": cloudfront("end_ms"),
    "cloudfront_v2_parquet": cloudfront("end_ms"),
    "cloudfront_realtime": cloudfront("end_ms"),
    "akamai": akamai(),
    "akamai_structured": akamai(),
    "fastly": Carries("fastly", pop=flare_pop, cannot=LEFT_IS_499),
    "gcp": Carries(
        "gcp",
        pop=flare_pop,
        cannot={
            "Cloud CDN logs no time to first byte": TTFB,
            "Media CDN does not say which viewer left midway": ("aborted",),
        },
    ),
    "azure": Carries("azure", "end_us", flare_pop, LEFT_IS_499),
    "delimited": Carries("nimbus", "end_ms", flare_pop),
    "nginx": Carries("own_edge", "end_ms", cannot={**NO_TTFB, **LEFT_IS_499}),
    "apache": Carries(
        "own_edge", cannot={**NO_TTFB, "no cache status in a log of combined's kind": HITS}
    ),
    "varnishncsa": Carries(
        "own_edge",
        cannot={
            "what Varnish answers itself is synthetic, and no cache could": ELIGIBLE,
            "no word for a viewer that left midway, whose first byte counts then": (
                "aborted", "ttfb_count", "ttfb_p95_ms", "ttfb_p99_ms",
            ),
        },
    ),
    "squid": Carries("own_edge", "end_ms", cannot={**NO_TTFB, **NO_BYTES_IN}),
    "ats_squid": Carries(
        "own_edge",
        cannot={
            **NO_TTFB,
            **NO_BYTES_IN,
            "that a viewer left stands in place of the result code": (*HITS, *ELIGIBLE),
        },
    ),
}  # fmt: skip
