"""One object version on its way into a file: resumed where a cut left it, held against checksums.

Length, etag (where it is an MD5) and the store's own checksum are compared with what came. Bytes
that come twice the same and still differ are handed on with the checksum they miss: the object
itself is broken then, and staging refuses that one delivery instead of failing its neighbours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError, FlexibleChecksumError

from lake.landing import Checksum, GoneError, LandedObject, stated_digest
from lake.s3 import BadBytesError, Retries, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 1024 * 1024
#: a download that came so much further since its last failure is not stuck
_PROGRESS_BYTES = 8 * 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}")
#: metadata in which uploaders state a digest of the whole file (rclone: md5chksum)
_STATED = {
    "md5chksum": "md5",
    "md5": "md5",
    "md5sum": "md5",
    "content-md5": "md5",
    "sha256": "sha256",
    "sha256sum": "sha256",
}
_HEADERS = {"ChecksumSHA256": "sha256", "ChecksumSHA1": "sha1", "ChecksumCRC32": "crc32"}


@dataclass(frozen=True)
class Source:
    """Where the bytes are; etag_is_md5: whether a plain 32-digit etag is held against them."""

    client: S3Client
    bucket: str
    key: str
    etag_is_md5: bool


class Download:
    """A download of exactly the version that was listed."""

    def __init__(self, source: Source, found: LandedObject, out: IO[bytes]) -> None:
        self._source = source
        self._found = found
        self._out = out
        self._digest = hashlib.md5(usedforsecurity=False)
        self._by_uploader: tuple[Checksum, ...] = ()
        self._by_store: Checksum | None = None
        self._wrong_before: str | None = None

    def run(self, retries: Retries, what: str) -> tuple[Checksum, ...]:
        """Download all of it and go to its start; return what it is said to hash to.

        Raises GoneError when that version is not there (any more), StorageError when the store
        does not give it.
        """
        try:
            missed = retries.call(
                what,
                self._attempt,
                lambda: self._out.tell() // _PROGRESS_BYTES,
                may_be_missing=True,
            )
        except ClientError as err:
            raise GoneError(
                f"{self._found.key!r}: version {self._found.etag} is not there: {code_of(err)}"
            ) from err
        self._out.flush()
        self._out.seek(0)
        return (*self._by_uploader, *missed)

    def _attempt(self) -> tuple[Checksum, ...]:
        """Get what is still missing; return the store's checksum if the object misses it."""
        if self._out.tell() >= self._found.size_bytes:
            self._restart()
        start = self._out.tell()
        more: dict[str, Any] = (
            {"Range": f"bytes={start}-"} if start else {"ChecksumMode": "ENABLED"}
        )
        response = self._source.client.get_object(
            Bucket=self._source.bucket,
            Key=self._source.key,
            IfMatch=f'"{self._found.etag}"',
            **more,
        )
        with closing(response["Body"]) as body:
            self._take_facts(response, start)
            try:
                while block := body.read(_BLOCK_BYTES):
                    self._out.write(block)
                    self._digest.update(block)
            except FlexibleChecksumError:
                return self._miss()
        if self._out.tell() != self._found.size_bytes:
            length = self._out.tell()
            self._restart()
            raise BadBytesError(f"{length:,} bytes, expected {self._found.size_bytes:,}")
        stated = self._by_store
        if stated is None or stated.algorithm != "md5":
            return ()
        return () if stated.digest == self._digest.hexdigest() else self._miss()

    def _take_facts(self, response: Mapping[str, Any], start: int) -> None:
        if response["ETag"].strip('"') != self._found.etag:  # a store that ignores IfMatch
            raise GoneError(f"{self._found.key!r}: was overwritten since the listing")
        if start and not response.get("ContentRange", "").startswith(f"bytes {start}-"):
            self._restart()  # a store that ignores ranges sends all of it
        if start:
            return
        self._by_store = self._store_checksum(response)
        stated = []
        for name, value in response.get("Metadata", {}).items():
            algorithm = _STATED.get(name.lower())
            if algorithm and (digest := stated_digest(value, algorithm)):
                stated.append(Checksum(algorithm, digest, f"its metadata {name.lower()!r}"))
        self._by_uploader = tuple(stated)

    def _store_checksum(self, response: Mapping[str, Any]) -> Checksum | None:
        """Return what the store says all of it hashes to; the etag of a KMS object is no MD5."""
        encrypted = str(response.get("ServerSideEncryption", "")).startswith("aws:kms")
        plain = not encrypted and not response.get("SSECustomerAlgorithm")
        if plain and self._source.etag_is_md5 and _MD5.fullmatch(self._found.etag):
            return Checksum("md5", self._found.etag, "the store's etag")
        for header, algorithm in _HEADERS.items():
            digest = stated_digest(response.get(header, ""), algorithm)
            if digest is not None:  # of the parts of a multipart upload: has a dash, is none
                return Checksum(algorithm, digest, "the store's checksum")
        return None

    def _miss(self) -> tuple[Checksum, ...]:
        """Start anew, or hand the object on as it is when the same bytes came before."""
        came = self._digest.hexdigest()
        if came == self._wrong_before and self._by_store is not None:
            return (self._by_store,)
        self._wrong_before = came
        self._restart()
        raise BadBytesError("bytes that do not hash to the store's checksum")

    def _restart(self) -> None:
        self._out.seek(0)
        self._out.truncate()
        self._digest = hashlib.md5(usedforsecurity=False)
