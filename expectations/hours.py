"""Profiles of an hour of traffic, quality by CDN and customer, and engagement: what is measured.

Belongs here: measures of these marts and of what they must say alike. Does not: the marts that
dbt_project/definitions names (qos), how a profile is computed (profiles), limits (marts.yaml).
"""

from __future__ import annotations

from expectations.parts import Part, count, doubled, not_negative, violations

_DAY_MS = 86_400_000


def _ratio_is(ratio: str, part: str, whole: str) -> str:
    """Return the predicate that a ratio is what its terms say; no ratio of nothing is said."""
    close = f"abs({ratio} - {part}::double / {whole}) <= 1e-6"
    return f"case when {whole} > 0 then {close} else coalesce({ratio}, 0) = 0 end"


_TRAFFIC = Part(
    "marts.traffic_5m",
    "date_trunc('hour', slot_start)",
    {
        "traffic_slots": "count(distinct slot_start)",
        "traffic_off_grid_rows": count("epoch_us(slot_start) % 300000000 <> 0"),
        "traffic_duplicate_keys": doubled("slot_start", "cdn", "pop", "customer"),
        "traffic_negative_rows": not_negative(
            "requests", "bytes", "coalesce(bytes_in, 0)", "hit_requests", "hit_bytes"
        ),
        "traffic_hits_over_total_rows": violations(
            "hit_requests <= requests and hit_bytes <= bytes"
        ),
    },
)
_QOS = Part(
    "marts.qos_hourly",
    "hour",
    {
        "qos_duplicate_keys": doubled("hour", "cdn", "customer"),
        "qos_negative_rows": not_negative(
            "requests", "bytes", "eligible_requests", "hit_requests", "eligible_bytes",
            "hit_bytes", "ttfb_count", "errors_4xx", "errors_5xx", "no_response", "aborted",
            "duplicates_removed",
        ),
        "qos_hits_out_of_order_rows": violations(
            "hit_requests <= eligible_requests and eligible_requests <= requests "
            "and hit_bytes <= eligible_bytes and eligible_bytes <= bytes"
        ),
        "qos_ratio_out_of_range_rows": violations(
            "coalesce(hit_ratio_requests, 0) between 0 and 1 "
            "and coalesce(hit_ratio_bytes, 0) between 0 and 1"
        ),
        "qos_ratio_mismatch_rows": violations(
            f"{_ratio_is('hit_ratio_requests', 'hit_requests', 'eligible_requests')} "
            f"and {_ratio_is('hit_ratio_bytes', 'hit_bytes', 'eligible_bytes')}"
        ),
        "qos_percentiles_out_of_order_rows": violations(
            "ttfb_count = 0 or (0 <= ttfb_p50_ms and ttfb_p50_ms <= ttfb_p95_ms "
            "and ttfb_p95_ms <= ttfb_p99_ms)"
        ),
        "qos_outcomes_over_requests_rows": violations(
            "errors_4xx + errors_5xx + no_response <= requests and aborted <= requests "
            "and ttfb_count <= requests"
        ),
    },
)  # fmt: skip
_BUCKETS = Part(
    "marts.ttfb_buckets_hourly",
    "hour",
    {
        "buckets_duplicate_keys": doubled("hour", "cdn", "customer", "bucket"),
        "buckets_negative_rows": not_negative("requests"),
    },
)
# sums per key, then absolute values: errors of two customers must not cancel out
_TRAFFIC_AGAINST_QOS = Part(
    """(
        select hour, cdn, customer, sum(requests) as requests, sum(bytes) as bytes
        from (
            select date_trunc('hour', slot_start) as hour, cdn, customer, requests, bytes
            from marts.traffic_5m where {traffic_range}
            union all
            select hour, cdn, customer, -requests, -bytes from marts.qos_hourly where {hour_range}
        ) group by all
    )""",
    "hour",
    {"requests_difference": "sum(abs(requests))", "bytes_difference": "sum(abs(bytes))"},
)
_BUCKETS_AGAINST_QOS = Part(
    """(
        select hour, cdn, customer, sum(requests) as requests
        from (
            select hour, cdn, customer, requests from marts.ttfb_buckets_hourly
            where {hour_range}
            union all
            select hour, cdn, customer, -ttfb_count from marts.qos_hourly where {hour_range}
        ) group by all
    )""",
    "hour",
    {"ttfb_count_difference": "sum(abs(requests))"},
)
_ENGAGEMENT = Part(
    "marts.engagement_hourly",
    "hour",
    {
        "engagement_duplicate_keys": doubled("hour", "customer", "scene"),
        "engagement_negative_rows": not_negative(
            "impressions", "clicks", "plays", "valid_plays", "watch_ms", "likes",
            "duplicates_removed",
        ),
        "engagement_valid_over_plays_rows": violations("valid_plays <= plays"),
        "engagement_ctr_mismatch_rows": violations(_ratio_is("ctr", "clicks", "impressions")),
        "engagement_watch_over_day_rows": violations(f"watch_ms <= plays * {_DAY_MS}"),
        "engagement_clicks_over_impressions_rows": violations("clicks <= impressions"),
    },
)  # fmt: skip
TRAFFIC: tuple[Part, ...] = (
    _TRAFFIC, _QOS, _BUCKETS, _TRAFFIC_AGAINST_QOS, _BUCKETS_AGAINST_QOS,
)  # fmt: skip
ENGAGEMENT: tuple[Part, ...] = (_ENGAGEMENT,)
