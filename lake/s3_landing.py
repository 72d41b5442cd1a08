"""Landing in S3: listed page by page, every version read exactly as it was listed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lake.landing import LandedObject, LandedStream
from lake.locations import S3Location
from lake.s3 import Retries
from lake.s3_download import Download, Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE_KEYS = 1000


class S3Landing:
    """Objects under a prefix of a bucket; keys are what follows the prefix. Thread-safe."""

    def __init__(
        self,
        client: S3Client,
        location: S3Location,
        *,
        etag_is_md5: bool = True,
        retries: Retries | None = None,
        page_keys: int = PAGE_KEYS,
    ) -> None:
        self._client = client
        self._bucket = location.bucket
        self._root = location.prefix
        self._where = location.uri
        self._etag_is_md5 = etag_is_md5
        self._retries = retries or Retries()
        self._page_keys = page_keys

    def list(self, prefix: str, suffix: str) -> Iterator[LandedObject]:
        """Give the current version of every object; needs one page in memory."""
        page: Mapping[str, Any] = {}
        before: set[str] = set()
        while True:
            page = self._page(prefix, page.get("NextContinuationToken"))
            keys = set()
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._root)
                keys.add(key)
                # pages of a store that is written to meanwhile may overlap
                if key in before or not key.endswith(suffix) or key.endswith("/"):
                    continue
                yield _landed(key, entry["ETag"], entry["Size"], entry["LastModified"])
            if not page.get("IsTruncated"):
                return
            before = keys

    def find(self, key: str) -> LandedObject | None:
        """Return the current version of one object; None when there is none."""
        try:
            head = self._retries.call(
                f"{self._where}: looking for {key!r}",
                lambda: self._client.head_object(Bucket=self._bucket, Key=self._root + key),
                may_be_missing=True,
            )
        except ClientError:  # what else is wrong came as StorageError
            return None
        return _landed(key, head["ETag"], head["ContentLength"], head["LastModified"])

    def open(self, found: LandedObject) -> LandedStream:
        """Download exactly that version; raises GoneError when it is not there any more."""
        what = f"{self._where}: reading {found.key!r} ({found.size_bytes:,} bytes)"
        source = Source(self._client, self._bucket, self._root + found.key, self._etag_is_md5)
        out = tempfile.TemporaryFile(prefix="weir-landing-")  # noqa: SIM115 - the stream owns it
        try:
            checksums = Download(source, found, out).run(self._retries, what)
        except BaseException:
            out.close()
            raise
        return LandedStream(out.detach(), checksums)

    def _page(self, prefix: str, token: str | None) -> Mapping[str, Any]:
        more: dict[str, Any] = {"ContinuationToken": token} if token else {}
        return self._retries.call(
            f"{self._where}: listing {prefix!r}",
            lambda: self._client.list_objects_v2(
                Bucket=self._bucket,
                Prefix=self._root + prefix,
                MaxKeys=self._page_keys,
                **more,
            ),
        )


def _landed(key: str, etag: str, size: int, last_modified: datetime) -> LandedObject:
    """Return an object as listings and single answers agree on it: whole seconds, no quotes."""
    return LandedObject(
        key, etag.strip('"'), size, last_modified.astimezone(UTC).replace(microsecond=0)
    )
