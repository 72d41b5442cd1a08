"""Landing: where vendors put files. Only listed and read, never written or deleted.

Belongs here: what an ingest needs of a landing, and a folder as one. S3 is lake.s3_landing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from lake.locations import S3Location
from lake.refused import RefusedError
from lake.settings import LakeSettings

_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIDECARS = ("md5", "sha256")
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "crc32": 8}
_SIDECAR_BYTES = 64 * 1024
_BLOCK_BYTES = 1024 * 1024


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


@dataclass(frozen=True)
class Checksum:
    """What an object's bytes must hash to, by somebody else's word.

    algorithm: md5, sha1, sha256 or crc32. digest: lower-case hex. stated_by: where that stands.
    """

    algorithm: str
    digest: str
    stated_by: str


class LandedStream(io.BufferedReader):
    """An opened object version: seekable bytes, and the checksums they are to have."""

    def __init__(self, raw: io.RawIOBase, checksums: tuple[Checksum, ...] = ()) -> None:
        super().__init__(raw)
        self.checksums = checksums

    def require_intact(self) -> None:
        """Raise RefusedError unless the bytes hash to every checksum; leaves it at the start.

        The only way to see a file that was cut between two members of a gzip.
        """
        for stated in self.checksums:
            self.seek(0)
            found = _digest_of(self, stated.algorithm)
            if found != stated.digest:
                raise RefusedError(
                    "checksum",
                    f"expected {stated.algorithm} {stated.digest} by {stated.stated_by}, found "
                    f"{found}: the file was cut or changed on its way.",
                )
        self.seek(0)


class Landing(Protocol):
    """What the ingest needs of a landing."""

    def list(self, prefix: str, suffix: str) -> Iterator[LandedObject]:
        """Give the current version of every object under a prefix."""
        ...

    def find(self, key: str) -> LandedObject | None:
        """Return the current version of one object; None when there is none."""
        ...

    def open(self, found: LandedObject) -> LandedStream:
        """Open exactly that version, seekable; raises GoneError when it is not there."""
        ...


def open_landing(settings: LakeSettings) -> Landing:
    """Return the landing that the settings name."""
    if isinstance(settings.landing, S3Location):
        from lake.s3 import client_of  # boto3 costs a third of a second to import
        from lake.s3_landing import S3Landing

        access = settings.landing_s3
        return S3Landing(client_of(access), settings.landing, etag_is_md5=access.etag_is_md5)
    return FolderLanding(settings.landing)


class FolderLanding:
    """A folder; the etag is size and modification time, so a rewrite is a new version.

    A file `<name>.md5` or `<name>.sha256` beside a file, in the form of md5sum and sha256sum,
    states what it must hash to.
    """

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
                if _is_sidecar(path):
                    continue
                found = self._stat(path, key)
                if found is not None:
                    yield found

    def find(self, key: str) -> LandedObject | None:
        """Return a file of the folder; a key that leads out of it is none."""
        if any(part in ("", ".", "..") or part.startswith(".") for part in key.split("/")):
            return None
        return self._stat(self._path(key), key)

    def open(self, found: LandedObject) -> LandedStream:
        """Open the file if it still is the version that was listed."""
        path = self._path(found.key)
        try:
            raw = io.FileIO(path)
        except FileNotFoundError as err:
            raise GoneError(f"{found.key!r}: listed, but not there any more") from err
        if _etag(os.fstat(raw.fileno())) != found.etag:
            raw.close()
            raise GoneError(
                f"{found.key!r}: version {found.etag} was overwritten since the listing"
            )
        return LandedStream(raw, _sidecars(path))

    def _path(self, key: str) -> Path:
        """Return the file of a key; bytes of its name that are no UTF-8 are escaped in the key."""
        plain = self._root / key
        if "\\udc" not in key or plain.exists():
            return plain
        return self._root / _ESCAPED.sub(lambda m: chr(int(m[1], 16)), key)

    def _stat(self, path: Path, key: str) -> LandedObject | None:
        try:
            state = path.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
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


class _Crc32:
    """CRC-32 in the form of hashlib's digests."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: bytes) -> None:
        self._sum = zlib.crc32(data, self._sum)

    def hexdigest(self) -> str:
        return f"{self._sum:08x}"


def _digest_of(stream: BinaryIO, algorithm: str) -> str:
    """Return what a stream hashes to from where it is, lower-case hex."""
    made = _Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)
    while block := stream.read(_BLOCK_BYTES):
        made.update(block)
    return made.hexdigest()


def _is_sidecar(path: Path) -> bool:
    return path.suffix[1:] in _SIDECARS and path.with_suffix("").exists()


def _sidecars(path: Path) -> tuple[Checksum, ...]:
    """Return what the checksum files beside a file state; one without a digest states nothing."""
    found = []
    for algorithm in _SIDECARS:
        beside = path.with_name(f"{path.name}.{algorithm}")
        try:
            with beside.open("rb") as stream:
                text = stream.read(_SIDECAR_BYTES).decode("utf-8", "replace")
        except OSError:  # none, or a folder
            continue
        digest = _digest_in(text, path.name, algorithm)
        if digest is not None:
            found.append(Checksum(algorithm, digest, f"the checksum file {beside.name!r}"))
    return tuple(found)


def _digest_in(text: str, name: str, algorithm: str) -> str | None:
    """Return the digest of a file in a list of digests: the line that names it, else the only."""
    pattern = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{_DIGITS[algorithm]}}}(?![0-9a-f])", re.I)
    lines = [line for line in text.splitlines() if pattern.search(line)]
    named = [line for line in lines if name in line] or lines
    match = pattern.search(named[0]) if len(named) == 1 else None
    return match[0].lower() if match else None


def stated_digest(text: str, algorithm: str) -> str | None:
    """Return a digest given as hex or base64 as lower-case hex; None for anything else."""
    digits = _DIGITS[algorithm]
    if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text):
        return text.lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) * 2 == digits else None
