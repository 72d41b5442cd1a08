"""Every metric of requests reckoned anew from single rows of bronze, as docs/metrics.md words it.

Belongs here: plain Python over rows. Does not: SQL, dbt, or any code of the project: what is shared
with the marts could be wrong in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Test = Callable[[Row], bool]
Naive = Callable[[Sequence[Row]], float | None]


def gone(r: Row) -> bool:
    return bool(r["client_aborted"]) or r["status"] == 499


def cached(r: Row) -> bool:
    return r["cache_status"] in ("HIT", "STALE", "REVALIDATED")


def can(r: Row) -> bool:
    return r["method"] in ("GET", "HEAD") and r["cache_status"] not in ("SYNTH", "ERROR")


def hit(r: Row) -> bool:
    return can(r) and cached(r)


def asked_origin(r: Row) -> bool:
    return r["cache_status"] in ("MISS", "BYPASS", "REVALIDATED")


def fit(r: Row) -> bool:
    return not gone(r) and (r["status"] != 0 or asked_origin(r))


def timed(r: Row) -> bool:
    return r["ttfb_ms"] is not None and not gone(r) and 200 <= r["status"] <= 299


def sent(r: Row) -> int:
    return (r["bytes_out_total"] if r["bytes_out_body"] is None else r["bytes_out_body"]) or 0


def transferred(r: Row) -> bool:
    return timed(r) and sent(r) >= 65536 and (r["duration_ms"] or 0) > r["ttfb_ms"]


def live(r: Row) -> bool:
    said = (r["cmcd"] or {}).get("st") == "l"
    return (
        said and r["status"] in (404, 416) and r["object_type"] in ("segment", "init", "manifest")
    )


def _count(part: Test = lambda _: True) -> Naive:
    return lambda rows: sum(1 for r in rows if part(r))


def _sum(value: Callable[[Row], float], part: Test = lambda _: True) -> Naive:
    return lambda rows: sum(value(r) for r in rows if part(r))


def _over(above: Naive, below: Naive, scale: int = 1) -> Naive:
    def naive(rows: Sequence[Row]) -> float | None:
        whole = below(rows)
        return (above(rows) or 0) * scale / whole if whole else None

    return naive


def _ratio(part: Test, whole: Test = lambda _: True) -> Naive:
    return _over(_count(lambda r: whole(r) and part(r)), _count(whole))


def _bytes(r: Row) -> int:
    return r["bytes_out_total"] or 0


def _us(r: Row) -> int:
    return round((r["duration_ms"] - r["ttfb_ms"]) * 1000)


NAIVE: dict[str, Naive] = {
    "requests": _count(),
    "bytes": _sum(_bytes),
    "bytes_in": _sum(lambda r: r["bytes_in"] or 0),
    "eligible_requests": _count(can),
    "hit_requests": _count(hit),
    "miss_requests": _count(lambda r: can(r) and not cached(r)),
    "other_requests": _count(lambda r: not can(r)),
    "eligible_bytes": _sum(_bytes, can),
    "hit_bytes": _sum(_bytes, hit),
    "cacheable_requests": _count(lambda r: can(r) and r["cache_status"] != "BYPASS"),
    "edge_hit_requests": _count(cached),
    "plain_hit_requests": _count(lambda r: r["cache_status"] == "HIT"),
    "origin_requests": _count(asked_origin),
    "origin_bytes": _sum(_bytes, asked_origin),
    "errors_4xx": _count(lambda r: 400 <= r["status"] <= 498),
    "client_errors": _count(lambda r: 400 <= r["status"] <= 498 and not live(r)),
    "live_edge_errors": _count(live),
    "errors_5xx": _count(lambda r: r["status"] >= 500),
    "no_response": _count(lambda r: r["status"] == 0),
    "aborted": _count(gone),
    "aborted_bytes": _sum(_bytes, gone),
    "answerable_requests": _count(fit),
    "failed_requests": _count(lambda r: fit(r) and not 0 < r["status"] < 500),
    "ttfb_count": _count(timed),
    "throughput_count": _count(transferred),
    "throughput_bytes": _sum(sent, transferred),
    "throughput_us": _sum(_us, transferred),
    "hit_ratio_requests": _ratio(cached, can),
    "hit_ratio_bytes": _over(_sum(_bytes, hit), _sum(_bytes, can)),
    "hit_ratio_cacheable": _ratio(cached, lambda r: can(r) and r["cache_status"] != "BYPASS"),
    "akamai_offload_rate": _ratio(cached),
    "aws_chr": _ratio(lambda r: r["cache_status"] == "HIT"),
    "origin_offload_requests": _ratio(lambda r: not asked_origin(r)),
    "origin_offload_bytes": _over(_sum(_bytes, lambda r: not asked_origin(r)), _sum(_bytes)),
    "error_rate_4xx": _ratio(lambda r: 400 <= r["status"] <= 498 and not live(r)),
    "live_edge_error_rate": _ratio(live),
    "error_rate_5xx": _ratio(lambda r: r["status"] >= 500),
    "no_response_rate": _ratio(lambda r: r["status"] == 0),
    "abort_rate": _ratio(gone),
    "availability": _ratio(lambda r: 0 < r["status"] < 500, fit),
    "throughput_kbps": _over(_sum(sent, transferred), _sum(_us, transferred), 8000),
    "egress_bps": _over(_sum(_bytes), lambda _: 3600, 8),  # of an hour
}
