"""Lines and files of every family: a base line with some of its values changed.

Belongs here: what makes a line. Does not: the base lines, which are data (bases/,
access_lines.yaml, counter_bases.yaml), nor the source that declares them (feeds.py).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lake.formats import FAMILIES

COUNTER_BASES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "counter_bases.yaml").read_text()
)
#: base lines of access logs, by family
ACCESS: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("access_lines.yaml").read_text()
)


def access_line(family: str, changes: Mapping[str, Any]) -> bytes:
    """Return a line of an access log: its base with some variables changed."""
    base = ACCESS[family]
    values = {**base["values"], **{k: str(v) for k, v in changes.items()}}
    assert set(values) == set(base["values"])
    names = "|".join(re.escape(n) for n in sorted(values, key=len, reverse=True))
    line = re.sub(names, lambda found: values[found[0]], base.get("format") or base["line"])
    return line.encode()


def csv_line(cells: Iterable[str]) -> bytes:
    """Return one line of a CSV, quoted where it must be, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Base:
    """The line that cases of a family change: a file in bases/, or in counter_bases.yaml."""

    values: Mapping[str, Any]
    #: path of the field that names a line
    id: str
    #: of columns; an object where it is None
    separator: str | None = None
    header: bytes = b""


BASES = {
    **{name: Base(found["base"], found["numbered"]) for name, found in COUNTER_BASES.items()},
    **{
        path.stem: Base(**{**found, "header": found.get("header", "").encode()})
        for path in sorted((Path(__file__).parent / "bases").glob("*.yaml"))
        for found in [yaml.safe_load(path.read_text())]
    },
}


def changed(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return values with another one at a path of keys joined by `/`."""
    key, _, rest = path.partition("/")
    return {**values, key: changed(values.get(key) or {}, rest, value) if rest else value}


def without(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return values without what is at a path."""
    key, _, rest = path.partition("/")
    if rest:
        return {**values, key: without(values[key], rest)}
    return {k: v for k, v in values.items() if k != key}


@dataclass(frozen=True)
class Lines:
    """Makes lines and files of each family out of a base record and changes."""

    families: tuple[str, ...] = tuple(FAMILIES)

    @staticmethod
    def header(family: str) -> bytes:
        if COUNTER_BASES.get(family, {}).get("csv"):
            return csv_line(COUNTER_BASES[family]["base"]) + b"\n"
        return BASES[family].header if family in BASES else b""

    @staticmethod
    def line(
        family: str, changes: Mapping[str, Any] | None = None, drop: Sequence[str] = ()
    ) -> bytes:
        if family in ACCESS:
            return access_line(family, changes or {})
        base = BASES[family]
        values = dict(base.values)
        for path, value in (changes or {}).items():
            values = changed(values, path, value)
        for path in drop:
            values = without(values, path)
        if base.separator is not None:
            return base.separator.join(str(v) for v in values.values()).encode()
        if COUNTER_BASES.get(family, {}).get("csv"):
            return csv_line("" if v is None else str(v) for v in values.values())
        return json.dumps(values, separators=(",", ":")).encode()

    def numbered(self, family: str, n: int) -> bytes:
        if family in ACCESS:
            return self.line(family, {ACCESS[family]["numbered"]: 7000 + n})
        return self.line(family, {BASES[family].id: f"n-{n}"})

    def file(self, family: str, lines: Sequence[bytes]) -> bytes:
        return self.header(family) + b"".join(line + b"\n" for line in lines)
