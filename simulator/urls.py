"""The URL paths of manifests, init parts and segments.

Belongs here: how content is laid out below a host. Does not belong here: queries, log escapes.
"""

from __future__ import annotations

from simulator.audience import HLS, Sessions
from simulator.outcomes import AUDIO, INIT, PLAYLIST
from simulator.traffic import Requests
from simulator.world import LADDER, LIVE_CHANNELS

_TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",
    "mpd": "application/dash+xml",
    "mp4": "video/mp4",
    "m4s": "video/iso.segment",
    "ts": "video/mp2t",
}


class PathWriter:
    """Builds paths for requests; keeps the folder of each session."""

    def __init__(self, sessions: Sessions) -> None:
        self._folders: list[str] = []
        self._is_hls = (sessions.format == HLS).tolist()
        self._extensions: list[str] = []
        for index, content in enumerate(sessions.content.tolist()):
            form = "hls" if self._is_hls[index] else "dash"
            name = sessions.content_id(index)
            live = bool(sessions.is_live[index])
            # A few titles have a space in their folder: a case that log escapes must survive.
            cut = "director%27s%20cut/" if content >= LIVE_CHANNELS and content % 50 == 13 else ""
            self._folders.append(f"/{'live' if live else 'vod'}/{name}/{cut}{form}/")
            self._extensions.append("ts" if self._is_hls[index] and live else "m4s")

    def paths(self, rows: Requests) -> list[str]:
        """Return one path a row, percent-encoded as the client sends it."""
        folders, extensions, is_hls = self._folders, self._extensions, self._is_hls
        rungs = [f"{rung.name}/" for rung in LADDER]
        return [
            f"{folders[s]}{'audio/' if kind == AUDIO else rungs[rung]}"
            f"seg-{number:07d}.{extensions[s]}"
            if kind > INIT
            else f"{folders[s]}{rungs[rung]}init.mp4"
            if kind == INIT
            else f"{folders[s]}{rungs[rung]}index.m3u8"
            if kind == PLAYLIST
            else f"{folders[s]}{'master.m3u8' if is_hls[s] else 'manifest.mpd'}"
            for s, kind, rung, number in zip(
                rows.session.tolist(),
                rows.kind.tolist(),
                rows.rung.tolist(),
                rows.segment.tolist(),
                strict=True,
            )
        ]


def content_type(path: str, kind: int) -> str:
    """Return the media type that an origin serves a path with."""
    return "audio/mp4" if kind == AUDIO else _TYPES[path.rpartition(".")[2]]
