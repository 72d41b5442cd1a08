"""Good rows of the marts of delivery quality, and one defect for each of their rules.

Belongs here: SQL over a build file. Does not: what the tests do with it (test_marts).
"""

from __future__ import annotations

_COUNTS = {
    "requests": 10, "bytes": 1000, "bytes_in": 5, "eligible_requests": 8, "hit_requests": 5,
    "miss_requests": 3, "other_requests": 2, "eligible_bytes": 800, "hit_bytes": 500,
    "cacheable_requests": 7, "edge_hit_requests": 6, "plain_hit_requests": 4,
    "origin_requests": 3, "origin_bytes": 300, "errors_4xx": 2, "client_errors": 1,
    "live_edge_errors": 1, "errors_5xx": 1, "no_response": 1, "aborted": 1, "aborted_bytes": 50,
    "answerable_requests": 8, "failed_requests": 1, "ttfb_count": 4, "throughput_count": 2,
    "throughput_bytes": 400, "throughput_us": 1000, "duplicates_removed": 0,
}  # fmt: skip
_SLOTS = "unnest([{hours}]) as a(h), range(12) as b(s)"
_BUCKETS = "(values ('ttfb_ms', 4), ('throughput_kbps', 2)) as m(measure, n)"
_PLACE = "'cloudfront' as cdn, 'DE' as country, 3320::bigint as asn, 'HTTP/2' as protocol, "
_PLACE += "'segment' as object_type"


def _counts(times: int) -> str:
    return ", ".join(f"{value * times}::bigint as {name}" for name, value in _COUNTS.items())


def good_rows(hours: str, days: str) -> str:
    """Return SQL that makes the marts with these hours and days (SQL literals)."""
    slots = _SLOTS.format(hours=hours)
    bucket = "measure, true as is_hit, 1::integer as bucket"
    made = {
        "qos_5m": f"select h + to_minutes(5 * s) as slot_start, 'cloudfront' as cdn, 'FRA1' as "
        f"pop, 'aurora' as customer, {_counts(1)} from {slots}",
        "qos_places_hourly": f"select h as hour, {_PLACE}, {_counts(12)} "
        f"from unnest([{hours}]) as a(h)",
        "qos_buckets_5m": f"select h + to_minutes(5 * s) as slot_start, 'cloudfront' as cdn, "
        f"'FRA1' as pop, {bucket}, n::bigint as requests from {slots}, {_BUCKETS}",
        "qos_buckets_hourly": f"select h as hour, {_PLACE}, {bucket}, n * 12::bigint as requests "
        f"from unnest([{hours}]) as a(h), {_BUCKETS}",
        "qos_hops_hourly": "select h as hour, 'cloudfront' as cdn, 'FRA1' as pop, hop, "
        "120::bigint as hop_requests, 12000::bigint as hop_bytes, 60::bigint as "
        "hop_hit_requests, 60::bigint as hop_origin_requests, 6000::bigint as hop_origin_bytes, "
        f"1::bigint as hop_errors_5xx from unnest([{hours}]) as a(h), "
        "(values ('edge'), ('inner')) as t(hop)",
        "streams_hourly": "select h as hour, 'cloudfront' as cdn, 'FRA1' as pop, c as customer, "
        "t as stream, 60::bigint as requests, n::bigint as bytes from "
        f"unnest([{hours}]) as a(h), (values ('aurora'), (null)) as b(c), "
        "(values ('live-1', 9000), ('(other)', 3000)) as s(t, n)",
        "pop_headroom_hourly": "select h as hour, 'cloudfront' as cdn, 'FRA1' as pop, "
        "12000::bigint as egress_bytes, 3000::bigint as peak_slot_bytes, 80.0::double as "
        "peak_bps, 100::bigint as capacity_bps, 0.8::double as peak_utilisation, 20.0::double "
        f"as headroom_bps from unnest([{hours}]) as a(h)",
        "rosetta_hourly": "select h as hour, 'cloudfront' as cdn, m as metric, 'weir' as "
        f"definition, 1.0::double as scale, n::bigint as numerator, 96::bigint as denominator from "
        f"unnest([{hours}]) as a(h), (values ('availability', 84), ('hit_ratio', 60)) as t(m, n)",
        "qos_daily": f"select d as day, {_PLACE}, {_counts(24)} from unnest([{days}]) as a(d)",
        "qos_pops_daily": "select d as day, 'cloudfront' as cdn, 'FRA1' as pop, 'aurora' as "
        f"customer, {_counts(24)} from unnest([{days}]) as a(d)",
        "qos_buckets_daily": f"select d as day, {_PLACE}, {bucket}, n * 24::bigint as requests "
        f"from unnest([{days}]) as a(d), {_BUCKETS}",
    }
    return ";\n".join(f"create table marts.{name} as {sql}" for name, sql in made.items())


