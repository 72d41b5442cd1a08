"""Rosters of producers and capacities of PoPs and links, as CSV or JSON lines, one span a row.

Nobody publishes these in a standard form: the columns are ours (below), and a source file may map
another header with published.columns. Times without a zone are in published.time_zone; a span is
half open, and one without an end is still valid. Capacities are bits per second, whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lake import canonical as sql
from lake.counters import CAPACITIES, PRODUCER_ROSTERS
from lake.formats.base import Layout
from lake.formats.tabular import Field, Tabular
from lake.reads import quote_literal
from lake.source import Source

_FROM = Field("starts_at", "instant", ("valid_from",), is_required=True)
_TO = Field("ends_at", "instant", ("valid_to",))


class _Spans(Tabular):
    """What tables of spans share."""

    notes_unknown_keys = False

    def fields_of(self, source: Source) -> tuple[Field, ...]:
        """Return the fields by the names of the source file."""
        columns = source.published.columns
        return tuple(
            replace(f, names=tuple(columns.get(n, n) for n in f.names)) for f in self.fields
        )

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse spans that nothing is in."""
        start, end = values["starts_at"], values["ends_at"]
        if start is not None and end is not None and end <= start:
            return "empty_period"
        return None

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return where the span begins."""
        return {"event_time": "starts_at"}


class ProducerRoster(_Spans):
    """Who is expected to deliver to a feed."""

    name = "producer_roster"
    version = 1
    record = PRODUCER_ROSTERS
    fields = (
        Field("of_feed", "text", ("feed",), is_required=True),
        Field("who", "text", ("producer",), is_required=True),
        _FROM,
        _TO,
        Field("cadence", "count", ("cadence_s",)),
        Field("seq", "count", ("last_seq",)),
        Field("seq_at", "instant", ("last_seq_at",)),
    )

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        return {
            "valid_to": "ends_at",
            "feed": "of_feed",
            "producer": "who",
            "cadence_s": "cadence",
            "last_seq": "seq",
            "last_seq_at": "seq_at",
            "row_key": sql.row_key(["epoch_us(event_time)", "of_feed", "who"]),
        }


class Capacity(_Spans):
    """How much a PoP or a link can carry."""

    name = "capacity"
    version = 1
    record = CAPACITIES
    fields = (
        Field("vendor", "text", ("cdn",)),
        Field("place_kind", "text", ("kind",), is_required=True),
        Field("place", "text", ("name",), is_required=True),
        Field("bps", "count", ("capacity_bps",), is_required=True),
        _FROM,
        _TO,
    )

    def fault(self, values: Mapping[str, str | None]) -> str | None:
        """Refuse places that are neither PoP nor link."""
        if values["place_kind"] not in ("pop", "link"):
            return "unknown_kind"
        return super().fault(values)

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        cdn = f"coalesce(vendor, {quote_literal(source.cdn or source.name)})"
        return {
            "valid_to": "ends_at",
            "cdn": cdn,
            "kind": "place_kind",
            "name": "place",
            "capacity_bps": "bps",
            "row_key": sql.row_key(["epoch_us(event_time)", cdn, "place_kind", "place"]),
        }
