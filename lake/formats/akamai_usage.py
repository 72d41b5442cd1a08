"""Akamai's Reporting API v2, report delivery/traffic/current: CSV or JSON, by CP code.

By five minutes, hours or days, as techdocs.akamai.com/reporting/reference/delivery-traffic-current
has it (dimensions time5minutes, time1hour, time1day, cpcode, hostname, country; metrics
edgeHitsSum, edgeBytesSum, edgeResponseBytesSum). The CSV answer is taken as it is; rows of the JSON
answer become lines with `jq -c '.data[]'`.

What the numbers are:

- requests: `edgeHitsSum`, requests at the edge; midgress (`midgressHitsSum`) is not in it.
- bytes: `edgeResponseBytesSum` are responses. `edgeBytesSum`, "the total volume of edge traffic",
  is taken where the former is missing; the reference does not say whether it holds TCP/IP
  overhead (that of DataStream's totalBytes does) or requests. So bytes_meaning is unstated: write
  what the contract says under published.bytes_meaning of the source file.
- clock: UTC; the dimension is the start of the slot, as ISO 8601 or unix seconds. Rounding: none.
- late: counts of the last two days may still grow.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake.formats.tabular import Field
from lake.formats.vendor_usage import NOTHING, VendorUsage
from lake.source import Source


class AkamaiUsage(VendorUsage):
    """Rows of the report delivery/traffic/current."""

    name = "akamai_usage"
    version = 1
    cdn = "akamai"
    fields = (
        Field("five_at", "instant", ("time5minutes",)),
        Field("hour_at", "instant", ("time1hour",)),
        Field("day_at", "instant", ("time1day",)),
        Field("cp_code", "text", ("cpcode",), is_required=True),
        Field("viewer_host", "text", ("hostname",)),
        Field("viewer_country", "text", ("country",)),
        Field("hits", "count", ("edgeHitsSum",)),
        Field("response_bytes", "count", ("edgeResponseBytesSum",)),
        Field("edge_bytes", "count", ("edgeBytesSum",)),
    )

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse a row without a time or without a number."""
        if not any(values[name] for name in ("five_at", "hour_at", "day_at")):
            return "bad_time"
        numbers = ("hits", "response_bytes", "edge_bytes")
        return None if any(values[name] for name in numbers) else "missing_field"

    def usage_sql(self, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the columns; the slot is as long as the dimension that gives its start."""
        kind = "case when response_bytes is not null then 'edge_response' else 'edge' end"
        return {
            "slot_at": "coalesce(five_at, hour_at, day_at)",
            "slot_s": "case when five_at is not null then 300 when hour_at is not null then 3600 "
            "else 86400 end",
            "scope_kind": "'cp_code'",
            "scope_value": "cp_code",
            "host": "lower(viewer_host)",
            "country": "upper(viewer_country)",
            "region": NOTHING,
            "operation": NOTHING,
            "counter": "case when response_bytes is not null "
            "then 'edgeHitsSum, edgeResponseBytesSum' else 'edgeHitsSum, edgeBytesSum' end",
            "requests": "hits",
            "bytes": "coalesce(response_bytes, edge_bytes)",
            "bytes_meaning": "'unstated'",
            "definition": f"'akamai.' || {kind} || '/1'",
            "rounding": "'exact'",
        }
