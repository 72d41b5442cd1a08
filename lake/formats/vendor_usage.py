"""Usage counters as CDN vendors publish them, into bronze.vendor_usage.

Belongs here: what the four families share. Each has a file of its own, whose docstring says which
documentation it follows and what its numbers mean.

A row is one slot, one scope and one counter. Its key leaves the numbers out: a slot published
again has the same key, and staging lets the last publication count.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta

from lake import canonical as sql
from lake.counters import VENDOR_USAGE
from lake.formats.base import Layout
from lake.formats.tabular import Tabular
from lake.reads import quote_literal
from lake.source import Source

_IDENTITY = (
    "cdn", "account", "scope_kind", "scope_value", "host", "country", "region", "counter",
    "operation", "definition",
)  # fmt: skip
NOTHING = "null::varchar"


def text_or_null(text: str | None) -> str:
    """Return the SQL of a text that a source may declare."""
    return NOTHING if text is None else quote_literal(text)


def seconds(span: timedelta) -> int:
    """Return a duration in whole seconds."""
    return int(span.total_seconds())


class VendorUsage(Tabular):
    """What families of usage counters share."""

    record = VENDOR_USAGE
    #: length of a slot where nothing else says it
    slot = timedelta(hours=1)

    @abstractmethod
    def usage_sql(self, source: Source) -> Mapping[str, str]:
        """Return expressions for slot_at, slot_s and the columns of the record that it fills."""

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the start of the slot."""
        return {"event_time": self.usage_sql(source)["slot_at"]}

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        said = source.published
        given = dict(self.usage_sql(source))
        given.pop("slot_at")
        length = f"to_seconds({given.pop('slot_s')})"
        given.setdefault("account", NOTHING)
        given["account"] = f"coalesce({given['account']}, {text_or_null(said.account)})"
        given["cdn"] = quote_literal(source.cdn or self.cdn or source.name)
        given["customer"] = sql.lookup(f"lower({given.get('host', NOTHING)})", source.customers)
        if said.bytes_meaning is not None:
            given["bytes_meaning"] = quote_literal(said.bytes_meaning)
        if "bytes" in given:
            given["bytes_meaning"] = (
                f"case when ({given['bytes']}) is not null then {given['bytes_meaning']} end"
            )
        if said.requests_unit is not None or said.bytes_unit is not None:
            given["rounding"] = f"case {given['rounding']} when 'exact' then 'rounded' else " + (
                f"{given['rounding']} end"
            )
        final = said.final_after
        return {
            **given,
            "slot_end": f"event_time + {length}",
            "requests_unit": f"{said.requests_unit or 'null'}::bigint",
            "bytes_unit": f"{said.bytes_unit or 'null'}::bigint",
            "final_at": "null::timestamptz"
            if final is None
            else f"event_time + {length} + to_seconds({seconds(final)})",
            "row_key": sql.row_key(
                [
                    "epoch_us(event_time)",
                    f"epoch_us(event_time + {length})",
                    *(given.get(name, NOTHING) for name in _IDENTITY),
                ]
            ),
        }
