"""AWS usage reports of Amazon CloudFront, CSV: one row per hour, distribution, usage type.

Follows "Interpret your AWS bill and usage reports for CloudFront" (docs.aws.amazon.com,
AmazonCloudFront/latest/DeveloperGuide) and the header of the report: Service, Operation, UsageType,
Resource, StartTime, EndTime, UsageValue. The region is the usage type's two letters (US, EU, ...).

What the numbers are:

- bytes: `DataTransfer-Out-Bytes` went from edge locations to viewers for GET and HEAD,
  `Out-Bytes-HTTP(S)-Proxy` for other methods. The guide does not say whether headers count;
  sc-bytes of the logs has them, and AWS warns that logs and reports may differ. bytes_meaning is
  with_headers; say otherwise under published.bytes_meaning.
- requests: `Requests-Tier1` are HTTP GET and HEAD, `Requests-Tier2-HTTPS` HTTPS ones,
  `Requests-HTTP(S)-Proxy` the other methods. `-Static` and `-Dynamic` types repeat them by TTL:
  such rows are kept as `quantity`, so that nothing is counted twice.
- to origins and shields (`OBytes`, `OriginShield`), functions, invalidations, field-level
  encryption (`-FLE`): `quantity`.
- clock: GMT, StartTime inclusive. Rounding: none. Late: a day or more.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake.formats.tabular import Field
from lake.formats.vendor_usage import NOTHING, VendorUsage
from lake.source import Source

_SERVICE = "AmazonCloudFront"
_REGION = r"^([A-Z]{2})-"
_BYTES = r"^([A-Z]{2}-)?(DataTransfer-Out-Bytes|Out-Bytes-HTTPS?-Proxy)$"
_REQUESTS = r"^([A-Z]{2}-)?Requests-(Tier1|Tier2-HTTPS|HTTPS?-Proxy)$"


class CloudFrontUsage(VendorUsage):
    """Rows of an AWS usage report."""

    name = "cloudfront_usage"
    version = 1
    cdn = "cloudfront"
    fields = (
        Field("aws_service", "text", ("Service",), is_required=True),
        Field("aws_operation", "text", ("Operation",)),
        Field("usage_type", "text", ("UsageType",), is_required=True),
        Field("distribution", "text", ("Resource",)),
        Field("starts_at", "us_instant", ("StartTime",), is_required=True),
        Field("ends_at", "us_instant", ("EndTime",), is_required=True),
        Field("usage_value", "count", ("UsageValue",), is_required=True),
    )

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse rows of other services and slots that end before they begin."""
        if values["aws_service"] != _SERVICE:
            return "other_service"
        return "bad_time" if (values["ends_at"] or "") <= (values["starts_at"] or "") else None

    def usage_sql(self, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the columns; what is neither viewers' bytes nor requests is a quantity."""
        is_bytes = f"regexp_matches(usage_type, '{_BYTES}')"
        is_requests = f"regexp_matches(usage_type, '{_REQUESTS}')"
        return {
            "slot_at": "starts_at",
            "slot_s": "date_diff('second', starts_at, ends_at)",
            "scope_kind": "case when distribution is null then 'account' else 'distribution' end",
            "scope_value": "coalesce(distribution, '*')",
            "region": f"nullif(regexp_extract(usage_type, '{_REGION}', 1), '')",
            "country": NOTHING,
            "host": NOTHING,
            "operation": "aws_operation",
            "counter": "usage_type",
            "requests": f"case when {is_requests} then usage_value end",
            "bytes": f"case when {is_bytes} then usage_value end",
            "quantity": f"case when not {is_bytes} and not {is_requests} then usage_value end",
            "bytes_meaning": "'with_headers'",
            "definition": "'cloudfront.usage_report/1'",
            "rounding": "'exact'",
        }
