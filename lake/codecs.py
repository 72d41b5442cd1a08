"""Packed objects: which codec one is in, and what is wrong with one that is damaged.

The content decides and the name must agree; a name that says nothing of a codec agrees with all.
Every codec is read as a stream, member by member, with its checksums verified. zstd and bzip2 go
through Arrow: the readers of `zstandard` and `bz2` take a stream that breaks off, or goes on as
rubbish, for its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

import pyarrow as pa
from isal import igzip, isal_zlib

from lake.refused import RefusedError

_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh"}
_HEAD_BYTES = 16
#: last extension of a name -> the codec it announces
_ANNOUNCED = {
    "gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd", "bz2": "bzip2",
    **dict.fromkeys(("log", "txt", "json", "jsonl", "ndjson", "csv", "tsv"), "plain"),
}  # fmt: skip
#: what is plain but no log, by its first bytes
_OTHER_TYPES = {
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"\xfd7zXZ\0": "an xz stream",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "an lz4 stream",
    b"\xff\x06\0\0sNaPpY": "a snappy stream",
    b"\x1f\x9d": "a compress (.Z) stream",
    b"\x89PNG": "an image",
    b"%PDF-": "a PDF file",
    b"\x7fELF": "a program",
    b"SQLite format 3\0": "an SQLite file",
    b"\xff\xfe": "UTF-16 text (iconv -f UTF-16 -t UTF-8 makes UTF-8 of it)",
    b"\xfe\xff": "UTF-16 text (iconv -f UTF-16 -t UTF-8 makes UTF-8 of it)",
}


class Reader(Protocol):
    """Bytes of an object, unpacked; raises RefusedError where it is damaged."""

    def readinto(self, view: memoryview, /) -> int:
        """Fill the view, or part of it; 0 at the end."""
        ...


def codec_of(head: bytes) -> str:
    """Return the codec that the first 16 bytes of an object show: gzip, zstd, bzip2 or plain."""
    if head.startswith(_MAGIC["gzip"]):
        return "gzip"
    # a skippable frame may come first
    if head.startswith(_MAGIC["zstd"]) or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return "zstd"
    if head.startswith(_MAGIC["bzip2"]) and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"
    return "plain"


def announced_codec(name: str) -> str | None:
    """Return the codec that a name announces by its last extension, None when it says nothing."""
    last = name.rsplit("/", 1)[-1]
    return _ANNOUNCED.get(last.rsplit(".", 1)[-1].lower()) if "." in last else None


def open_reader(stream: BinaryIO, name: str) -> Reader:
    """Open an object for reading from its beginning; raises RefusedError.

    name: the object's; must agree with what it is. An OSError that is not the content's fault
    comes through as it is.
    """
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    if not head:
        raise RefusedError("zero_bytes", "expected at least one line, found no byte.")
    found, announced = codec_of(head), announced_codec(name)
    if announced in _MAGIC and len(head) < len(_MAGIC[announced]):
        _prefix(head, announced)
    if announced is not None and announced != found:
        raise RefusedError(
            "not_what_its_name_says",
            f"expected {announced} by its name, found {_described(found, head)}.",
        )
    if found == "gzip":
        return _Checked(_gzip_reader(stream), "gzip")
    if found != "plain":
        source = pa.CompressedInputStream(
            pa.PythonFile(stream, mode="r"), {"bzip2": "bz2"}.get(found, found)
        )
        return _Checked(source.readinto, found)
    return _Plain(stream)


def _gzip_reader(stream: BinaryIO) -> Callable[[memoryview], int]:
    """Return a readinto that unpacks into the view itself.

    That of the file object makes bytes first and copies them: an eighth of the unpacking.
    """
    file = igzip.IGzipFile(fileobj=stream, mode="rb")
    raw = getattr(getattr(file, "_buffer", None), "raw", None)
    found: Callable[[memoryview], int] = (raw or file).readinto
    return found


def _prefix(head: bytes, codec: str) -> None:
    if _MAGIC[codec].startswith(head):
        raise RefusedError(
            "truncated", f"expected a {codec} stream, found the first {len(head)} byte(s) of one."
        )


def other_type(head: bytes) -> str | None:
    """Return what an unpacked object is by its first bytes, None where it may be a log."""
    packed = codec_of(head)
    if packed != "plain":
        return f"a {packed} stream inside the packed object"
    return next((what for magic, what in _OTHER_TYPES.items() if head.startswith(magic)), None)


def _described(codec: str, head: bytes) -> str:
    if codec != "plain":
        return codec
    return other_type(head) or f"bytes that begin {head[:4].hex(' ')}, none of {', '.join(_MAGIC)}"


class _Plain:
    """An object that is not packed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readinto(self, view: memoryview, /) -> int:
        if hasattr(self._stream, "readinto"):
            return int(self._stream.readinto(view) or 0)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Checked:
    """A packed object; what the codec finds wrong becomes a refusal."""

    def __init__(self, readinto: Callable[[memoryview], int], codec: str) -> None:
        self._readinto = readinto
        self._codec = codec

    def readinto(self, view: memoryview, /) -> int:
        try:
            return int(self._readinto(view) or 0)
        except EOFError as err:
            raise self._damaged("truncated", "the stream ends before its end marker") from err
        except isal_zlib.error as err:  # type: ignore[misc]
            raise self._damaged("corrupt", f"it cannot be unpacked: {err}") from err
        except OSError as err:
            if err.errno is not None:  # the storage's fault, not the object's
                raise
            raise self._damaged(_reason(str(err)), str(err)) from err

    def _damaged(self, reason: str, found: str) -> RefusedError:
        return RefusedError(
            reason, f"expected a whole {self._codec} stream and nothing after it, found: {found}."
        )


#: part of a codec's message -> reason; checked against real damage in tests/lake/test_refused.py
_SAID = {
    "Truncated compressed stream": "truncated",
    "CRC check failed": "crc",
    "Incorrect length of data": "crc",
    "match checksum": "crc",
    "Not a gzipped file": "trailing_garbage",
    "Unknown compression method": "trailing_garbage",
    "Unknown frame descriptor": "trailing_garbage",
    "no magic header": "trailing_garbage",
}


def _reason(message: str) -> str:
    return next((reason for said, reason in _SAID.items() if said in message), "corrupt")
