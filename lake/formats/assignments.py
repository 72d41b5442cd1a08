"""Assignments of experiments: which unit was put into which variant, one JSON object a line.

Traps: a unit that comes back is assigned again, to the same variant unless the salt changed;
assignment is not exposure (those are the events that carry the experiment); the unit is mostly a
person, so its id is hashed like a user's, and the same unit joins to rec_events.user_key.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake import canonical as sql
from lake.feeds import EXPERIMENT_ASSIGNMENTS
from lake.formats.base import Layout
from lake.formats.events import NamedEvents, number, text
from lake.source import Source


class ExperimentAssignments(NamedEvents):
    """Assignments of units to variants."""

    name = "experiment_assignments"
    version = 1
    record = EXPERIMENT_ASSIGNMENTS
    user_column = "unit_id"
    fields: Mapping[str, str] = {
        "experiment": "VARCHAR",
        "variant": "VARCHAR",
        "unit_id": "VARCHAR",
        "unit_kind": "VARCHAR",
        "assigned_at_ms": "BIGINT",
        "planned_share": "DOUBLE",
        "salt": "VARCHAR",
        "producer": "VARCHAR",
        "seq": "BIGINT",
        "customer": "VARCHAR",
        "country": "VARCHAR",
        "device": "VARCHAR",
    }
    required = ("experiment", "variant", "unit_id", "unit_kind", "assigned_at_ms")
    instant = "assigned_at_ms"
    kind = "unit_kind"
    kinds = ("user", "device", "session", "creator")
    unknown_kind = "unknown_unit_kind"

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        key = ["experiment", "salt", "variant", "unit_kind", "unit_id", "epoch_us(event_time)"]
        return {
            "row_key": sql.row_key(key),
            "producer": text("producer"),
            "producer_seq": number("seq"),
            "customer": text("customer"),
            "experiment_id": "experiment",
            "variant": "variant",
            "user_key": "unit_id",
            "unit_kind": "unit_kind",
            "planned_share": number("planned_share", "double"),
            "salt": text("salt"),
            "country": f"upper({text('country')})",
            "device": text("device"),
        }
