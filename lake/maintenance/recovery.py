"""A lost catalog, built again from the metadata that lies in the warehouse.

Which metadata.json of a table counts follows from what the files say, never from their age on
disk. Each names its predecessors (metadata-log), so a file that another one names was committed;
of the rest, one whose predecessor got another successor that went on lost its race. What is left
is the newest commit, or at the very end two files of one predecessor: one was committed, one is
what a lost race leaves behind. The loser's manifests are gone (pyiceberg deletes them); where a
kill prevented that too, the files cannot tell, and a person must. A commit that a kill cut off
between its metadata and the catalog counts: it is whole, and what follows from it is completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata

from lake.batches import BATCH_KEY
from lake.catalog import ensure_namespace
from lake.crash import crashpoint
from lake.maintenance.backup import Backup, io_of, warehouse_of
from lake.maintenance.files import list_files, list_folders

_SUFFIX = ".metadata.json"


class RecoveryError(RuntimeError):
    """A catalog that cannot be built again without a decision."""


@dataclass(frozen=True)
class Version:
    """One metadata.json: where it is and what it says."""

    uri: str
    metadata: TableMetadata = field(repr=False)

    @property
    def predecessor(self) -> str | None:
        """Return the version it was made from."""
        log = self.metadata.metadata_log
        return log[-1].metadata_file if log else None

    @property
    def order(self) -> tuple[int, int, str]:
        """Return what a later version has more of; not every commit has a new sequence."""
        return self.metadata.last_updated_ms, self.sequence, self.uri

    @property
    def sequence(self) -> int:
        """Return the sequence number of the last commit; format 1 had none."""
        return getattr(self.metadata, "last_sequence_number", 0)

    @property
    def summary(self) -> Mapping[str, str]:
        """Return what the current snapshot says of itself."""
        current = self.metadata.current_snapshot()
        return current.summary.additional_properties if current and current.summary else {}

    @property
    def rows(self) -> int:
        """Return the rows of the table."""
        return int(self.summary.get("total-records", 0))

    def says(self) -> str:
        """Return what a person needs to choose between two."""
        return (
            f"{self.uri} (sequence {self.sequence}, updated "
            f"{self.metadata.last_updated_ms} ms, {self.rows} rows, "
            f"batch {self.summary.get(BATCH_KEY)})"
        )


@dataclass(frozen=True)
class Recovered:
    """The version of a table that was registered, and how many lost races were passed over."""

    identifier: str
    metadata_location: str
    rows: int
    versions: int
    passed_over: tuple[str, ...]


def rebuild(
    catalog: Catalog,
    *,
    backup: Backup | None = None,
    take: Mapping[str, str] | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> list[Recovered]:
    """Register every table of the warehouse at its newest committed metadata.

    backup: names tables and places that the warehouse's own folders may not show. take: by table
    the metadata file that counts where the files cannot tell. replace: also where the catalog has
    tables; their entries are given up, no file is.
    """
    places = places_of(catalog, backup)
    if not places:
        raise RecoveryError(
            f"no table metadata below {warehouse_of(catalog)}; expected <namespace>/<table>/"
            "metadata. Is WEIR_WAREHOUSE the warehouse of the lost catalog?"
        )
    found = [newest(io_of(catalog), name, place, take or {}) for name, place in places.items()]
    left = _not_registered(catalog, found, replace=replace, dry_run=dry_run)
    if not dry_run:
        for one in left:
            ensure_namespace(catalog, one.identifier.split(".")[0])
            catalog.register_table(one.identifier, one.metadata_location)
            crashpoint("table_registered")
    return found


def _not_registered(
    catalog: Catalog, found: Sequence[Recovered], *, replace: bool, dry_run: bool
) -> list[Recovered]:
    """Return what is to be registered; refuses a catalog in use, goes on where a kill cut in."""
    known = [".".join(i) for s in catalog.list_namespaces() for i in catalog.list_tables(s)]
    if replace:
        for identifier in () if dry_run else known:
            catalog.drop_table(identifier)
        return list(found)
    left = [one for one in found if one.identifier not in known]
    places = {one.identifier: one.metadata_location for one in found}
    is_cut_off = left and all(
        catalog.load_table(t).metadata_location == places.get(t) for t in known
    )
    if known and not is_cut_off:
        raise RecoveryError(
            f"the catalog has {len(known)} tables ({', '.join(known[:5])} ...); expected an empty "
            "one. Nothing was done. If they are to be given up for what the warehouse holds, say "
            "--replace."
        )
    return left


def places_of(catalog: Catalog, backup: Backup | None = None) -> dict[str, str]:
    """Return where each table lies: by the warehouse's folders, and by a backup."""
    warehouse, io = warehouse_of(catalog), io_of(catalog)
    places = {e.identifier: e.location.rstrip("/") for e in backup.tables} if backup else {}
    for namespace in list_folders(io, warehouse):
        for place in list_folders(io, namespace):
            if any(_metadata_files(io, place)):
                name = f"{namespace.rsplit('/', 1)[-1]}.{place.rsplit('/', 1)[-1]}"
                places.setdefault(name, place)
    return dict(sorted(places.items()))


