"""What players and the recommendation service say besides requests and events: a table a feed.

Belongs here: beacons of players, assignments of experiments, and the changing tables of items and
creators. Does not: requests, recommendation events and the ledger (lake/records). No mart is
built from these tables yet: an hour of them makes none stale.
"""

from __future__ import annotations

from pyiceberg.transforms import HourTransform

from lake.cmcd_columns import CMCD_COLUMNS
from lake.columns import BOOL, DOUBLE, INT, LINEAGE, LONG, STRING, TIME, Record, opt, req

#: CTA-2066's names of what happens in a playback, and what else players report: `response` is one
#: answer of a CDN as the player saw it, `other` a change that moves no session on
PLAYER_EVENT_TYPES = (
    "playbackRequest", "playbackStart", "playbackStall", "playbackPause", "playbackSeek",
    "playbackFinish", "playbackFail", "heartbeat", "renditionChange", "error", "response", "other",
)  # fmt: skip

PLAYER_EVENTS = Record(
    "bronze",
    "player_events",
    "One row per accepted event of a player (CTA-2066), duplicates included",
    (
        req("event_time", TIME, "when it happened, by the player's clock"),
        *LINEAGE,
        req("event_type", STRING, f"one of {' '.join(PLAYER_EVENT_TYPES)}"),
        opt("event_type_raw", STRING, "as the player calls it"),
        opt("event_id", STRING, "identity of the event, where the player gives one"),
        req("session_id", STRING, "playback session, as in cmcd.sid: drawn anew by the player"),
        opt("user_key", STRING, "HMAC-SHA256 of the user id under key_epoch, hex"),
        opt("content_id", STRING, "video or channel, as in cmcd.cid"),
        opt("cdn", STRING, "CDN the player was fetching from, as it names it"),
        opt("position_ms", LONG, "playhead in the content, ms"),
        opt("video_kbps", DOUBLE, "bitrate of the video rendition that is played, kbps"),
        opt("audio_kbps", DOUBLE, "bitrate of the audio rendition that is played, kbps"),
        opt("playback_rate", DOUBLE, "1 is normal; null: not said"),
        opt("buffer_ms", LONG, "media in the buffer, ms"),
        opt("startup_ms", LONG, "time from request to first frame, where the player measured it"),
        opt("stall_ms", LONG, "length of the stalls that end with this event, ms"),
        opt("dropped_frames", LONG, "frames dropped in the session so far"),
        opt("throughput_kbps", LONG, "measured throughput, kbps"),
        opt("error_code", STRING, "the player's error codes, with a space between"),
        opt("is_live", BOOL, "live or on demand"),
        opt("is_background", BOOL, "the player is in the background"),
        opt("stream_kind", STRING, "hls, dash or other"),
        opt("player", STRING, "player and its version"),
        opt("device", STRING, "device class"),
        opt("country", STRING, "ISO 3166 alpha-2"),
        *CMCD_COLUMNS,
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "event_type", "ingested_at"),
)

EXPERIMENT_ASSIGNMENTS = Record(
    "bronze",
    "experiment_assignments",
    "One row per accepted assignment of a unit to a variant, duplicates included",
    (
        req("event_time", TIME, "when the unit was assigned"),
        *LINEAGE,
        req("experiment_id", STRING, "experiment"),
        req("variant", STRING, "arm the unit was put in"),
        req("user_key", STRING, "HMAC-SHA256 of the unit's id under key_epoch, hex"),
        req("unit_kind", STRING, "what is randomised: user, device, session or creator"),
        opt("planned_share", DOUBLE, "share of units that the plan gives this variant, 0 to 1"),
        opt("salt", STRING, "version of the split"),
        opt("country", STRING, "ISO 3166 alpha-2"),
        opt("device", STRING, "device class"),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "experiment_id", "ingested_at"),
)

_CHANGE = req("change_kind", STRING, "snapshot, upsert or delete")

ITEMS = Record(
    "bronze",
    "items",
    "One row per accepted state of a video or live room, as it was from an instant on",
    (
        req("event_time", TIME, "instant the state holds from: of the change, or of the snapshot"),
        *LINEAGE,
        req("item_id", STRING, "video or live room"),
        _CHANGE,
        opt("creator_id", STRING, "owner"),
        opt("duration_ms", LONG, "length, ms; null for live rooms"),
        opt("category", STRING, "category"),
        opt("language", STRING, "BCP 47"),
        opt("is_live", BOOL, "live room or video"),
        opt("status", STRING, "published, hidden, removed, ... as the service calls it"),
        opt("published_at", TIME, "first published"),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "ingested_at"),
)

CREATORS = Record(
    "bronze",
    "creators",
    "One row per accepted state of a creator, as it was from an instant on",
    (
        req("event_time", TIME, "instant the state holds from: of the change, or of the snapshot"),
        *LINEAGE,
        req("creator_id", STRING, "creator, as in rec_events"),
        _CHANGE,
        opt("country", STRING, "ISO 3166 alpha-2"),
        opt("language", STRING, "BCP 47"),
        opt("category", STRING, "category"),
        opt("tier", STRING, "contract tier"),
        opt("followers", LONG, "followers"),
        opt("status", STRING, "active, suspended, ... as the service calls it"),
        opt("level", INT, "level in the programme"),
    ),
    partition_by="event_time",
    transform=HourTransform(),
    stats=("event_time", "delivery_id", "source", "ingested_at"),
)

FEEDS = (PLAYER_EVENTS, EXPERIMENT_ASSIGNMENTS, ITEMS, CREATORS)
