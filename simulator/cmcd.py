"""CMCD v1 dictionaries as players put them into the query string, ready to be joined per row.

Belongs here: keys, their order and their URL encoding. Does not belong here: what a vendor's log
does to a query string on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from simulator.audience import HLS, Sessions
from simulator.outcomes import AUDIO, INIT, MASTER, PLAYLIST, VIDEO
from simulator.traffic import Requests
from simulator.world import AUDIO_KBPS, CUSTOMERS, LADDER

_OBJECT_TYPES = {MASTER: "m", PLAYLIST: "m", INIT: "i", VIDEO: "v", AUDIO: "a"}


@dataclass(frozen=True)
class Escapes:
    """The characters of the dictionary syntax after encoding, as the log shall hold them."""

    comma: str
    equals: str
    quote: str


ON_THE_WIRE = Escapes("%2C", "%3D", "%22")


class QueryWriter:
    """Builds query strings for requests; keeps the parts that do not change in a session.

    Keys come in alphabetical order as CTA-5004 asks: (bl br bs) (cid d) (dl mtp nor) (ot) (pr rtp
    sf sid st) (su tb); the second and the fifth group belong to the session.
    """

    def __init__(self, sessions: Sessions, escapes: Escapes) -> None:
        self._escapes = escapes
        self._sessions = sessions
        comma, eq, quoted = escapes.comma, escapes.equals, escapes.quote
        self._heads: list[str] = []
        self._middles: list[str] = []
        self._tails: list[str] = []
        self._extension = [
            "ts" if form == HLS and live else "m4s"
            for form, live in zip(sessions.format.tolist(), sessions.is_live.tolist(), strict=True)
        ]
        customers = sessions.customer.tolist()
        for index, sid in enumerate(sessions.ids):
            live = bool(sessions.is_live[index])
            signed = CUSTOMERS[customers[index]].signs_vod and not live
            self._heads.append(f"token={sid[-12:]}{sid[:8]}&CMCD=" if signed else "CMCD=")
            content = quote(sessions.content_id(index), safe="")
            length = int(sessions.segment_ms[index])
            self._middles.append(
                f"{comma}cid{eq}{quoted}{content}{quoted}{comma}d{eq}{length}{comma}dl{eq}"
            )
            rate = f"pr{eq}1.5{comma}" if not live and index % 50 == 7 else ""
            form = "h" if sessions.format[index] == HLS else "d"
            ceiling = -(-int(sessions.mbps[index] * 1_000) // 100) * 100
            self._tails.append(
                f"{comma}{rate}rtp{eq}{ceiling}{comma}sf{eq}{form}{comma}sid{eq}{quoted}{sid}"
                f"{quoted}{comma}st{eq}{'l' if live else 'v'}"
            )

    def queries(self, rows: Requests) -> list[str]:
        """Return one query string a row, empty where the player sends none."""
        comma, eq, quoted = self._escapes.comma, self._escapes.equals, self._escapes.quote
        starved = ("", f"{comma}bs")
        startup = ("", f"{comma}su")
        types = [f"{comma}ot{eq}{_OBJECT_TYPES[kind]}" for kind in range(5)]
        rates = [rung.kbps for rung in LADDER]
        tops = [f"{comma}tb{eq}{rates[top]}" for top in range(len(LADDER))]
        top_rung = self._sessions.top_rung.tolist()
        heads, middles, tails = self._heads, self._middles, self._tails
        nor = f"{comma}nor{eq}{quoted}seg-"
        speaks = self._sessions.has_cmcd[rows.session] & (rows.kind >= INIT)
        return [
            (
                f"{heads[s]}bl{eq}{bl}{comma}br{eq}{AUDIO_KBPS if kind == AUDIO else rates[rung]}"
                f"{starved[bs]}{middles[s]}{bl}{comma}mtp{eq}{mtp}"
                f"{f'{nor}{number + 1:07d}.{self._extension[s]}{quoted}' if kind == VIDEO else ''}"
                f"{types[kind]}{tails[s]}{startup[su]}{tops[top_rung[s]]}"
            )
            if speak
            else ""
            for speak, s, kind, rung, bl, bs, mtp, su, number in zip(
                speaks.tolist(),
                rows.session.tolist(),
                rows.kind.tolist(),
                rows.rung.tolist(),
                rows.buffer_ms.tolist(),
                rows.is_starved.tolist(),
                rows.throughput_kbps.tolist(),
                rows.is_startup.tolist(),
                rows.segment.tolist(),
                strict=True,
            )
        ]
