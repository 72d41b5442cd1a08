"""Items and creators: their states from an instant on, one JSON object a line.

A line is a state in a snapshot of the whole table or a change; a delete says that nothing holds
from then on. Which state was in force when is worked out in dbt (int_rec__items_scd2,
int_rec__creators_scd2), so that a late change only moves the ends of its neighbours.

Traps: a snapshot repeats states that did not change; a row that is missing from a snapshot is not
deleted by that; two changes at one instant are told apart by the producer's number.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake import canonical as sql
from lake.feeds import CREATORS, ITEMS
from lake.formats.base import Layout
from lake.formats.events import NamedEvents, instant, number, text
from lake.source import Source

_CHANGES = ("snapshot", "upsert", "delete")
_COMMON = {
    "change": "VARCHAR",
    "valid_from_ms": "BIGINT",
    "producer": "VARCHAR",
    "seq": "BIGINT",
    "customer": "VARCHAR",
    "category": "VARCHAR",
    "language": "VARCHAR",
    "status": "VARCHAR",
}


class _Entities(NamedEvents):
    """States of one kind of thing."""

    version = 1
    instant = "valid_from_ms"
    kind = "change"
    kinds = _CHANGES
    unknown_kind = "unknown_change"
    #: the key of the thing
    entity: str

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the columns that items and creators share."""
        return {
            # the state is part of the identity: two states of one instant are no duplicates
            "row_key": sql.row_key([f'"{f}"' for f in self.fields if f != "producer"]),
            "producer": text("producer"),
            "producer_seq": number("seq"),
            "customer": text("customer"),
            self.entity: f'"{self.entity}"',
            "change_kind": '"change"',
            "category": text("category"),
            "language": text("language"),
            "status": text("status"),
        }


class Items(_Entities):
    """States of videos and live rooms."""

    name = "items"
    record = ITEMS
    entity = "item_id"
    fields: Mapping[str, str] = {
        "item_id": "VARCHAR",
        **_COMMON,
        "creator_id": "VARCHAR",
        "duration_ms": "BIGINT",
        "is_live": "BOOLEAN",
        "published_at_ms": "BIGINT",
    }
    required = ("item_id", "change", "valid_from_ms")

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        return {
            **super().canonical_sql(layout, source),
            "creator_id": text("creator_id"),
            "duration_ms": number("duration_ms"),
            "is_live": number("is_live", "boolean"),
            "published_at": instant(number("published_at_ms")),
        }


class Creators(_Entities):
    """States of creators."""

    name = "creators"
    record = CREATORS
    entity = "creator_id"
    fields: Mapping[str, str] = {
        "creator_id": "VARCHAR",
        **_COMMON,
        "country": "VARCHAR",
        "tier": "VARCHAR",
        "followers": "BIGINT",
        "level": "INTEGER",
    }
    required = ("creator_id", "change", "valid_from_ms")

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the canonical columns."""
        return {
            **super().canonical_sql(layout, source),
            "country": f"upper({text('country')})",
            "tier": text("tier"),
            "followers": number("followers"),
            "level": number("level", "integer"),
        }
