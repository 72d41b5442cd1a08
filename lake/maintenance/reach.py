"""What a table still needs: every file that its metadata and its unfinished batches refer to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lake.batches import MANIFEST_KEY
from lake.commit import pending_batch


class Reachable:
    """A set of file names that takes 16 bytes each: tables may have millions."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def add(self, names: Iterable[str]) -> None:
        """Add names."""
        self._digests.update(digest_of(n) for n in names)

    def __contains__(self, name: str) -> bool:
        return digest_of(name) in self._digests


def digest_of(name: str) -> bytes:
    """Return 16 bytes that stand for a name."""
    return blake2b(name.encode(), digest_size=16).digest()


def of_batches(catalog: Catalog) -> Iterator[str]:
    """Give what the batch that is not complete needs: its manifest and the files that this lists.

    Ask before the metadata of any table is read: a batch that is complete by now is in the tables
    that are read later; one that is not is protected here; one that is decided later has files
    that are younger than any grace.
    """
    pending = pending_batch(catalog)
    if pending is not None:
        manifest, uri = pending
        yield uri
        for files in manifest.files.values():
            yield from files


def of_table(table: Table, seen: Collection[int] = ()) -> Iterator[str]:
    """Give every file that a table's metadata refers to; seen: snapshots that were asked before.

    Kept versions of metadata.json, manifest lists, manifests, data files, statistics, and the
    batch manifests that snapshots name.
    """
    metadata = table.metadata
    yield table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (s.statistics_path for s in (*metadata.statistics, *metadata.partition_statistics))
    manifests: set[str] = set()
    for snapshot in metadata.snapshots:
        if snapshot.snapshot_id not in seen:
            yield from _of_snapshot(table, snapshot, manifests)


def _of_snapshot(table: Table, snapshot: Snapshot, done: set[str]) -> Iterator[str]:
    yield snapshot.manifest_list
    if snapshot.summary is not None and (uri := snapshot.summary.get(MANIFEST_KEY)):
        yield uri
    for manifest in snapshot.manifests(table.io):
        if manifest.manifest_path not in done:
            done.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file.file_path
