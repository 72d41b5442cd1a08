"""Profiles of the marts of delivery quality: what is measured of an hour or a day of them.

Belongs here: measures of the marts that dbt_project/definitions names. Does not: how a profile is
computed (profiles), what is acceptable (marts.yaml). Every count here is one of violations, except
differences between two grains, which are sums of absolute differences.
"""

from __future__ import annotations

from collections.abc import Mapping

from expectations.parts import Part, doubled, violations

_PARTS = (
    "hit_requests + miss_requests + other_requests = requests",
    "hit_requests + miss_requests = eligible_requests",
    "client_errors + live_edge_errors = errors_4xx",
    "hit_bytes <= eligible_bytes and eligible_bytes <= bytes",
    "hit_requests <= cacheable_requests and cacheable_requests <= eligible_requests",
    "plain_hit_requests <= edge_hit_requests and edge_hit_requests <= requests",
    "failed_requests <= answerable_requests and answerable_requests <= requests",
    "throughput_count <= ttfb_count and ttfb_count <= requests",
    "origin_requests <= requests and origin_bytes <= bytes and aborted_bytes <= bytes",
)
_COUNTS = (
    "requests", "bytes", "bytes_in", "hit_requests", "miss_requests", "other_requests",
    "hit_bytes", "origin_requests", "errors_5xx", "no_response", "aborted", "failed_requests",
    "throughput_count", "throughput_bytes", "throughput_us", "duplicates_removed",
)  # fmt: skip


def _counts_of(mart: str, prefix: str, grain: str, key: str) -> Part:
    """Measure a mart that holds all counts of viewer requests."""
    return Part(
        f"marts.{mart}",
        key,
        {
            f"{prefix}_duplicate_keys": doubled(grain),
            f"{prefix}_negative_rows": violations(" and ".join(f"{c} >= 0" for c in _COUNTS)),
            f"{prefix}_identity_rows": violations(" and ".join(_PARTS)),
        },
    )


def _buckets_of(mart: str, prefix: str, grain: str, key: str) -> Part:
    return Part(
        f"marts.{mart}",
        key,
        {
            f"{prefix}_duplicate_keys": doubled(grain),
            f"{prefix}_impossible_rows": violations(
                "requests >= 0 and measure in ('ttfb_ms', 'throughput_kbps')"
            ),
        },
    )


def _difference(left: str, right: str, key: str, names: Mapping[str, str]) -> Part:
    """Compare sums per partition and CDN: errors of two CDNs must not cancel out."""
    inner = ", ".join(f"sum({n}) as {n}" for n in names.values())
    return Part(
        f"(select {key}, cdn, {inner} from ({left} union all {right}) group by all)",
        key,
        {measure: f"sum(abs({n}))" for measure, n in names.items()},
    )


