"""Player beacons: named events of playbacks (CTA-2066), one JSON object a line.

Traps: the clock is the player's, so files hold events of minutes before and after their hour;
beacons are sent again after a failed post, with the same event_id; after a stall or a pause the
player says playbackStart again, which is no second start-up; the user id is a person and never
stored, the session id is drawn anew by the player and is the one in the CDN's logs (cmcd.sid).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lake import canonical as sql
from lake.feeds import PLAYER_EVENT_TYPES, PLAYER_EVENTS
from lake.formats.base import Judgement, Layout, Reject, Row
from lake.formats.events import SESSION, NamedEvents, number, text
from lake.source import Source

FIELDS: dict[str, str] = {
    "event_id": "VARCHAR",
    "event": "VARCHAR",
    "ts_ms": "BIGINT",
    "session_id": "VARCHAR",
    "producer": "VARCHAR",
    "seq": "BIGINT",
    "user_id": "VARCHAR",
    "content_id": "VARCHAR",
    "customer": "VARCHAR",
    "cdn": "VARCHAR",
    "position_ms": "BIGINT",
    "video_kbps": "DOUBLE",
    "audio_kbps": "DOUBLE",
    "playback_rate": "DOUBLE",
    "buffer_ms": "BIGINT",
    "startup_ms": "BIGINT",
    "stall_ms": "BIGINT",
    "dropped_frames": "BIGINT",
    "throughput_kbps": "BIGINT",
    "error_code": "VARCHAR",
    "is_live": "BOOLEAN",
    "is_background": "BOOLEAN",
    "stream_kind": "VARCHAR",
    "player": "VARCHAR",
    "device": "VARCHAR",
    "country": "VARCHAR",
}


_SESSION = re.compile(SESSION)


class PlayerBeacons(NamedEvents):
    """Named events of players."""

    name = "player_beacons"
    version = 1
    record = PLAYER_EVENTS
    user_column = "user_id"
    fields = FIELDS
    required = ("event_id", "event", "ts_ms", "session_id")
    instant = "ts_ms"
    kind = "event"
    kinds = PLAYER_EVENT_TYPES
    unknown_kind = "unknown_event_type"

    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line; what is no identifier is no session."""
        found = super().judge(line, layout)
        if isinstance(found, Row) and not _SESSION.fullmatch(found.values["session_id"] or ""):
            return Reject("missing_session")
        return found

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return the instant; an event without a session has none, so that the judge sees it."""
        at = super().derived_sql(layout, source)["event_time"]
        return {"event_time": f"case when regexp_full_match(session_id, '{SESSION}') then {at} end"}

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns."""
        numbers = {
            n: number(n, FIELDS[n].lower())
            for n in ("position_ms", "video_kbps", "audio_kbps", "playback_rate", "buffer_ms",
                      "startup_ms", "stall_ms", "dropped_frames", "throughput_kbps", "is_live",
                      "is_background")
        }  # fmt: skip
        texts = {n: text(n) for n in ("content_id", "cdn", "error_code", "player", "device")}
        return {
            "row_key": sql.row_key(["event_id", "epoch_us(event_time)"]),
            "producer": text("producer"),
            "producer_seq": number("seq"),
            "customer": text("customer"),
            "event_type": '"event"',
            "event_type_raw": '"event"',
            "event_id": "event_id",
            "session_id": "session_id",
            "user_key": text("user_id"),
            "stream_kind": f"lower({text('stream_kind')})",
            "country": f"upper({text('country')})",
            **numbers,
            **texts,
        }
