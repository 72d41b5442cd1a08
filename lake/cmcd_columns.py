"""The columns that CMCD fills, in every record that has them, and the map of what has no column.

Belongs here: what each key means. Does not: how a text becomes keys (lake/cmcd).
"""

from __future__ import annotations

from pyiceberg.types import ListType, MapType

from lake.columns import BOOL, DOUBLE, LONG, NESTED_ID, STRING, opt, struct

#: CMCD (CTA-5004) by its wire keys: those of version 1. Where version 2 gives one value per object
#: type (`br=(3000;ot=v 128;ot=a)`), a key holds the video's, or the first. `nor`, `nrr`, `url` and
#: `h` are left out: they may carry tokens
CMCD = struct(
    NESTED_ID,
    ("br", DOUBLE, "encoded bitrate, kbps"),
    ("bl", LONG, "buffer length, ms"),
    ("bs", BOOL, "buffer starvation since the previous request"),
    ("cid", STRING, "content id"),
    ("d", LONG, "object duration, ms"),
    ("dl", LONG, "deadline, ms"),
    ("mtp", LONG, "measured throughput, kbps"),
    ("ot", STRING, "object type: m a v av i c tt k o"),
    ("pr", DOUBLE, "playback rate, 1 when absent"),
    ("rtp", LONG, "requested maximum throughput, kbps"),
    ("sf", STRING, "streaming format: d h s o e"),
    ("sid", STRING, "session id, drawn anew by the player for each playback: no user id"),
    ("st", STRING, "stream type: v (VOD), l (live) or ll (low-latency live)"),
    ("su", BOOL, "start-up, seek or rebuffer recovery"),
    ("tb", DOUBLE, "top bitrate, kbps"),
    ("v", LONG, "CMCD version, 1 when absent"),
)
#: what version 2 adds. Not in the same struct: each null column of a struct that is there costs a
#: bit a row and the time to write it, thirty of them a tenth of an ingest of version 1
CMCD_V2 = struct(
    NESTED_ID + len(CMCD.fields),
    ("ab", DOUBLE, "bitrate of all object types together, kbps"),
    ("tab", DOUBLE, "top bitrate of all object types together, kbps"),
    ("lab", DOUBLE, "lowest bitrate of all object types together, kbps"),
    ("lb", DOUBLE, "lowest bitrate, kbps"),
    ("tpb", DOUBLE, "top bitrate that the player can play, kbps"),
    ("tbl", LONG, "buffer length the player aims at, ms"),
    ("pb", DOUBLE, "bitrate at the playhead, kbps"),
    ("ltc", LONG, "live latency, ms"),
    ("sta", STRING, "player state: s p k r a w e f q d"),
    ("sn", LONG, "sequence number in the session, per mode and target"),
    ("cs", STRING, "content signature"),
    ("dfa", LONG, "frames dropped in the session"),
    ("msd", LONG, "media start delay, ms: the start-up time, once a session and mode"),
    ("bsa", LONG, "buffer starvations in the session"),
    ("bsd", LONG, "durations of the starvations reported here, summed, ms"),
    ("bsda", LONG, "duration of all starvations in the session, ms"),
    ("pt", LONG, "playhead, ms"),
    ("nr", BOOL, "not rendered: the object is fetched ahead or thrown away"),
    ("bg", BOOL, "the player is in the background"),
    ("cdn", STRING, "CDN as the player names it"),
    ("ec", STRING, "error codes, with a space between"),
    ("e", STRING, "event mode: event: abs abe ae as b bc c ce e h m pc pe pr ps rr sk t um"),
    ("ts", LONG, "when, ms since 1970 by the player's clock"),
    ("cen", STRING, "event mode: name of a custom event"),
    ("rc", LONG, "response mode: HTTP status the player got, 0: none"),
    ("ttfb", LONG, "response mode: time to first byte at the player, ms"),
    ("ttlb", LONG, "response mode: time to last byte at the player, ms"),
    ("br_audio", DOUBLE, "encoded bitrate of the audio, kbps"),
    ("bl_audio", LONG, "buffer length of the audio, ms"),
    ("pb_audio", DOUBLE, "bitrate of the audio at the playhead, kbps"),
)
WORDS = ListType(NESTED_ID + 49, STRING, element_required=True)
EXTRA = MapType(NESTED_ID + 50, STRING, NESTED_ID + 51, STRING, value_required=False)

#: what a record with CMCD has; the text arrives in the first
CMCD_COLUMNS = (
    opt("cmcd", CMCD, "CMCD from query, header or columns, by wire keys"),
    opt("cmcd_v2", CMCD_V2, "what CMCD version 2 adds, by wire keys; null where nothing is"),
    opt(
        "cmcd_deviations",
        WORDS,
        "where the player's CMCD strays from CTA-5004: words of lake.cmcd_keys.DEVIATIONS; "
        "null: nowhere, or no CMCD",
    ),
)