_PLACES = "hour, cdn, country, asn, protocol, object_type"
HOURS: tuple[Part, ...] = (
    _counts_of("qos_5m", "qos_5m", "slot_start, cdn, pop, customer",
               "date_trunc('hour', slot_start)"),
    _counts_of("qos_places_hourly", "places", _PLACES, "hour"),
    _difference(
        "select hour, cdn, requests, bytes, failed_requests as failed from "
        "marts.qos_places_hourly where {hour_range}",
        "select date_trunc('hour', slot_start), cdn, -requests, -bytes, -failed_requests "
        "from marts.qos_5m where {traffic_range}",
        "hour",
        {"grains_requests_difference": "requests", "grains_bytes_difference": "bytes",
         "grains_failed_difference": "failed"},
    ),
    _buckets_of("qos_buckets_5m", "buckets_5m", "slot_start, cdn, pop, measure, is_hit, bucket",
                "date_trunc('hour', slot_start)"),
    _buckets_of("qos_buckets_hourly", "buckets_places", f"{_PLACES}, measure, is_hit, bucket",
                "hour"),
    _difference(
        "select hour, cdn, case measure when 'ttfb_ms' then requests else 0 end as ttfb, "
        "case measure when 'ttfb_ms' then 0 else requests end as throughput "
        "from marts.qos_buckets_hourly where {hour_range}",
        "select hour, cdn, -ttfb_count, -throughput_count from marts.qos_places_hourly "
        "where {hour_range}",
        "hour",
        {"buckets_places_ttfb_difference": "ttfb",
         "buckets_places_throughput_difference": "throughput"},
    ),
    _difference(
        "select date_trunc('hour', slot_start) as hour, cdn, "
        "case measure when 'ttfb_ms' then requests else 0 end as ttfb, "
        "case measure when 'ttfb_ms' then 0 else requests end as throughput "
        "from marts.qos_buckets_5m where {traffic_range}",
        "select hour, cdn, -ttfb_count, -throughput_count from marts.qos_places_hourly "
        "where {hour_range}",
        "hour",
        {"buckets_5m_ttfb_difference": "ttfb", "buckets_5m_throughput_difference": "throughput"},
    ),
    Part(
        "marts.qos_hops_hourly",
        "hour",
        {
            "hops_duplicate_keys": doubled("hour, cdn, pop, hop"),
            "hops_impossible_rows": violations(
                "hop in ('edge', 'inner') and hop_hit_requests between 0 and hop_requests and "
                "hop_origin_requests between 0 and hop_requests and hop_errors_5xx between 0 and "
                "hop_requests and hop_origin_bytes between 0 and hop_bytes"
            ),
        },
    ),
    _difference(
        "select hour, cdn, hop_requests as requests, hop_bytes as bytes from "
        "marts.qos_hops_hourly where {hour_range} and hop = 'edge'",
        "select hour, cdn, -requests, -bytes from marts.qos_places_hourly where {hour_range}",
        "hour",
        {"hops_requests_difference": "requests", "hops_bytes_difference": "bytes"},
    ),
    Part(
        "marts.streams_hourly",
        "hour",
        {
            "streams_duplicate_keys": doubled("hour, cdn, pop, customer, stream"),
            "streams_negative_rows": violations("requests >= 0 and bytes >= 0"),
        },
    ),
    # by location and customer: bills take the shares of streams of each
    Part(
        """(
            select hour, cdn, pop, customer, sum(requests) as requests, sum(bytes) as bytes
            from (
                select hour, cdn, pop, customer, requests, bytes from marts.streams_hourly
                where {hour_range}
                union all
                select date_trunc('hour', slot_start), cdn, pop, customer, -requests, -bytes
                from marts.traffic_5m where {traffic_range}
            ) group by all
        )""",
        "hour",
        {
            "streams_requests_difference": "sum(abs(requests))",
            "streams_bytes_difference": "sum(abs(bytes))",
        },
    ),
    Part(
        "marts.rosetta_hourly",
        "hour",
        {
            "rosetta_duplicate_keys": doubled("hour, cdn, metric, definition"),
            "rosetta_impossible_rows": violations(
                "numerator >= 0 and denominator >= 0 and (denominator > 0 or numerator = 0) and "
                "(metric not in ('hit_ratio', 'availability') or numerator <= denominator)"
            ),
        },
    ),
    _difference(
        "select hour, cdn, numerator as failed, denominator as requests from "
        "marts.rosetta_hourly where {hour_range} and metric = 'availability' "
        "and definition = 'weir'",
        "select hour, cdn, failed_requests - answerable_requests, -answerable_requests "
        "from marts.qos_places_hourly where {hour_range}",
        "hour",
        {"rosetta_available_difference": "failed", "rosetta_answerable_difference": "requests"},
    ),
    Part(
        "marts.pop_headroom_hourly",
        "hour",
        {
            "headroom_duplicate_keys": doubled("hour, cdn, pop"),
            "headroom_impossible_rows": violations(
                "peak_slot_bytes between 0 and egress_bytes and egress_bytes <= "
                "12 * peak_slot_bytes and coalesce(capacity_bps > 0, true) and "
                "coalesce(abs(headroom_bps + peak_bps - capacity_bps) <= 1, capacity_bps is null)"
            ),
            "headroom_over_capacity_rows": "count(*) filter (where peak_utilisation > 1)",
        },
    ),
)  # fmt: skip

_DAY_PLACES = "day, cdn, country, asn, protocol, object_type"
DAYS: tuple[Part, ...] = (
    _counts_of("qos_daily", "daily", _DAY_PLACES, "day"),
    _counts_of("qos_pops_daily", "pops_daily", "day, cdn, pop, customer", "day"),
    _difference(
        "select day, cdn, requests, bytes from marts.qos_daily where {day_range}",
        "select day, cdn, -requests, -bytes from marts.qos_pops_daily where {day_range}",
        "day",
        {"daily_requests_difference": "requests", "daily_bytes_difference": "bytes"},
    ),
    _buckets_of("qos_buckets_daily", "buckets_daily", f"{_DAY_PLACES}, measure, is_hit, bucket",
                "day"),
    _difference(
        "select day, cdn, case measure when 'ttfb_ms' then requests else 0 end as ttfb, "
        "case measure when 'ttfb_ms' then 0 else requests end as throughput "
        "from marts.qos_buckets_daily where {day_range}",
        "select day, cdn, -ttfb_count, -throughput_count from marts.qos_daily where {day_range}",
        "day",
        {"buckets_daily_ttfb_difference": "ttfb",
         "buckets_daily_throughput_difference": "throughput"},
    ),
)  # fmt: skip
