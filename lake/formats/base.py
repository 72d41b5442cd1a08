"""What a log family is: the contract between a format and the parser that drives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from lake.lines import Lines
from lake.reads import quote_literal
from lake.records import Record
from lake.source import Source
from lake.source_file import Fault


class Skip(Enum):
    """A line that carries no record and is no fault."""

    BLANK = "blank"
    HEADER = "header"


@dataclass(frozen=True)
class Reject:
    """A line that is not accepted, and why (a word of the format's own list)."""

    reason: str


@dataclass(frozen=True)
class Row:
    """A line that is well-formed after all: its raw columns as text.

    The engine casts them to the layout's types, so that a line means the same on both ways; what
    it cannot cast is rejected then.
    """

    values: Mapping[str, str | None]


Judgement = Row | Reject | Skip


@dataclass(frozen=True)
class Look:
    """How much a file looks like a format: 1 is its header, 0.5 what others may write too.

    reason: what was seen, in words and names of the format; never text of the log.
    """

    score: float
    reason: str


@dataclass(frozen=True)
class Layout:
    """How one file is laid out: its raw columns in order, and what else its header says.

    columns: raw name -> DuckDB type; names are the family's own, never text out of a log.
    required: neither null nor empty in a good row.
    seen: those of `required` that the format does without, but each line of the head had.
    as_text: numbers read as text because they may be missing; raw name -> DuckDB type to try.
    header_lines: lines to skip before the first row.
    unknown: names the file gives that the family does not know; their values are not kept.
    nulls: texts that stand for nothing. delimiter: between the fields of a line of text.
    header: the names of a header line as the file has them, in its order.
    """

    columns: Mapping[str, str]
    required: tuple[str, ...]
    as_text: Mapping[str, str] = field(default_factory=dict)
    header_lines: int = 0
    unknown: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)
    delimiter: str = "\t"
    header: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()

    def without(self, names: Collection[str]) -> Layout:
        """Return the layout that expects some columns, of those in `seen`, in no line."""
        missing = self.seen.intersection(names)
        if not missing:
            return self
        return replace(
            self,
            columns={c: "VARCHAR" if c in missing else t for c, t in self.columns.items()},
            required=tuple(c for c in self.required if c not in missing),
            as_text={**self.as_text, **{c: self.columns[c] for c in missing}},
            seen=self.seen - missing,
        )

    def valid_sql(self) -> str:
        """Return the predicate that a good raw row fulfils."""
        terms = [
            f'coalesce("{c}" not in ({self.nulls_sql()}), false)'
            if self.columns[c] == "VARCHAR"
            else _is_number(f'"{c}"', self.columns[c])
            for c in self.required
        ]
        return " and ".join(terms + self._tried()) or "true"

    def nulls_sql(self) -> str:
        """Return what stands for nothing as a list of SQL literals."""
        return ", ".join(quote_literal(n) for n in self.nulls)

    def _tried(self) -> list[str]:
        nulls = self.nulls_sql()
        tried = {c: _is_number(f'try_cast("{c}" as {t})', t) for c, t in self.as_text.items()}
        return [f'("{c}" is null or "{c}" in ({nulls}) or {is_})' for c, is_ in tried.items()]

    def readable_sql(self) -> str:
        """Return the predicate that a row the judge passed fulfils: its numbers are numbers.

        What is required here is only what the head of this file had in every line; what the
        format requires, the judge has looked at.
        """
        terms = [
            f'("{c}" is null or ' + _is_number(f'"{c}"', self.columns[c]) + ")"
            for c in self.required
            if self.columns[c] != "VARCHAR"
        ]
        return " and ".join(terms + self._tried()) or "true"


def _is_number(value: str, kind: str) -> str:
    """Return the predicate of a value that can be counted with: no null, no NaN, no infinity."""
    return f"coalesce(isfinite({value}), false)" if kind == "DOUBLE" else f"{value} is not null"