def _metadata_files(io: FileIO, place: str) -> list[str]:
    found = list_files(io, f"{place}/metadata")
    return sorted(f.uri for f in found if f.name.endswith(_SUFFIX))


def newest(io: FileIO, identifier: str, place: str, take: Mapping[str, str]) -> Recovered:
    """Return the newest committed version of the table at a place."""
    versions = [
        Version(uri, FromInputFile.table_metadata(io.new_input(uri)))
        for uri in _metadata_files(io, place)
    ]
    if not versions:
        raise RecoveryError(
            f"{identifier} has no metadata at {place}; expected what its backup names. Restore "
            "the warehouse, or rebuild without the backup."
        )
    chosen = _choose(io, identifier, versions, take.get(identifier))
    committed = {e.metadata_file for e in chosen.metadata.metadata_log}
    return Recovered(
        identifier,
        chosen.uri,
        chosen.rows,
        len(versions),
        tuple(v.uri for v in versions if v != chosen and v.uri not in committed),
    )


def _choose(io: FileIO, identifier: str, versions: Sequence[Version], taken: str | None) -> Version:
    if taken is not None:
        matches = [v for v in versions if v.uri == taken or v.uri.endswith(f"/{taken}")]
        if len(matches) != 1:
            raise RecoveryError(
                f"{identifier} has no metadata file {taken}; expected one of "
                + ", ".join(v.uri for v in versions)
            )
        return matches[0]
    left = _of_one_table(identifier, versions)
    whole: list[Version] = []
    while left and not whole:
        ends = ends_of(left)
        whole = [v for v in ends if is_whole(io, v)]
        left = [v for v in left if v not in ends]
    if not whole:
        raise RecoveryError(
            f"{identifier}: none of its {len(versions)} versions has all of its files; expected "
            "one that has. Restore the warehouse from its own backup."
        )
    if len(whole) > 1:
        listed = "\n  ".join(v.says() for v in sorted(whole, key=lambda v: v.order))
        raise RecoveryError(
            f"{identifier}: {len(whole)} files may be its newest commit, and only the lost catalog "
            f"knew which:\n  {listed}\nOne was committed; the others lost their race and were "
            "killed before they could clean up. The right one's batch is what the newest snapshot "
            "of bronze, ops.rejects or ops.check_results names; where none does, any will do. "
            f"Choose with --take {identifier}=<file name>."
        )
    return whole[0]


def _of_one_table(identifier: str, versions: Sequence[Version]) -> list[Version]:
    """Keep the versions of the table that has a history, where its folder had several tables."""
    by_uuid: dict[str, list[Version]] = {}
    for v in versions:
        by_uuid.setdefault(str(v.metadata.table_uuid), []).append(v)
    lived = {u: vs for u, vs in by_uuid.items() if any(v.metadata.snapshots for v in vs)}
    if len(lived) > 1:
        listed = "\n  ".join(
            max(vs, key=lambda v: v.order).says() for _, vs in sorted(lived.items())
        )
        raise RecoveryError(
            f"{identifier}: its folder holds the history of {len(lived)} tables:\n  {listed}\n"
            "Expected one. That happens where a lake was used on with an empty catalog. Choose "
            f"with --take {identifier}=<file name>; the other's rows stay in the warehouse."
        )
    if lived:
        return next(iter(lived.values()))
    return max(by_uuid.values(), key=lambda vs: max(v.order for v in vs))


def ends_of(versions: Sequence[Version]) -> list[Version]:
    """Return the versions that may be the newest commit, by what the files say of each other.

    Out go those that another version names as its past, and those whose predecessor is in the
    past of a version that went on from another successor, or before all that it remembers.
    """
    named = {e.metadata_file for v in versions for e in v.metadata.metadata_log}
    leaves = [v for v in versions if v.uri not in named]
    return [v for v in leaves if not any(_outlived(v, by) for by in leaves if by is not v)]


def _outlived(version: Version, by: Version) -> bool:
    """Tell whether the table went on from another successor of the same predecessor."""
    past = [e.metadata_file for e in by.metadata.metadata_log]
    if version.predecessor in past:
        # of the very last predecessor both are successors: the files do not tell which counts
        return version.predecessor != past[-1]
    if by.predecessor in [e.metadata_file for e in version.metadata.metadata_log]:
        return False
    return version.order < by.order  # so far apart that the younger has forgotten


def is_whole(io: FileIO, version: Version) -> bool:
    """Tell whether the newest commit's files are there: the list, manifests, what it added.

    A loser's are deleted; so are, after the grace, those of a commit that a kill cut off.
    """
    current = version.metadata.current_snapshot()
    if current is None:
        return True
    if not io.new_input(current.manifest_list).exists():
        return False
    manifests = current.manifests(io)
    if not all(io.new_input(m.manifest_path).exists() for m in manifests):
        return False
    return all(
        io.new_input(entry.data_file.file_path).exists()
        for m in manifests
        if m.added_snapshot_id == current.snapshot_id
        for entry in m.fetch_manifest_entry(io, discard_deleted=True)
        if entry.snapshot_id == current.snapshot_id
    )
