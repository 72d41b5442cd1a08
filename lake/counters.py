"""What vendors say themselves: usage counters, invoices, rosters of producers, capacities.

Belongs here: the tables, column by column. Does not: how a vendor publishes them (lake/formats),
what each vendor's numbers mean (docs/vendor-counters.md), or any comparison with the logs.

They are bronze like logs, so they take the same way: deliveries, replaced versions, holds,
rejects. No mart is built from them yet: an hour of theirs makes no hour of a mart stale.
`event_time` is where each row begins, as in every bronze table.
"""

from __future__ import annotations

from pyiceberg.transforms import MonthTransform
from pyiceberg.types import DecimalType

from lake.columns import DOUBLE, INT, LINEAGE, LONG, STRING, TIME, Record, opt, req

#: twelve decimals, as exports of FOCUS have them; quantity x price then still fits 38 digits
QUANTITY = DecimalType(30, 12)
UNIT_PRICE = DecimalType(24, 12)
AMOUNT = DecimalType(30, 12)

_STATS = ("event_time", "delivery_id", "source", "ingested_at")
_PUBLISHED = opt(
    "published_at",
    TIME,
    "when the vendor published it, as the object's name says (period.published_format); null: the "
    "name does not say. When it landed is in ops.deliveries",
)

VENDOR_USAGE = Record(
    "bronze",
    "vendor_usage",
    "One row per slot, scope and counter of a vendor's own usage counters, each publication",
    (
        req("event_time", TIME, "start of the slot, inclusive"),
        req("slot_end", TIME, "end of the slot, exclusive"),
        *LINEAGE,
        req("cdn", STRING, "vendor, by the name its logs have: cloudfront, akamai, ..."),
        opt("account", STRING, "the vendor's account, where the file or the source says it"),
        req("scope_kind", STRING, "what is counted: zone, service, distribution, cp_code, account"),
        req("scope_value", STRING, "which one, as the vendor writes it; account-wide: *"),
        opt("host", STRING, "viewer's Host, where the vendor counts by it"),
        opt("country", STRING, "ISO 3166 alpha-2, where the vendor counts by it"),
        opt("region", STRING, "the vendor's billing region or reporting region"),
        req("counter", STRING, "the vendor's name(s) of the number(s) in this row"),
        opt("operation", STRING, "the vendor's subdivision of a counter (AWS: Operation)"),
        opt("requests", LONG, "requests; null: this row counts none"),
        opt("bytes", LONG, "bytes; null: this row counts none. Their meaning: bytes_meaning"),
        opt("quantity", LONG, "value of a counter that is neither (invalidations, ...)"),
        opt(
            "bytes_meaning",
            STRING,
            "with_headers, body, with_network_overhead (TCP/IP, TLS), with_backend (includes what "
            "goes to origins), or unstated; null without bytes",
        ),
        req("definition", STRING, "metric definition and its version; docs/vendor-counters.md"),
        req("rounding", STRING, "exact, rounded (to the units below) or sampled (an estimate)"),
        opt("requests_unit", LONG, "requests are whole multiples of it; null: 1"),
        opt("bytes_unit", LONG, "bytes are whole multiples of it; null: 1"),
        opt("sample_interval", DOUBLE, "events one sampled event stands for, where it is given"),
        _PUBLISHED,
        opt("final_at", TIME, "from when on the vendor calls the slot final; null: not declared"),
    ),
    partition_by="event_time",
    transform=MonthTransform(),
    stats=(*_STATS, "cdn"),
)

VENDOR_INVOICES = Record(
    "bronze",
    "vendor_invoices",
    "One row per line of a vendor's invoice, with FOCUS 1.2 meanings, each publication",
    (
        req("event_time", TIME, "BillingPeriodStart: the vendor's own zone, as an instant"),
        req("billing_period_end", TIME, "BillingPeriodEnd, exclusive"),
        *LINEAGE,
        req("cdn", STRING, "vendor, by the name its logs have"),
        opt("invoice_id", STRING, "InvoiceId; null until the vendor has issued one"),
        opt("line_no", LONG, "number of the line on the invoice; FOCUS has none"),
        req("issuer", STRING, "InvoiceIssuerName"),
        opt("billing_account", STRING, "BillingAccountId"),
        opt("sub_account", STRING, "SubAccountId"),
        opt("charge_period_start", TIME, "ChargePeriodStart, inclusive"),
        opt("charge_period_end", TIME, "ChargePeriodEnd, exclusive"),
        req("charge_category", STRING, "ChargeCategory: Usage Purchase Tax Credit Adjustment"),
        opt("charge_class", STRING, "ChargeClass: Correction (of an earlier period), or null"),
        opt("charge_description", STRING, "ChargeDescription"),
        opt("service_name", STRING, "ServiceName"),
        opt("sku_id", STRING, "SkuId"),
        opt("region", STRING, "RegionId, or the region the invoice names"),
        opt("scope", STRING, "ResourceId, or the distribution, zone or service of the line"),
        opt("quantity", QUANTITY, "PricingQuantity, in `unit`; null for Tax"),
        opt("unit", STRING, "PricingUnit: GB, 10000 Requests, ..."),
        opt("unit_price", UNIT_PRICE, "ContractedUnitPrice (else ListUnitPrice), per unit"),
        req("amount", AMOUNT, "BilledCost, any sign, in `currency`"),
        req("currency", STRING, "BillingCurrency, ISO 4217"),
        req("amount_decimals", INT, "decimals the amount is written with: its own rounding"),
        _PUBLISHED,
    ),
    partition_by="event_time",
    transform=MonthTransform(),
    stats=(*_STATS, "cdn"),
    counts_repeats=True,
)

PRODUCER_ROSTERS = Record(
    "bronze",
    "producer_rosters",
    "One row per producer and time span: who is expected to deliver to a feed, and how often",
    (
        req("event_time", TIME, "valid from, inclusive"),
        opt("valid_to", TIME, "valid until, exclusive; null: open"),
        *LINEAGE,
        req("feed", STRING, "source whose producer it is; lineage names it in `producer`"),
        opt("cadence_s", LONG, "seconds between its deliveries; null: the source's own cadence"),
        opt("last_seq", LONG, "highest sequence number given out, where the roster says"),
        opt("last_seq_at", TIME, "instant of last_seq"),
        _PUBLISHED,
    ),
    partition_by="event_time",
    transform=MonthTransform(),
    stats=_STATS,
)

CAPACITIES = Record(
    "bronze",
    "capacities",
    "One row per place and time span: how much a PoP or a link can carry",
    (
        req("event_time", TIME, "valid from, inclusive"),
        opt("valid_to", TIME, "valid until, exclusive; null: open"),
        *LINEAGE,
        req("cdn", STRING, "vendor or own fleet"),
        req("kind", STRING, "pop or link"),
        req("name", STRING, "the PoP as logs write it, or the link's name"),
        req("capacity_bps", LONG, "bits per second, 10^9 a Gbit/s"),
        _PUBLISHED,
    ),
    partition_by="event_time",
    transform=MonthTransform(),
    stats=(*_STATS, "cdn"),
)

COUNTERS = (VENDOR_USAGE, VENDOR_INVOICES, PRODUCER_ROSTERS, CAPACITIES)
