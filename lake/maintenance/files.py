"""The files below a place of the warehouse, as the store itself lists them; folder or S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileSystem, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO


class UnknownStoreError(RuntimeError):
    """A file IO that cannot list."""


@dataclass(frozen=True)
class StoredFile:
    """A file as the store has it; modified by the store's own clock, UTC."""

    uri: str
    size: int
    modified: datetime

    @property
    def name(self) -> str:
        """Return the last part of the name."""
        return self.uri.rsplit("/", 1)[-1]


def list_files(io: FileIO, place: str) -> Iterator[StoredFile]:
    """Give every file below a place, folder by folder; a place that is not there has none."""
    system, root = _store(io, place)
    folders = [root]
    while folders:
        selector = FileSelector(folders.pop(), recursive=False, allow_not_found=True)
        for found in system.get_file_info(selector):
            if found.type == FileType.Directory:
                folders.append(found.path)
            elif found.type == FileType.File:
                uri = place.rstrip("/") + found.path[len(root) :]
                yield StoredFile(uri, found.size or 0, found.mtime.astimezone(UTC))


def list_folders(io: FileIO, place: str) -> list[str]:
    """Return the folders right below a place."""
    system, root = _store(io, place)
    selector = FileSelector(root, recursive=False, allow_not_found=True)
    return sorted(
        place.rstrip("/") + found.path[len(root) :]
        for found in system.get_file_info(selector)
        if found.type == FileType.Directory
    )


def _store(io: FileIO, place: str) -> tuple[FileSystem, str]:
    if not isinstance(io, PyArrowFileIO):
        raise UnknownStoreError(
            f"{type(io).__name__} cannot list {place}; expected PyArrowFileIO. Leave py-io-impl "
            "of the catalog at its default."
        )
    scheme, netloc, path = io.parse_location(place, io.properties)
    return io.fs_by_scheme(scheme, netloc), path.rstrip("/")