def defects(at: str, day: str) -> dict[str, str]:
    """Return a statement for each rule that breaks it at an hour or a day (SQL literals)."""
    keys = {"qos_5m": "slot_start", "qos_buckets_5m": "slot_start"}
    keys |= dict.fromkeys(("qos_daily", "qos_pops_daily", "qos_buckets_daily"), "day")

    def where(mart: str) -> str:
        key = keys.get(mart, "hour")
        return f"{key} = {day if key == 'day' else at}"

    def set_(mart: str, change: str, also: str = "true") -> str:
        return f"update marts.{mart} set {change} where {where(mart)} and {also}"

    def again(mart: str) -> str:
        return f"insert into marts.{mart} from marts.{mart} where {where(mart)} limit 1"

    ttfb, transfer = "measure = 'ttfb_ms'", "measure = 'throughput_kbps'"
    more = "requests = requests + 1"
    return {
        "qos_5m/qos_5m_keys_are_unique": again("qos_5m"),
        "qos_5m/qos_5m_is_not_negative": set_("qos_5m", "throughput_us = -1"),
        "qos_5m/qos_5m_parts_add_up": set_("qos_5m", "miss_requests = 4"),
        "qos_places_hourly/places_keys_are_unique": again("qos_places_hourly"),
        "qos_places_hourly/places_are_not_negative": set_("qos_places_hourly", "bytes_in = null"),
        "qos_places_hourly/places_parts_add_up": set_("qos_places_hourly", "live_edge_errors = 24"),
        "qos_places_hourly/places_requests_agree_with_five_minutes": set_(
            "qos_places_hourly", "requests = 121, other_requests = 25"
        ),
        "qos_places_hourly/places_bytes_agree_with_five_minutes": set_(
            "qos_places_hourly", "bytes = 12001"
        ),
        "qos_places_hourly/places_failures_agree_with_five_minutes": set_(
            "qos_places_hourly", "failed_requests = 11"
        ),
        "qos_buckets_5m/buckets_5m_keys_are_unique": again("qos_buckets_5m"),
        "qos_buckets_5m/buckets_5m_are_possible": set_("qos_buckets_5m", "requests = -1"),
        "qos_buckets_5m/buckets_5m_hold_each_first_byte": set_("qos_buckets_5m", more, ttfb),
        "qos_buckets_5m/buckets_5m_hold_each_transfer": set_("qos_buckets_5m", more, transfer),
        "qos_buckets_hourly/buckets_places_keys_are_unique": again("qos_buckets_hourly"),
        "qos_buckets_hourly/buckets_places_are_possible": set_(
            "qos_buckets_hourly", "measure = 'rtt'"
        ),
        "qos_buckets_hourly/buckets_places_hold_each_first_byte": set_(
            "qos_buckets_hourly", more, ttfb
        ),
        "qos_buckets_hourly/buckets_places_hold_each_transfer": set_(
            "qos_buckets_hourly", more, transfer
        ),
        "qos_hops_hourly/hop_keys_are_unique": again("qos_hops_hourly"),
        "qos_hops_hourly/hops_are_possible": set_(
            "qos_hops_hourly", "hop_hit_requests = 121", "hop = 'inner'"
        ),
        "qos_hops_hourly/edge_requests_are_viewer_requests": set_(
            "qos_hops_hourly", "hop_requests = 121"
        ),
        "qos_hops_hourly/edge_bytes_are_viewer_bytes": set_("qos_hops_hourly", "hop_bytes = 12001"),
        "streams_hourly/stream_keys_are_unique": again("streams_hourly"),
        "streams_hourly/streams_are_not_negative": set_(
            "streams_hourly", "bytes = -1", "stream = '(other)'"
        ),
        # one more for one customer, one less for another: totals alone would agree
        "streams_hourly/streams_requests_agree_with_traffic": set_(
            "streams_hourly",
            "requests = requests + case when customer is null then 1 else -1 end",
            "stream = 'live-1'",
        ),
        "streams_hourly/streams_bytes_agree_with_traffic": set_(
            "streams_hourly", "bytes = 9001", "stream = 'live-1'"
        ),
        "pop_headroom_hourly/headroom_keys_are_unique": again("pop_headroom_hourly"),
        "pop_headroom_hourly/headroom_adds_up": set_("pop_headroom_hourly", "headroom_bps = 30"),
        "pop_headroom_hourly/no_location_exceeds_its_capacity": set_(
            "pop_headroom_hourly", "peak_utilisation = 1.6, capacity_bps = 50, headroom_bps = -30"
        ),
        "rosetta_hourly/rosetta_keys_are_unique": again("rosetta_hourly"),
        "rosetta_hourly/rosetta_terms_are_possible": set_(
            "rosetta_hourly", "numerator = 97", "metric = 'hit_ratio'"
        ),
        "rosetta_hourly/rosetta_counts_what_we_count": set_(
            "rosetta_hourly", "numerator = 83", "metric = 'availability'"
        ),
        "rosetta_hourly/rosetta_is_of_the_same_rows": set_(
            "rosetta_hourly", "denominator = 95", "metric = 'availability'"
        ),
        "qos_daily/daily_keys_are_unique": again("qos_daily"),
        "qos_daily/daily_is_not_negative": set_("qos_daily", "aborted = null"),
        "qos_daily/daily_parts_add_up": set_("qos_daily", "plain_hit_requests = 145"),
        "qos_daily/daily_requests_agree_with_locations": set_(
            "qos_daily", "requests = 241, other_requests = 49"
        ),
        "qos_daily/daily_bytes_agree_with_locations": set_("qos_daily", "bytes = 24001"),
        "qos_pops_daily/pops_daily_keys_are_unique": again("qos_pops_daily"),
        "qos_pops_daily/pops_daily_is_not_negative": set_("qos_pops_daily", "hit_bytes = null"),
        "qos_pops_daily/pops_daily_parts_add_up": set_("qos_pops_daily", "hit_requests = 119"),
        "qos_buckets_daily/buckets_daily_keys_are_unique": again("qos_buckets_daily"),
        "qos_buckets_daily/buckets_daily_are_possible": set_("qos_buckets_daily", "requests = -1"),
        "qos_buckets_daily/buckets_daily_hold_each_first_byte": set_(
            "qos_buckets_daily", more, ttfb
        ),
        "qos_buckets_daily/buckets_daily_hold_each_transfer": set_(
            "qos_buckets_daily", more, transfer
        ),
    }