class Family(ABC):
    """One log format: layout, reader, judge and canonical SQL."""

    #: name in source files
    name: str
    #: counts up with every change of meaning; part of every row and hour version
    version: int
    record: Record
    #: vendor, for cdn feeds
    cdn: str | None = None
    #: column of the raw row that holds a user id to be HMAC-ed into user_key
    user_column: str | None = None
    #: what its records may come in, by the source's `container`; the first where it says nothing
    containers: tuple[str, ...] = ("lines",)
    #: a source of this format may give a field map
    takes_map: bool = False
    #: what stands before a record may be declared: `prefix`
    takes_prefix: bool = False
    #: its records may stand in one JSON document: `document`
    takes_document: bool = False
    #: how its lines are delimited may be declared: `dialect`
    takes_dialect: bool = False
    #: the judge leaves the values of times as the typed read has them: no time there is no time
    judges_times_as_read: bool = False
    #: regular expression of the names that the vendor gives its files; a hint for detection
    file_names: str | None = None

    def faults_of(self, source: Source) -> Iterable[Fault]:  # noqa: ARG002
        """Give what a source says that does not go together in this format."""
        return ()

    def missing_in_map(self, source: Source) -> Sequence[str]:  # noqa: ARG002
        """Return the columns that the format cannot do without and no rule gives."""
        return ()

    def looks_like(self, head: bytes) -> Look | None:  # noqa: ARG002
        """Return why the beginning of a file (unpacked) looks like this format; None: it does not.

        A pure function; cheap, as every family is asked. See lake/formats/detection.py.
        """
        return None

    def fields_in(self, head: bytes) -> Sequence[str]:  # noqa: ARG002
        """Return the `fields` that a log without a header seems to have, for a draft; else none."""
        return ()

    @property
    def parser_version(self) -> str:
        """Return family/version."""
        return f"{self.name}/{self.version}"

    def check(self, source: Source) -> None:
        """Raise ValueError, with the remedy, for what a source says and the family cannot read."""
        if source.log_format:
            raise ValueError(
                f"format {self.name} has no format string; found log_format. Remove it."
            )

    def in_container(self, container: str | None) -> Family:
        """Return the family as it is read out of a container; raises ValueError with those known.

        container: None for the family's own.
        """
        if container is not None and container not in self.containers:
            known = ", ".join(self.containers)
            raise ValueError(f"{self.name} comes in {known}, not in {container!r}")
        return self

    @abstractmethod
    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:
        """Read the layout from the first bytes of a segment; raises RefusedError.

        previous: the layout in force before, for a segment that begins without a header.
        """

    def cuts(self, lines: Lines) -> Sequence[int]:  # noqa: ARG002
        """Return offsets at which a new layout begins (after a header in mid-file)."""
        return ()

    @abstractmethod
    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return a SELECT of `rn` (1, 2, ... of the reader's rows) and the raw columns."""

    def line_key_sql(self, layout: Layout) -> str | None:  # noqa: ARG002
        """Return the SQL of a row's key over its `line` (BLOB), where the whole line is the key.

        The typed read has no line then, nor what stands before the object in it (`heads`). It may
        have keys of its own (`row_key` of `fast_sql`): then this one is for rows without.
        """
        return None

    def heads(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """Return of each line how many bytes the typed read must not see."""
        return np.zeros(len(lines), dtype=np.int64)

    def fast_sql(
        self, layout: Layout, source: Source
    ) -> tuple[Mapping[str, str], Mapping[str, str], str]:
        """Return derived and canonical SQL and the predicate of a good row of `read_sql`."""
        derived, canonical = self.derived_sql(layout, source), self.canonical_sql(layout, source)
        return derived, canonical, layout.valid_sql()

    @abstractmethod
    def line_numbers_sql(self) -> str | None:
        """Return a query of the physical lines the reader left out, or None if it left none."""

    def masked(self, lines: Lines, layout: Layout) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """Return the lines that the reader must not see: they would take others along."""
        return np.empty(0, dtype=np.int64)

    def overruled(
        self,
        lines: Lines,  # noqa: ARG002
        layout: Layout,  # noqa: ARG002
        numbers: npt.NDArray[np.int64],  # noqa: ARG002
    ) -> npt.NDArray[np.int64]:
        """Return the lines that the reader accepted and the judge must see all the same."""
        return np.empty(0, dtype=np.int64)

    def unknown_fields(self, lines: Lines) -> Iterable[str]:  # noqa: ARG002
        """Return names of fields that lines of a segment give and the family does not know.

        For names that stand in lines; those of a header are in the layout.
        """
        return ()

    def unknown_in(self, lines: Lines, layout: Layout) -> Iterable[str]:  # noqa: ARG002
        """Do the same where what is known depends on the layout."""
        return self.unknown_fields(lines)

    @abstractmethod
    def judge(self, line: bytes, layout: Layout) -> Judgement:
        """Judge one line by itself, strictly; never raises for any bytes."""

    @abstractmethod
    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return SQL expressions over raw columns that canonical_sql reads by name.

        Must have event_time: null where the line has none.
        """

    @abstractmethod
    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:
        """Return SQL expressions over raw and derived columns, by canonical column.

        Columns of the record without an expression are null, or constants of the delivery.
        """
