"""Recommendation events: shown, clicked, played, liked, given, followed; JSON, CSV or Parquet.

Traps: the event happened on the client (event_ts_ms), so files hold events of a few minutes
before and after their hour; a producer counts its lines in `seq`, which is what completeness can
be told by; the user id is a person and never stored; a combo of gifts is one event with a count,
and its price is money: read as a decimal, never as a float; live rooms are items, and what happens
to the room itself (room_start, room_end) has no viewer.
"""

from __future__ import annotations

from collections.abc import Mapping

from lake import canonical as sql
from lake.formats.base import Layout, Look, Reject, Row
from lake.formats.heads import keys_look
from lake.formats.record_family import RecordFamily
from lake.records import REC_EVENTS
from lake.source import Source

FIELDS: dict[str, str] = {
    "event_id": "VARCHAR",
    "event_type": "VARCHAR",
    "event_ts_ms": "BIGINT",
    "producer": "VARCHAR",
    "seq": "BIGINT",
    "request_id": "VARCHAR",
    "user_id": "VARCHAR",
    "session_id": "VARCHAR",
    "item_id": "VARCHAR",
    "creator_id": "VARCHAR",
    "position": "INTEGER",
    "scene": "VARCHAR",
    "experiment": "VARCHAR",
    "model_version": "VARCHAR",
    "propensity": "DOUBLE",
    "is_random": "BOOLEAN",
    "watch_ms": "BIGINT",
    "item_duration_ms": "BIGINT",
    "customer": "VARCHAR",
    "country": "VARCHAR",
    "device": "VARCHAR",
    "gift_count": "INTEGER",
    "gift_price": "DECIMAL(18,6)",
    "currency": "VARCHAR",
    "stay_ms": "BIGINT",
}
_REQUIRED = ("event_id", "event_type", "event_ts_ms", "item_id")
EVENT_TYPES = (
    "impression", "click", "play", "like", "share", "follow", "unfollow", "comment", "dislike",
    "gift", "enter_room", "exit_room", "room_start", "room_end",
)  # fmt: skip


class RecEvents(RecordFamily):
    """Events of the recommendation service."""

    name = "rec_events"
    judges_times_as_read = True
    version = 2
    record = REC_EVENTS
    user_column = "user_id"
    fields = FIELDS
    required = _REQUIRED

    def looks_like(self, head: bytes) -> Look | None:
        """Return a look for the keys that every event has."""
        return keys_look(head, ("event_id", "event_type", "event_ts_ms"), 3)

    def judge_record(self, found: Mapping[str, object], layout: Layout) -> Row | Reject:
        """Judge an event; a type nobody declared is rejected, not counted somewhere."""
        judged = super().judge_record(found, layout)
        if isinstance(judged, Row) and judged.values["event_type"] not in EVENT_TYPES:
            return Reject("unknown_event_type")
        return judged

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the instant; an unknown event type has none, so that the judge sees it."""
        known = ", ".join(f"'{t}'" for t in EVENT_TYPES)
        return {
            "event_time": f"case when event_type in ({known}) and "
            "event_ts_ms between 0 and 9999999999999 then make_timestamptz(event_ts_ms * 1000) end"
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        return {
            "row_key": sql.row_key(["event_id", "epoch_us(event_time)"]),
            "producer": "null_if_empty(producer)",
            "producer_seq": "try_cast(seq as bigint)",
            "customer": "null_if_empty(customer)",
            "event_id": "event_id",
            "event_type": "event_type",
            "request_id": "null_if_empty(request_id)",
            "user_key": "null_if_empty(user_id)",
            "session_id": "null_if_empty(session_id)",
            "item_id": "item_id",
            "creator_id": "null_if_empty(creator_id)",
            "position": 'try_cast("position" as integer)',
            "scene": "null_if_empty(scene)",
            "experiment_id": "try(experiment ->> '$.id')",
            "variant": "try(experiment ->> '$.variant')",
            "model_version": "null_if_empty(model_version)",
            "propensity": "try_cast(propensity as double)",
            "is_random": "try_cast(is_random as boolean)",
            "watch_ms": "try_cast(watch_ms as bigint)",
            "item_duration_ms": "try_cast(item_duration_ms as bigint)",
            "country": "upper(null_if_empty(country))",
            "device": "null_if_empty(device)",
            "gift_count": "try_cast(gift_count as integer)",
            "gift_price": "try_cast(gift_price as decimal(18, 6))",
            "currency": "upper(null_if_empty(currency))",
            "stay_ms": "try_cast(stay_ms as bigint)",
        }
