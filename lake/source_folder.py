"""What the source files of one folder say against each other.

Belongs here: faults that need two files, or the names of files. Does not: what one file may say
(lake/source.py, lake/source_faults.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from lake.formats import AUTO, FAMILIES, family_of
from lake.source import Source
from lake.source_file import Fault, SourceError, read_document


def require_read(folder: Path) -> None:
    """Refuse a file that looks like a source file and would not be read; raises SourceError."""
    for path in sorted(folder.glob("*.yml")):
        raise SourceError(
            f"{path.name}:1: file: expected a name that ends in .yaml, found .yml: it would not be "
            f"read. Rename it to {path.stem}.yaml, or move it out of the folder."
        )


def require_own_name(path: Path, name: str, others: Mapping[str, Path]) -> None:
    """Refuse a name that another file has; raises SourceError."""
    if name in others:
        said = f"expected a name of its own, found {name!r}, as in {others[name].name}. Rename one."
        raise read_document(path).errors([Fault(("name",), said)])


def require_apart(sources: Mapping[str, Source], paths: Mapping[str, Path]) -> None:
    """Refuse two sources that one object may belong to; raises SourceError.

    Each would load it as a delivery of its own, and its rows would count twice. Those of different
    tables may share an object.
    """
    for one, other in combinations(sources.values(), 2):
        if _table(one) == _table(other) and _may_share(one, other):
            said = (
                f"expected a place of its own, found that what is below {other.landing.prefix!r} "
                f"and ends in {other.landing.suffix!r} may belong to source {one.name!r} "
                f"({paths[one.name].name}: {one.landing.prefix!r}, {one.landing.suffix!r}) too and "
                "would be counted twice. Give each a folder or a suffix of its own."
            )
            raise read_document(paths[other.name]).errors([Fault(("landing",), said)])


def _table(source: Source) -> str:
    """Return the table that a source fills."""
    known = source.format if source.format in FAMILIES else AUTO
    return family_of(known).record.identifier


def _may_share(one: Source, other: Source) -> bool:
    """Tell whether a key can have the prefix and the suffix of both."""
    a, b = one.landing, other.landing
    has_prefix = a.prefix.startswith(b.prefix) or b.prefix.startswith(a.prefix)
    return has_prefix and (a.suffix.endswith(b.suffix) or b.suffix.endswith(a.suffix))
