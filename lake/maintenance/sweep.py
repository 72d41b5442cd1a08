"""The sweep: files of the warehouse that nothing refers to, and nobody will, are deleted.

A file goes only if all of this holds: it lies below a table of the catalog and inside the
warehouse; no kept snapshot of any table, no kept metadata version and no unfinished batch refers
to it, asked again right before it is deleted; it is older than the orphan grace, by the store's own
last-modified, which is longer than any run that could still commit it; and an earlier sweep, longer
ago than the reader grace, found it an orphan already, so that nobody reads it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table

from lake.crash import crashpoint
from lake.maintenance.backup import warehouse_of
from lake.maintenance.files import StoredFile, list_files, list_folders
from lake.maintenance.marks import Marks
from lake.maintenance.policy import Policy
from lake.maintenance.reach import Reachable, of_batches, of_table

_CHUNK = 10_000  # orphans that are held at once, and between two looks at the catalog
_METADATA = ".metadata.json"


class SweepRefusedError(RuntimeError):
    """A sweep that could delete what somebody needs."""


@dataclass(frozen=True)
class Swept:
    """What a sweep found below one table.

    young: unreferenced, but not older than the orphan grace. waiting: orphans that readers may
    still need. orphans: deleted, or on a dry run to be deleted.
    """

    identifier: str
    files: int
    young: int
    waiting: int
    orphans: int
    orphan_bytes: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SweepReport:
    """What a sweep found; unknown: folders of the warehouse that belong to no table, left alone."""

    tables: tuple[Swept, ...]
    unknown: tuple[str, ...]

    @property
    def orphans(self) -> int:
        """Return the number of files that were, or on a dry run would be, deleted."""
        return sum(t.orphans for t in self.tables)

    @property
    def waiting(self) -> int:
        """Return the number of orphans that a later sweep deletes."""
        return sum(t.waiting for t in self.tables)

    @property
    def orphan_bytes(self) -> int:
        """Return their size."""
        return sum(t.orphan_bytes for t in self.tables)


def sweep(
    catalog: Catalog,
    policy: Policy,
    landing: str,
    now: datetime,
    *,
    grace: timedelta | None = None,
    dry_run: bool = False,
) -> SweepReport:
    """Delete orphans of every table of the catalog; landing: a folder or URI that is never touched.

    Raises SweepRefusedError for a grace shorter than the longest run, where landing and warehouse
    lie in each other, and where a table's folder holds the history of another table.
    """
    wanted = policy.orphan_grace if grace is None else grace
    if wanted < policy.longest_run:
        raise SweepRefusedError(
            f"a grace of {_hours(wanted)} was asked for; expected at least the longest run "
            f"(longest_run_minutes of the policy), {_hours(policy.longest_run)}: an ingest that is "
            "not finished would lose what it wrote. Ask for a longer grace."
        )
    warehouse = warehouse_of(catalog)
    _apart(warehouse, landing)
    tables = [
        ".".join(i) for space in catalog.list_namespaces() for i in catalog.list_tables(space)
    ]
    for identifier in tables:
        _refuse_other_places(catalog.load_table(identifier), warehouse)
    run = _Sweep(catalog, warehouse, now, wanted, policy.reader_grace, dry_run)
    return SweepReport(
        tuple(run.table(t) for t in sorted(tables)), tuple(run.unknown_folders(tables))
    )


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"


def _plain(place: str) -> str:
    return place.removeprefix("file://").rstrip("/") + "/"


def _apart(warehouse: str, landing: str) -> None:
    one, other = _plain(warehouse), _plain(landing)
    if one.startswith(other) or other.startswith(one):
        raise SweepRefusedError(
            f"landing {landing} and warehouse {warehouse} lie in each other; expected them apart: "
            "a sweep never touches landing. Move one of them."
        )


def _refuse_other_places(table: Table, warehouse: str) -> None:
    """Refuse a table outside the warehouse, and a folder with the history of another table.

    The latter is what a lost catalog looks like after its tables were made anew: everything that
    was loaded would be an orphan.
    """
    name, place = ".".join(table.name()), table.location().rstrip("/")
    if not place.startswith(warehouse + "/"):
        raise SweepRefusedError(
            f"{name} lies at {place}, outside the warehouse {warehouse}; expected it inside. "
            "Nothing was deleted."
        )
    own = {table.metadata_location, *(e.metadata_file for e in table.metadata.metadata_log)}
    for found in list_files(table.io, f"{place}/metadata"):
        if not found.name.endswith(_METADATA) or found.uri in own:
            continue
        other = FromInputFile.table_metadata(table.io.new_input(found.uri))
        if other.table_uuid != table.metadata.table_uuid and other.snapshots:
            raise SweepRefusedError(
                f"{found.uri} is the history of another table than the catalog has at {place} "
                f"(uuid {other.table_uuid}, expected {table.metadata.table_uuid}). Was the catalog "
                "lost? `weir maintain rebuild-catalog --replace` finds its tables again. Else move "
                "that table's files away, then sweep again. Nothing was deleted."
            )


@dataclass
class _Sweep:
    catalog: Catalog
    warehouse: str
    now: datetime
    orphan_grace: timedelta
    reader_grace: timedelta
    dry_run: bool
    _needed: Reachable = field(default_factory=Reachable)
    _seen: set[int] = field(default_factory=set)

    def table(self, identifier: str) -> Swept:
        """Sweep below one table."""
        self._needed, self._seen = Reachable(), set()
        table = self._look_again(identifier)
        place = table.location().rstrip("/")
        counts = {"files": 0, "young": 0, "waiting": 0}
        marks = Marks(table.io, self.warehouse, identifier)
        orphans, size = 0, 0
        examples: list[str] = []
        for chunk in self._old_orphans(table, place, counts, marks):
            certain = chunk
            if not self.dry_run:
                # whoever committed meanwhile keeps what is his
                self._look_again(identifier)
                certain = [f for f in chunk if f.uri not in self._needed]
                self._delete(table, certain, marks)
            orphans += len(certain)
            size += sum(f.size for f in certain)
            examples += [f.uri for f in certain[: 20 - len(examples)]]
        if not self.dry_run:
            marks.save()
        return Swept(identifier, **counts, orphans=orphans, orphan_bytes=size,
                     examples=tuple(examples))  # fmt: skip

    def unknown_folders(self, tables: Sequence[str]) -> Iterator[str]:
        """Give folders below the warehouse's namespaces that no table of the catalog lies in."""
        known = {self.catalog.load_table(t).location().rstrip("/") for t in tables}
        for space in sorted({place.rsplit("/", 1)[0] for place in known}):
            if space.startswith(self.warehouse + "/"):
                io = self.catalog.load_table(tables[0]).io
                yield from (f for f in list_folders(io, space) if f not in known)

    def _look_again(self, identifier: str) -> Table:
        """Add what is needed now; batches first, see reach.of_batches."""
        self._needed.add(of_batches(self.catalog))
        table = self.catalog.load_table(identifier)
        self._needed.add(of_table(table, self._seen))
        self._seen |= {s.snapshot_id for s in table.metadata.snapshots}
        return table

    def _old_orphans(
        self, table: Table, place: str, counts: dict[str, int], marks: Marks
    ) -> Iterator[list[StoredFile]]:
        """Give the orphans that may go, in chunks; count and mark the others."""
        chunk: list[StoredFile] = []
        for found in list_files(table.io, place):
            counts["files"] += 1
            if found.uri in self._needed:
                continue
            if found.modified > self.now - self.orphan_grace:
                counts["young"] += 1
                continue
            if marks.mark(found.uri, self.now) > self.now - self.reader_grace:
                counts["waiting"] += 1
                continue
            chunk.append(found)
            if len(chunk) >= _CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _delete(self, table: Table, orphans: Sequence[StoredFile], marks: Marks) -> None:
        for orphan in orphans:
            self._inside(orphan.uri)
            with suppress(FileNotFoundError):  # another sweep was first
                table.io.delete(orphan.uri)
            marks.forget(orphan.uri)
            crashpoint("orphan_deleted")

    def _inside(self, uri: str) -> None:
        """Refuse a file that a link leads to somewhere else."""
        if not uri.startswith(self.warehouse + "/"):
            raise SweepRefusedError(f"{uri} is outside the warehouse {self.warehouse}")
        if uri.startswith("file://"):
            real = Path(uri.removeprefix("file://")).parent.resolve()
            root = Path(self.warehouse.removeprefix("file://")).resolve()
            if not real.is_relative_to(root):
                raise SweepRefusedError(
                    f"{uri} is really in {real}, outside the warehouse {root}; expected no links "
                    "that lead out of it. Remove the link, or put the files into the warehouse."
                )
