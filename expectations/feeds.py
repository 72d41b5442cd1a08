"""What is measured of staged deliveries of player events, assignments, items and creators.

Belongs here: measures, as SQL over the rows of one delivery, and the columns they read. Does not:
what is acceptable (deliveries.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping

from expectations.parts import count
from lake.feeds import PLAYER_EVENT_TYPES
from lake.reads import quote_literal

_DAY_MS = 86_400_000
_TYPES = ", ".join(quote_literal(t) for t in PLAYER_EVENT_TYPES)
_NEGATIVE = " or ".join(
    f"{c} < 0"
    for c in ("position_ms", "video_kbps", "audio_kbps", "buffer_ms", "startup_ms", "stall_ms",
              "dropped_frames", "throughput_kbps")
)  # fmt: skip
_CHANGES = "('snapshot', 'upsert', 'delete')"

FEED_MEASURES: Mapping[str, dict[str, str]] = {
    "bronze.player_events": {
        "unlisted_event_type_rows": count(f"event_type not in ({_TYPES})"),
        "negative_measure_rows": count(_NEGATIVE),
        "endless_stall_rows": count(f"stall_ms > {_DAY_MS} or startup_ms > {_DAY_MS}"),
    },
    "bronze.experiment_assignments": {
        "impossible_share_rows": count("planned_share not between 0 and 1"),
        "units_in_two_variants": (
            "count(distinct (experiment_id, salt, user_key, variant)) "
            "- count(distinct (experiment_id, salt, user_key))"
        ),
    },
    "bronze.items": {
        "unlisted_change_rows": count(f"change_kind not in {_CHANGES}"),
        "negative_duration_rows": count("duration_ms < 0"),
    },
    "bronze.creators": {
        "unlisted_change_rows": count(f"change_kind not in {_CHANGES}"),
        "negative_follower_rows": count("followers < 0"),
    },
}
FEED_FIELDS: Mapping[str, frozenset[str]] = {
    "bronze.player_events": frozenset(
        {
            "delivery_id", "event_type", "position_ms", "video_kbps", "audio_kbps", "buffer_ms",
            "startup_ms", "stall_ms", "dropped_frames", "throughput_kbps",
        }
    ),
    "bronze.experiment_assignments": frozenset(
        {"delivery_id", "experiment_id", "salt", "user_key", "variant", "planned_share"}
    ),
    "bronze.items": frozenset({"delivery_id", "change_kind", "duration_ms"}),
    "bronze.creators": frozenset({"delivery_id", "change_kind", "followers"}),
}  # fmt: skip
