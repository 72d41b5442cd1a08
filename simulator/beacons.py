"""Write what players saw: as named beacons (CTA-2066), or as CMCD version 2 in event mode.

Belongs here: which players speak which of the two, and the lines. Does not belong here: what
happened in a playback (playback), files and when they arrive (feeds).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from simulator.arrays import scrambled
from simulator.audience import HLS, Sessions
from simulator.playback import Playback, PlayerEvent
from simulator.says import FeedLine
from simulator.world import AUDIO_KBPS, CDNS, CUSTOMERS, DEVICES, ISPS, LADDER

#: kinds of devices whose players speak CMCD's event mode; the others send beacons
SPEAK_CMCD = ("ios", "android")
_COLLECTORS = 2
_STATES = {
    "playbackRequest": "e=ps,{}sta=s",
    "playbackStart": "e=ps,{}sta=p",
    "playbackStall": "e=ps,{}sta=r",
    "playbackFinish": "e=ps,{}sta=e",
    "playbackFail": "e=ps,{}sta=f",
    "heartbeat": "e=t,{}sta=p",
    "renditionChange": "e=bc,{}sta=p",
}


class PlayerWriter:
    """Turns the events of playbacks into lines of one of the two feeds."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        self._seed = seed
        self._sessions = sessions

    def speaks_cmcd(self, session: int) -> bool:
        """Tell whether the player of a session speaks CMCD's event mode."""
        audience = self._sessions.audience
        device = DEVICES[int(audience.device[self._sessions.user[session]])]
        return device.kind in SPEAK_CMCD

    def beacons(self, plays: Iterable[Playback]) -> list[FeedLine]:
        """Return the beacons, numbered by each collector in the order of time."""
        said = sorted(
            (e for one in plays for e in one.events),
            key=lambda e: (e.session % _COLLECTORS, e.at_ms, e.session),
        )
        numbers: list[int] = [0] * _COLLECTORS
        lines = []
        ids = scrambled(self._seed + 2, np.arange(len(said)), 2).tobytes().hex()
        for at, event in enumerate(said):
            collector = event.session % _COLLECTORS
            numbers[collector] += 1
            producer = f"beacon-{'ab'[collector]}"
            text = self._beacon(event, ids[32 * at : 32 * at + 32], producer, numbers[collector])
            lines.append(FeedLine(producer, event.at_ms, numbers[collector], event.kind, text))
        return lines

    def _beacon(self, event: PlayerEvent, event_id: str, producer: str, number: int) -> str:
        """Return one beacon; what the player does not say is left out."""
        sessions = self._sessions
        user = int(sessions.user[event.session])
        device = DEVICES[int(sessions.audience.device[user])]
        knows = event.rung >= 0 and event.kind != "playbackRequest"
        fields = {
            "event_id": event_id,
            "event": event.kind,
            "ts_ms": event.at_ms,
            "session_id": sessions.ids[event.session],
            "producer": producer,
            "seq": number,
            "user_id": sessions.audience.user_ids[user],
            "content_id": sessions.content_id(event.session),
            "customer": CUSTOMERS[int(sessions.audience.customer[user])].slug,
            "cdn": CDNS[event.cdn],
            "position_ms": event.position_ms,
            "video_kbps": LADDER[event.rung].kbps if knows else None,
            "audio_kbps": AUDIO_KBPS if knows else None,
            "buffer_ms": event.buffer_ms if knows else None,
            "startup_ms": event.startup_ms,
            "stall_ms": event.stall_ms,
            "error_code": event.error,
            "is_live": bool(sessions.is_live[event.session]),
            "stream_kind": "hls" if sessions.format[event.session] == HLS else "dash",
            "player": "web-4.2" if device.is_web else "tv-2.7",
            "device": device.kind,
            "country": ISPS[int(sessions.audience.isp[user])].country,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        return json.dumps(known, separators=(",", ":"))

    def reports(self, plays: Iterable[Playback]) -> list[FeedLine]:
        """Return the reports; players number theirs, collectors the lines in their files."""
        said = [(e, n) for one in plays for n, e in enumerate(one.events, 1)]
        said.sort(key=lambda pair: (pair[0].at_ms, pair[0].session))
        return [
            FeedLine("cmcd-a", event.at_ms, at, event.kind, self._report(event, number))
            for at, (event, number) in enumerate(said, 1)
        ]

    def _report(self, event: PlayerEvent, number: int) -> str:
        """Return one dictionary, its keys in alphabetical order."""
        sessions, s = self._sessions, event.session
        knows = event.rung >= 0 and event.kind != "playbackRequest"
        kbps = LADDER[event.rung].kbps
        head = []
        if knows:
            head = [f"bl=({event.buffer_ms};ot=v)", f"br=({kbps};ot=v {AUDIO_KBPS};ot=a)"]
        if event.stall_ms is not None:
            head.append(f"bsd=({event.stall_ms})")
        head += [f'cdn="{CDNS[event.cdn]}"', f'cid="{sessions.content_id(s)}"']
        middle = []
        if event.error is not None:
            middle.append(f'ec=("{event.error}")')
        if event.startup_ms is not None:
            middle.append(f"msd={event.startup_ms}")
        if knows:
            middle.append(f"pb=({kbps};ot=v)")
        form = "h" if sessions.format[s] == HLS else "d"
        middle += [
            f"pt={event.position_ms}", f"sf={form}", f'sid="{sessions.ids[s]}"', f"sn={number}",
            f"st={'l' if sessions.is_live[s] else 'v'}",
        ]  # fmt: skip
        state = _STATES[event.kind].format(",".join(middle) + ",")
        return ",".join([*head, state, f"ts={event.at_ms}", "v=2"])
