"""The warehouse's files in S3, as DuckDB reads them.

DuckDB reads S3 through a registered fsspec file system: httpfs has no package for DuckDB 2. What
fsspec offers over pyarrow asks for an object's head ten times to read it once; here a data file,
which never changes, is opened once and asked once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

if TYPE_CHECKING:
    import pyarrow as pa

#: pyarrow's default of 3 attempts fails every 40th request at a store that fails 3 of 10
_ATTEMPTS = 9
_MAX_OPEN = 4096
#: data files are never written twice: DuckDB may keep what it read of one
_NEVER_CHANGED = datetime(2000, 1, 1, tzinfo=UTC)


def warehouse_retries() -> Any:
    """Return how pyarrow tries again; pyiceberg calls it by its name."""
    from pyarrow.fs import AwsDefaultS3RetryStrategy

    return AwsDefaultS3RetryStrategy(max_attempts=_ATTEMPTS)


@lru_cache(maxsize=8)
def s3_files(properties: frozenset[tuple[str, str]]) -> S3Files:
    """Return the file system of pyiceberg's s3.* properties; one a process, it keeps files open."""
    return S3Files(dict(properties))


class S3Files(AbstractFileSystem):  # type: ignore[misc]
    """Objects of S3 as DuckDB reads them: by path, whole or in ranges, from several threads."""

    protocol = "s3"
    cachable = False

    def __init__(self, properties: Mapping[str, str]) -> None:
        super().__init__()
        from pyiceberg.io.pyarrow import PyArrowFileIO

        self._io = PyArrowFileIO(dict(properties))
        self._open_files: dict[str, pa.NativeFile] = {}
        self._lock = Lock()

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Return name, type and size (bytes)."""
        name = self._strip_protocol(path)
        return {"name": name, "type": "file", "size": self._native(name).size()}

    def exists(self, path: str, **_: object) -> bool:
        """Tell whether there is such an object."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Tell whether there is such an object."""
        return self.exists(path)

    def isdir(self, path: str) -> bool:  # noqa: ARG002 - fsspec's signature
        """Say no: there are no folders."""
        return False

    def glob(self, path: str, **_: object) -> list[str]:
        """Return the path itself where it is an object: patterns match nothing here."""
        return [path] if self.exists(path) else []

    def modified(self, path: str) -> datetime:  # noqa: ARG002
        """Return always the same: data files do not change."""
        return _NEVER_CHANGED

    def _open(self, path: str, mode: str = "rb", **_: object) -> _Ranges:
        if mode != "rb":
            raise PermissionError(f"{path!r}: the warehouse is read here, not written")
        return _Ranges(self._native(path))

    def _native(self, name: str) -> pa.NativeFile:
        """Return the opened object; opening asks the store for its size."""
        if ".." in name.split("/"):  # a store might resolve it, out of the warehouse
            raise FileNotFoundError(name)
        found = self._open_files.get(name)
        if found is None:
            bucket, _, key = name.partition("/")
            found = self._io.fs_by_scheme("s3", bucket).open_input_file(f"{bucket}/{key}")
            with self._lock:
                if len(self._open_files) >= _MAX_OPEN:
                    self._open_files.clear()
                self._open_files[name] = found
        return found


class _Ranges(io.RawIOBase):
    """A reader with a place of its own over an object that others read too."""

    def __init__(self, native: pa.NativeFile) -> None:
        super().__init__()
        self._native = native
        self._size = native.size()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        wanted = self._size - self._at if size < 0 else min(size, self._size - self._at)
        if wanted <= 0:
            return b""
        block: bytes = self._native.read_at(wanted, self._at)
        self._at += len(block)
        return block
