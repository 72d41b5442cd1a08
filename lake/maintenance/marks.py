"""Since when files of a table have been orphans: the sweep's memory from one time to the next.

A small file in the warehouse, a line a file: 16 bytes of hash, and the second. What is lost with it
is time: its files wait once more.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from pyiceberg.io import FileIO

from lake.maintenance.reach import digest_of

FOLDER = "_sweep"


class Marks:
    """The instants at which files of one table were first seen to be orphans."""

    def __init__(self, io: FileIO, warehouse: str, identifier: str) -> None:
        self._io = io
        self._uri = f"{warehouse}/{FOLDER}/{identifier}.txt"
        self._since: dict[bytes, int] = _read(io, self._uri)
        self._next: dict[bytes, int] = {}

    def mark(self, name: str, now: datetime) -> datetime:
        """Return since when a file has been an orphan, which is now when it is seen first."""
        digest = digest_of(name)
        seconds = self._since.get(digest, int(now.timestamp()))
        self._next[digest] = seconds
        return datetime.fromtimestamp(seconds, UTC)

    def forget(self, name: str) -> None:
        """Forget a file that is gone."""
        self._next.pop(digest_of(name), None)

    def save(self) -> None:
        """Write what was marked this time; what was not is no orphan any more."""
        if not self._next and not self._since:
            return
        with self._io.new_output(self._uri).create(overwrite=True) as stream:
            for digest, seconds in self._next.items():
                stream.write(f"{digest.hex()} {seconds}\n".encode())


def _read(io: FileIO, uri: str) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    with suppress(FileNotFoundError), io.new_input(uri).open() as stream:
        for line in stream.read().decode("ascii", "replace").splitlines():
            digest, _, seconds = line.partition(" ")
            with suppress(ValueError):  # cut off by a kill: its file waits once more
                found[bytes.fromhex(digest)] = int(seconds)
    return found
