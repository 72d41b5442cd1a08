"""Fastly's historical stats, one bucket a line: requests and bytes of a service by hour or finer.

Follows fastly.com/documentation/reference/api/metrics-stats/historical-stats. The API answers one
document with a `data` array, read with `document: {records: data, keep: {by: meta.by, region:
meta.region}}` in the source, or its buckets become lines, with how long they are, by::

    jq -c '.meta as $m | .data[] + {by: $m.by, region: $m.region}'

What the numbers are:

- requests: `edge_requests` are those of end users; `requests`, which older exports have alone, also
  counts what a shield asks of another PoP.
- bytes: `edge_resp_header_bytes + edge_resp_body_bytes` went to end users, with headers.
  `resp_*_bytes` also count those to another PoP. `bandwidth` adds what was sent to origins
  (`bereq_*`) and is what is billed: bytes_meaning is then with_backend. The first of the three
  that a bucket has is taken, and `definition` says which.
- clock: UTC; `start_time` is the start of the bucket. Rounding: none.
- late: an hour's bucket comes about 15 minutes after its end, a day's about 02:00 on the next day.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake.formats.tabular import Field
from lake.formats.vendor_usage import NOTHING, VendorUsage, seconds
from lake.source import Source


class FastlyUsage(VendorUsage):
    """Buckets of the historical stats API."""

    name = "fastly_usage"
    version = 1
    cdn = "fastly"
    notes_unknown_keys = False  # a bucket has about a hundred other numbers
    fields = (
        Field("bucket_at", "instant", ("start_time",), is_required=True),
        Field("bucket_by", "text", ("by",)),
        Field("service", "text", ("service_id",), is_required=True),
        Field("stats_region", "text", ("region",)),
        Field("edge_requests", "count", ("edge_requests",)),
        Field("all_requests", "count", ("requests",)),
        Field("edge_header", "count", ("edge_resp_header_bytes",)),
        Field("edge_body", "count", ("edge_resp_body_bytes",)),
        Field("resp_header", "count", ("resp_header_bytes",)),
        Field("resp_body", "count", ("resp_body_bytes",)),
        Field("bandwidth", "count", ("bandwidth",)),
    )

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse a bucket without a number, or of a length nobody knows."""
        if values["bucket_by"] not in (None, "minute", "hour", "day"):
            return "unknown_slot"
        numbers = ("edge_requests", "all_requests", "edge_body", "resp_body", "bandwidth")
        return None if any(values[name] for name in numbers) else "missing_field"

    def usage_sql(self, source: Source) -> Mapping[str, str]:
        """Return the columns, of the narrowest numbers that a bucket has."""
        default = seconds(source.published.slot or self.slot)
        edge = "edge_header is not null and edge_body is not null"
        resp = "resp_header is not null and resp_body is not null"

        def by_kind(at_edge: str, of_service: str, billed: str) -> str:
            return (
                f"case when {edge} then {at_edge} when {resp} then {of_service} else {billed} end"
            )

        requests = "case when edge_requests is not null then 'edge_requests' else 'requests' end"
        kind = by_kind("'edge'", "'resp'", "'bandwidth'")
        return {
            "slot_at": "bucket_at",
            "slot_s": f"case bucket_by when 'minute' then 60 when 'hour' then 3600 "
            f"when 'day' then 86400 else {default} end",
            "scope_kind": "'service'",
            "scope_value": "service",
            "region": "nullif(stats_region, 'all')",
            "country": NOTHING,
            "host": NOTHING,
            "operation": NOTHING,
            "counter": f"{requests} || ', ' || {kind} || '_bytes'",
            "requests": "coalesce(edge_requests, all_requests)",
            "bytes": by_kind("edge_header + edge_body", "resp_header + resp_body", "bandwidth"),
            "bytes_meaning": by_kind("'with_headers'", "'with_headers'", "'with_backend'"),
            "definition": f"'fastly.' || {kind} || '/1'",
            "rounding": "'exact'",
        }
