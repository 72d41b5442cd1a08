"""Cloudflare's GraphQL Analytics, one group a line: hourly or finer requests and bytes of a zone.

Follows developers.cloudflare.com/analytics/graphql-api (data sets httpRequestsAdaptiveGroups and
httpRequests1hGroups; sampling). The API answers one document; its groups become lines with::

    jq -c '.data.viewer.zones[] | .zoneTag as $z | .httpRequestsAdaptiveGroups[] + {zoneTag: $z}'

What the numbers are:

- requests: `count` of the adaptive data set is an estimate from a sample (sample_interval says how
  many events one stands for, where `avg { sampleInterval }` was asked for); `sum.requests` of the
  hourly roll-up is a count. Ask for `requestSource: "eyeball"`: without that filter, requests of
  Workers are in it, which the logs mark as no viewer's.
- bytes: `edgeResponseBytes` (`bytes` in the roll-up) is what the edge returned to clients, with
  headers, as EdgeResponseBytes in the logs; no network overhead.
- clock: UTC, the start of the request; no time zone can be asked for.
- late: minutes for the adaptive data set; Cloudflare names no instant after which it is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from lake.formats.tabular import Field
from lake.formats.vendor_usage import NOTHING, VendorUsage, seconds
from lake.source import Source

_D = "dimensions."


class CloudflareUsage(VendorUsage):
    """Groups of the GraphQL Analytics API."""

    name = "cloudflare_usage"
    version = 2
    cdn = "cloudflare"
    fields = (
        Field("hour_at", "instant", (f"{_D}datetimeHour",)),
        Field("quarter_at", "instant", (f"{_D}datetimeFifteenMinutes",)),
        Field("five_at", "instant", (f"{_D}datetimeFiveMinutes",)),
        Field("minute_at", "instant", (f"{_D}datetimeMinute",)),
        Field("day_at", "instant", (f"{_D}date",)),
        Field("any_at", "instant", (f"{_D}datetime",)),
        Field("zone_tag", "text", ("zoneTag", f"{_D}zoneTag"), is_required=True),
        Field("account_tag", "text", ("accountTag", f"{_D}accountTag")),
        Field("viewer_host", "text", (f"{_D}clientRequestHTTPHost",)),
        Field("viewer_country", "text", (f"{_D}clientCountryName",)),
        Field("counted", "count", ("count",)),
        Field("edge_bytes", "count", ("sum.edgeResponseBytes",)),
        Field("rolled_requests", "count", ("sum.requests",)),
        Field("rolled_bytes", "count", ("sum.bytes",)),
        Field("sampled_by", "decimal", ("avg.sampleInterval",)),
    )
    #: finest first: a group by hour and by minute is one minute's
    _SLOTS: Mapping[str, timedelta] = {
        "minute_at": timedelta(minutes=1),
        "five_at": timedelta(minutes=5),
        "quarter_at": timedelta(minutes=15),
        "hour_at": timedelta(hours=1),
        "day_at": timedelta(days=1),
    }

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse a group without a time or without a number."""
        if not any(values[name] for name in (*self._SLOTS, "any_at")):
            return "bad_time"
        numbers = ("counted", "edge_bytes", "rolled_requests", "rolled_bytes")
        return None if any(values[name] for name in numbers) else "missing_field"

    def usage_sql(self, source: Source) -> Mapping[str, str]:
        """Return the columns; the slot is as long as the dimension that gives its start."""
        slots = " ".join(
            f"when {name} is not null then {seconds(length)}"
            for name, length in self._SLOTS.items()
        )
        is_adaptive = "(counted is not null or edge_bytes is not null)"
        return {
            "slot_at": f"coalesce({', '.join(self._SLOTS)}, any_at)",
            "slot_s": f"case {slots} else {seconds(source.published.slot or self.slot)} end",
            "account": "account_tag",
            "scope_kind": "'zone'",
            "scope_value": "zone_tag",
            "host": "lower(viewer_host)",
            "country": "upper(viewer_country)",
            "region": NOTHING,
            "counter": f"case when {is_adaptive} then 'count, edgeResponseBytes' "
            "else 'requests, bytes' end",
            "operation": NOTHING,
            "requests": "coalesce(counted, rolled_requests)",
            "bytes": "coalesce(edge_bytes, rolled_bytes)",
            "bytes_meaning": "'with_headers'",
            "definition": f"case when {is_adaptive} then 'cloudflare.adaptive/1' "
            "else 'cloudflare.rollup/1' end",
            "rounding": f"case when {is_adaptive} and coalesce(try_cast(sampled_by as double), 2) "
            "<> 1 then 'sampled' else 'exact' end",
            "sample_interval": "try_cast(sampled_by as double)",
        }
