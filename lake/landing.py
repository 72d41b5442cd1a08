"""Landing: where vendors put files. Only listed and read, never written or deleted.

A folder now; anything that can list object versions and open one can stand in its place.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class GoneError(Exception):
    """An object version that was listed is not there any more; the next listing tells why."""


@dataclass(frozen=True)
class LandedObject:
    """One object version: key and etag name it; last_modified orders versions of a key."""

    key: str
    etag: str
    size_bytes: int
    last_modified: datetime

    def delivery_id(self, source: str) -> str:
        """Return the id of this version as a delivery of a source."""
        text = "\0".join((source, self.key, self.etag))
        return hashlib.sha256(text.encode()).hexdigest()[:20]


class Landing(Protocol):
    """What the ingest needs of a landing."""

    def list(self, prefix: str, suffix: str) -> Iterator[LandedObject]:
        """Give the current version of every object under a prefix."""
        ...

    def open(self, found: LandedObject) -> BinaryIO:
        """Open exactly that version, seekable; raises GoneError when it is not there."""
        ...


class FolderLanding:
    """A folder; the etag is size and modification time, so a rewrite is a new version."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, prefix: str, suffix: str) -> Iterator[LandedObject]:
        """Give every file under the prefix; names that begin with a dot are still in writing."""
        base = self._root / prefix
        start = base if prefix.endswith("/") or base.is_dir() else base.parent
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in sorted(names):
                path = Path(folder) / name
                key = path.relative_to(self._root).as_posix()
                if name.startswith(".") or not key.startswith(prefix) or not key.endswith(suffix):
                    continue
                found = self._stat(path, key)
                if found is not None:
                    yield found

    def open(self, found: LandedObject) -> BinaryIO:
        """Open the file if it still is the version that was listed."""
        try:
            stream = self._path(found.key).open("rb")
        except FileNotFoundError as err:
            raise GoneError(f"{found.key}: listed, but not there any more") from err
        state = os.fstat(stream.fileno())
        if _etag(state) != found.etag:
            stream.close()
            raise GoneError(f"{found.key}: version {found.etag} was overwritten since the listing")
        return stream

    def _path(self, key: str) -> Path:
        """Return the file of a key; bytes of its name that are no UTF-8 are escaped in the key."""
        plain = self._root / key
        if "\\udc" not in key or plain.exists():
            return plain
        return self._root / _ESCAPED.sub(lambda m: chr(int(m[1], 16)), key)

    def _stat(self, path: Path, key: str) -> LandedObject | None:
        try:
            state = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not path.is_file() or path.is_symlink():
            return None
        return LandedObject(
            key=key.encode("utf-8", "backslashreplace").decode(),
            etag=_etag(state),
            size_bytes=state.st_size,
            last_modified=_EPOCH + timedelta(microseconds=state.st_mtime_ns // 1000),
        )


def _etag(state: os.stat_result) -> str:
    return f"{state.st_size:x}-{state.st_mtime_ns:x}"
