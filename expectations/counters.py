"""What is measured of staged deliveries of vendors' counters, invoices, rosters and capacities.

Belongs here: measures, as SQL over the rows of one delivery, and the columns they read. Does not:
what is acceptable (deliveries.yaml). Identities of money are differences in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping

from expectations.parts import count

_MINUTE_S, _DAY_S = 60, 86_400


def _overlaps(key: str, start: str, end: str) -> str:
    """Count spans of a key that begin before the one before them ended, in one scan.

    Aggregated to sorted lists, as a window would not fit into the one SELECT of a profile.
    """
    spans = f"list(distinct {{'k': {key}, 's': {start}, 'e': {end}}})"
    ordered = f"list_sort({spans})"
    return (
        f"len(list_filter(list_zip({ordered}, ({ordered})[2:]), lambda p: p[2] is not null "
        "and p[1].k = p[2].k and p[2].s < p[1].e))"
    )


def _key(*columns: str) -> str:
    """Return several columns as one text; a null is not left out, as concat_ws would."""
    filled = ", ".join(f"coalesce({c}, '')" for c in columns)
    return f"concat_ws(chr(31), {filled})"


_FOREVER = "timestamptz '9999-01-01 00:00:00+00:00'"
_SCOPE = (
    "cdn", "account", "scope_kind", "scope_value", "host", "country", "region", "counter",
    "operation", "definition",
)  # fmt: skip
_NUMBERS = "(row_key, requests, bytes, quantity)"
#: half a unit of the amount's last decimal, as a decimal: a power would be a float
_HALF_UNIT = (
    "cast('0.' || repeat('0', least(amount_decimals, 12)::integer) || '5' as decimal(14, 13))"
)
_IS_PRICED = (
    "charge_category in ('Usage', 'Purchase') and charge_class is null "
    "and quantity is not null and unit_price is not null"
)

COUNTER_MEASURES: Mapping[str, dict[str, str]] = {
    "bronze.vendor_usage": {
        "negative_count_rows": count("requests < 0 or bytes < 0 or quantity < 0"),
        "contradicted_slots": f"count(distinct {_NUMBERS}) - count(distinct row_key)",
        "overlapping_slots": _overlaps(_key(*_SCOPE), "event_time", "slot_end"),
        "insane_slot_rows": count(
            f"date_diff('second', event_time, slot_end) not between {_MINUTE_S} and {_DAY_S}"
        ),
        "uncounted_share": f"{count('requests is null and bytes is null')}::double"
        " / nullif(count(*), 0)",
        "published_before_end_rows": count("published_at < slot_end"),
    },
    "bronze.vendor_invoices": {
        "insane_period_rows": count(
            "date_diff('hour', event_time, billing_period_end) not between 23 and 366 * 24"
        ),
        "repeated_lines": f"{count('line_no is not null')} "
        "- count(distinct row_key) filter (where line_no is not null)",
        "negative_quantity_rows": count(
            "unit_price < 0 or (quantity < 0 and charge_class is null "
            "and charge_category in ('Usage', 'Purchase'))"
        ),
        # a product beyond 38 digits is no amount that anybody wrote
        "miscalculated_rows": count(
            f"{_IS_PRICED} and coalesce(abs(try(quantity * unit_price - amount)) > {_HALF_UNIT}, "
            "true)"
        ),
        "currencies": "count(distinct currency)",
        "charges_outside_rows": count(
            "charge_class is null and (charge_period_start < event_time "
            "or charge_period_end > billing_period_end)"
        ),
    },
    "bronze.producer_rosters": {
        "overlapping_spans": _overlaps(
            _key("feed", "producer"),
            "event_time",
            f"coalesce(valid_to, {_FOREVER})",
        ),
        "impossible_cadence_rows": count(f"cadence_s not between 1 and 366 * {_DAY_S}"),
        "negative_sequence_rows": count("last_seq < 0"),
    },
    "bronze.capacities": {
        "overlapping_spans": _overlaps(
            _key("cdn", "kind", "name"), "event_time", f"coalesce(valid_to, {_FOREVER})"
        ),
        "powerless_rows": count("capacity_bps <= 0"),
        "implausible_capacity_rows": count(
            "capacity_bps not between 1000000 and 10000000000000000"
        ),
    },
}
COUNTER_FIELDS: Mapping[str, frozenset[str]] = {
    "bronze.vendor_usage": frozenset(
        {
            "account", "host", "country", "region", "operation", "requests", "bytes", "quantity",
            "published_at",
        }
    ),
    "bronze.vendor_invoices": frozenset(
        {
            "line_no", "charge_class", "charge_period_start", "charge_period_end", "quantity",
            "unit_price",
        }
    ),
    "bronze.producer_rosters": frozenset(
        {"producer", "valid_to", "cadence_s", "last_seq"}
    ),
    "bronze.capacities": frozenset({"valid_to"}),
}  # fmt: skip
