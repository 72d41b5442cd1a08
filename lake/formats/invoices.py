"""Vendors' invoices as CSV, JSON lines or Parquet: FOCUS 1.2, and any other header by a map.

FOCUS 1.2 (focus.finops.org) names are what `focus_invoice` reads. `invoice` reads a vendor's own
header: `published.columns` of the source file says which of its columns is which of the names
below; what is not mapped is looked for under our own name.

Money is exact: amounts, quantities and prices keep every digit or the line is rejected, and none
passes through a float. Times without a zone are local to the vendor (published.time_zone): a
billing month of a vendor in UTC+8 begins at 16:00 UTC of the day before. A period without an end
is one month. A line without a number of its own is identified by its content and how often it
occurred before; a charge may stand on an invoice twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lake import canonical as sql
from lake.counters import VENDOR_INVOICES
from lake.formats.base import Layout, Look
from lake.formats.heads import first_lines
from lake.formats.tabular import Field, Tabular
from lake.formats.vendor_usage import text_or_null
from lake.reads import quote_literal
from lake.source import Source

#: columns of FOCUS that nothing else has together
TELLING = ("BilledCost", "BillingCurrency", "ChargeCategory")
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
_PRICE_DIGITS = 12
_OWN = (
    Field("invoice_id", "text", ("invoice_id",)),
    Field("line_no", "count", ("line_no",)),
    Field("issuer", "text", ("issuer",), is_required=True),
    Field("billing_account", "text", ("billing_account",)),
    Field("sub_account", "text", ("sub_account",)),
    Field("period_start", "instant", ("billing_period_start",), is_required=True),
    Field("period_end", "instant", ("billing_period_end",)),
    Field("charge_start", "instant", ("charge_period_start",)),
    Field("charge_end", "instant", ("charge_period_end",)),
    Field("category", "text", ("charge_category",)),
    Field("charge_class", "text", ("charge_class",)),
    Field("charge_description", "text", ("charge_description",)),
    Field("service_name", "text", ("service_name",)),
    Field("sku_id", "text", ("sku_id",)),
    Field("region", "text", ("region",)),
    Field("scope", "text", ("scope",)),
    Field("quantity", "decimal", ("quantity",)),
    Field("unit", "text", ("unit",)),
    Field("unit_price", "decimal", ("unit_price",), digits=_PRICE_DIGITS),
    Field("amount", "decimal", ("amount",), is_required=True),
    Field("currency", "text", ("currency",), is_required=True),
)
_FOCUS: Mapping[str, tuple[str, ...]] = {
    "invoice_id": ("InvoiceId",),
    "line_no": (),
    "issuer": ("InvoiceIssuerName",),
    "billing_account": ("BillingAccountId",),
    "sub_account": ("SubAccountId",),
    "period_start": ("BillingPeriodStart",),
    "period_end": ("BillingPeriodEnd",),
    "charge_start": ("ChargePeriodStart",),
    "charge_end": ("ChargePeriodEnd",),
    "category": ("ChargeCategory",),
    "charge_class": ("ChargeClass",),
    "charge_description": ("ChargeDescription",),
    "service_name": ("ServiceName",),
    "sku_id": ("SkuId",),
    "region": ("RegionId",),
    "scope": ("ResourceId",),
    "quantity": ("PricingQuantity",),
    "unit": ("PricingUnit",),
    "unit_price": ("ContractedUnitPrice", "ListUnitPrice"),
    "amount": ("BilledCost",),
    "currency": ("BillingCurrency",),
}
_AS_THEY_ARE = (
    "invoice_id", "line_no", "billing_account", "sub_account", "charge_class",
    "charge_description", "service_name", "sku_id", "region", "scope", "quantity", "unit",
    "unit_price", "amount",
)  # fmt: skip


class Invoice(Tabular):
    """Lines of an invoice whose columns the source file names."""

    name = "invoice"
    version = 3
    record = VENDOR_INVOICES
    containers = ("lines", "parquet")
    #: a charge may stand on an invoice twice; lake.repeats numbers what has no number of its own
    fields: tuple[Field, ...] = _OWN
    notes_unknown_keys = False

    def fields_of(self, source: Source) -> tuple[Field, ...]:
        """Return the fields by the vendor's names; what the source declares need not be there."""
        return tuple(self._field(f, source) for f in self.fields)

    @staticmethod
    def _field(field: Field, source: Source) -> Field:
        said = source.published
        declared = {"issuer": said.issuer, "currency": said.currency}.get(field.name)
        names = tuple(said.columns.get(n, n) for n in field.names)
        is_required = field.is_required and declared is None
        return replace(field, names=names, is_required=is_required)

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse categories that FOCUS has not, currencies that are none, and empty periods."""
        category, currency = values["category"], values["currency"]
        if category is not None and category.capitalize() not in CATEGORIES:
            return "unknown_category"
        if currency is not None and not _is_currency(currency):
            return "unknown_currency"
        for start, end in (("period_start", "period_end"), ("charge_start", "charge_end")):
            first, last = values[start], values[end]
            if first is not None and last is not None and last <= first:
                return "empty_period"
        return None

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the start of the period."""
        return {"event_time": "period_start"}

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        said = source.published
        zone = quote_literal(said.time_zone)
        month_on = f"timezone({zone}, timezone({zone}, period_start) + interval 1 month)"
        occurred = "case when line_no is null then 1 end"  # the first; keys of others differ
        content = [f"case when line_no is null then {_quoted(c)} end" for c in layout.columns]
        issuer = f"coalesce(issuer, {text_or_null(said.issuer)})"
        return {
            **{name: _quoted(name) for name in _AS_THEY_ARE},
            "cdn": quote_literal(source.cdn or source.name),
            "issuer": issuer,
            "billing_period_end": f"coalesce(period_end, {month_on})",
            "charge_period_start": "charge_start",
            "charge_period_end": "charge_end",
            "charge_category": "coalesce(upper(left(category, 1)) || lower(substr(category, 2)), "
            "'Usage')",
            "currency": f"coalesce(currency, {text_or_null(said.currency)})",
            "amount_decimals": "length(split_part(amount, '.', 2))",
            "row_key": sql.row_key(
                ["epoch_us(event_time)", issuer, "invoice_id", "line_no", occurred, *content]
            ),
        }


class FocusInvoice(Invoice):
    """Rows of a FOCUS 1.2 export."""

    name = "focus_invoice"
    version = 3

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the columns that every export has."""
        first = next(iter(first_lines(head)), b"").lower()
        if all(name.lower().encode() in first for name in TELLING):
            return Look(0.9, f"columns {', '.join(TELLING)}")
        return None

    fields = tuple(
        replace(f, names=_FOCUS[f.name], is_required=f.is_required or f.name == "category")
        for f in _OWN
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _is_currency(text: str) -> bool:
    return len(text) == len("EUR") and text.isascii() and text.isalpha() and text.isupper()
