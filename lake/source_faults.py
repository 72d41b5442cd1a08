"""What a source file says that does not go together with its format.

Belongs here: faults that need both. Does not: what each field may say (lake/source.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from lake.formats import AUTO, FAMILIES
from lake.formats.base import Family
from lake.source import Source
from lake.source_file import Fault, nearest

#: field of a source file that only some formats take -> what it is
_TAKEN = {"map": "a map", "prefix": "a prefix", "dialect": "a dialect", "document": "a document"}


def faults_with_its_format(source: Source) -> Iterator[Fault]:
    """Give what a source says that its format does not take, or needs and is not given."""
    known = [*sorted(FAMILIES), AUTO]
    family = FAMILIES.get(source.format)
    if source.format not in known:
        near = nearest(source.format, known)
        hint = f"Did you mean `{near}`?" if near else "`weir inspect FILE` tells the format."
        yield Fault(
            ("format",),
            f"expected one of {', '.join(known)}, found {source.format!r}. {hint}",
        )
        return
    for name, said in _TAKEN.items():
        if name in source.model_fields_set and not getattr(family, f"takes_{name}", False):
            takers = (n for n, f in sorted(FAMILIES.items()) if getattr(f, f"takes_{name}"))
            yield Fault(
                (name,),
                f"expected it with a format that takes {said} ({', '.join(takers)}), found format "
                f"{source.format}. Remove it or change the format.",
            )
    if family is not None:
        yield from _faults_of_shape(source, family)
        yield from family.faults_of(source)
        if source.document is not None and source.container is not None:
            yield Fault(
                ("container",),
                "expected none beside document, which is a container of its own, found "
                f"{source.container!r}. Remove one of them.",
            )
        for column in family.missing_in_map(source):
            yield Fault(
                ("map",),
                f"expected {column}, found no rule for it. Name the field of the log: "
                f"`{column}: {{from: ...}}`.",
            )


def _faults_of_shape(source: Source, family: Family) -> Iterator[Fault]:
    for name, check in (
        ("log_format", lambda: family.check(source)),
        ("container", lambda: family.in_container(source.container)),
    ):
        try:
            check()
        except ValueError as err:
            yield Fault((name,), f"{err}. Correct it; see docs/sources/.")
