"""Paths into JSON objects: keys joined by `/`, as declared fields name what is inside of others.

Belongs here: taking an object apart along declared paths. Does not: types (lake/formats/ndjson).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any


def parents_of(names: Iterable[str]) -> frozenset[str]:
    """Return the paths of the objects that declared paths lead through."""
    steps = (name.split("/") for name in names)
    return frozenset("/".join(s[:i]) for s in steps for i in range(1, len(s)))


def leaves(
    found: Mapping[str, Any], parents: Collection[str], at: str = ""
) -> Iterator[tuple[str, Any]]:
    """Give path and value of all that an object holds, declared objects taken apart."""
    for key, value in found.items():
        path = f"{at}{key}"
        if path not in parents:
            yield path, value
        elif isinstance(value, dict):
            yield from leaves(value, parents, f"{path}/")


def value_at(found: object, path: Iterable[str]) -> object:
    """Return what stands at a path of keys; None where there is no way."""
    for key in path:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found


def undeclared(paths: Iterable[str], declared: Collection[str]) -> set[str]:
    """Return the paths that are not declared, as names: dots where an object is declared."""
    parents = sorted(parents_of(declared), key=len, reverse=True)
    names = set()
    for path in set(paths) - set(declared):
        parent = next((p for p in parents if path.startswith(f"{p}/")), None)
        names.add(
            path if parent is None else parent.replace("/", ".") + "." + path[len(parent) + 1 :]
        )
    return names
