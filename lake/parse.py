"""The parser: from an object's bytes to typed records, rejects and counts.

A pure function of bytes, source and constants; it does not know where it runs. Every physical
line ends up in exactly one of accepted, rejected, header and blank: lines that the fast typed
read did not vouch for are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake.cmcd import CmcdReader
from lake.engine import Engine
from lake.fastread import FastReader
from lake.formats.base import Family, Layout, Reject, Row, Skip
from lake.inflate import Buffer, chunks
from lake.lines import Lines, ends_of_parts
from lake.projection import NO_TIME, Projection, good_rows
from lake.protection import KEY_DESTROYED, Protection, as_logged
from lake.rejects import rejected_line
from lake.repeats import Repeats
from lake.rescue import Rescue
from lake.slices import taken
from lake.source import Source
from lake.totals import ParseTotals
from lake.unpacked import BYTE_ORDER_MARK, LongLine
from lake.urls import clean_names

_HEAD_BYTES = 1 << 18
#: with more doubtful lines than that it pays to read a chunk again, if they only lack a column
_MANY_DOUBTFUL = 200
#: why a good line is rejected that belongs to another time than its file
OUT_OF_BOUNDS = "time_out_of_range"

_Numbers = npt.NDArray[np.int64]
_NO_NUMBERS: _Numbers = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Constants:
    """What is the same for every row of a delivery."""

    delivery_id: str
    ingested_at: datetime
    producer: str | None
    not_before: datetime
    not_after: datetime
    published_at: datetime | None = None


@dataclass(frozen=True)
class _Read:
    """What the typed read of a segment vouches for; numbers of lines count from 1 and ascend.

    rows: the good rows, of the lines `numbers`. misplaced: lines that are good but for a time out
    of bounds. untimed: lines whose values have their types and whose time is none.
    """

    rows: pa.Table | None
    numbers: _Numbers
    misplaced: _Numbers
    untimed: _Numbers

    def doubtful(self, lines: int) -> _Numbers:
        """Return the other lines of a segment, which are judged one by one."""
        missing = np.ones(lines, dtype=np.bool_)
        missing[self.numbers - 1] = False
        missing[self.misplaced - 1] = False
        return np.flatnonzero(missing) + 1


class Parser:
    """Parses objects of one source, one after the other; owns an engine and a buffer.

    Not thread-safe: one parser a thread. Without protection, values stay as they are in the
    log: for looking at a file (weir inspect), never for writing.
    """

    def __init__(self, source: Source, family: Family, protection: Protection | None) -> None:
        self.source = source
        self.family = family = family.in_container(source.container)
        self._protection = protection
        self._allow = source.privacy.query_allow
        self._projection = Projection(source, family)
        self._engine = Engine(as_logged=protection is None)
        self._buffer = Buffer()
        self._reader = FastReader(self._engine, self._projection, family)
        self._rescue = Rescue(self._engine, self._projection)
        self._cmcd = CmcdReader(self._engine, clean_names if protection is not None else None)
        self._repeats = Repeats()
        #: columns that heads of files had in every line, and lines behind them had not
        self._missing: set[str] = set()
        #: rejected rows of a columnar object by number, where a person looks at it
        self.raws: dict[int, bytes] = {}
        self._schema = family.record.arrow
        self._weight = (100 / source.sampled_percent).quantize(Decimal("0.000001"))

    def close(self) -> None:
        """Free engine and buffer."""
        self._reader.close()
        self._engine.close()
        self._buffer.close()

    def parse(
        self,
        stream: BinaryIO,
        name: str,
        size: int,
        constants: Constants,
        emit: Callable[[pa.Table], None],
    ) -> ParseTotals:
        """Parse one object; hand accepted rows to `emit` chunk by chunk, return the counts.

        Raises RefusedError when the object is refused whole; what was emitted is then void.
        """
        totals = ParseTotals()
        self._repeats = Repeats()
        layout: Layout | None = None
        for found in chunks(stream, name, size, self._buffer, self.source.limits):
            if isinstance(found, LongLine):
                totals.count_long(found)
                continue
            for start, segment, lines in self._segments(self._buffer):
                head = segment.memory[: min(segment.size, _HEAD_BYTES)]
                layout = self.family.layout(head, self.source, layout).without(self._missing)
                totals.note_unknown(layout.unknown)
                totals.note_unknown(self.family.unknown_in(lines, layout))
                offset = found.byte_offset + start
                self._segment(segment, lines, layout, constants, totals, offset, emit)
                totals.require_mostly_good(self.source.limits)
        return totals

    def _segments(self, buffer: Buffer, at: int = 0) -> Iterator[tuple[int, Buffer, Lines]]:
        """Give the chunk, cut where its layout changes or its lines are too many.

        Each part with its offset in the chunk and its lines.
        """
        whole, size = buffer.memory, buffer.size
        lines = Lines(whole, size)
        ends = list(self.family.cuts(lines)) if lines.is_complete else ends_of_parts(whole, size)
        if not ends:
            yield at, buffer, lines
            return
        for start, end in pairwise((0, *ends, size)):
            with Buffer() as part:
                part.reserve(end - start)[: end - start] = whole[start:end]
                part.set_size(end - start)
                yield from self._segments(part, at + start)

    def _segment(
        self,
        segment: Buffer,
        lines: Lines,
        layout: Layout,
        constants: Constants,
        totals: ParseTotals,
        offset: int,
        emit: Callable[[pa.Table], None],
    ) -> None:
        """Account for every line of a segment: the fast read first, then the doubtful ones."""
        first = totals.lines
        read = self._fast(segment, lines, layout, constants)
        doubtful = read.doubtful(len(lines))
        if len(doubtful) > _MANY_DOUBTFUL and self._learns(lines, doubtful, layout):
            layout = layout.without(self._missing)
            read = self._fast(segment, lines, layout, constants)
            doubtful = read.doubtful(len(lines))
        totals.rejects += (
            rejected_line(lines, n, first, offset, OUT_OF_BOUNDS) for n in read.misplaced.tolist()
        )
        good = self._judged_lines(lines, doubtful, read.untimed, layout, totals, offset)
        parts = [] if read.rows is None else [with_lines(read.rows, read.numbers + first)]
        rescued, late = self._rescue.rows(good, layout, constants.not_before, constants.not_after)
        parts += [with_lines(r, r.column("rn").to_numpy() + first) for r in rescued]
        totals.rejects += (rejected_line(lines, n, first, offset, reason) for n, reason in late)
        totals.lines += len(lines)
        for part in parts:
            kept, lost = self._kept(part)
            for number in lost:
                at = number - first
                totals.rejects.append(rejected_line(lines, at, first, offset, KEY_DESTROYED))
            if kept.num_rows:
                totals.accepted += kept.num_rows
                emit(self._finish(kept, constants))

    def _judged_lines(
        self,
        lines: Lines,
        doubtful: _Numbers,
        untimed: _Numbers,
        layout: Layout,
        totals: ParseTotals,
        offset: int,
    ) -> list[tuple[int, Row]]:
        """Judge lines one by one; return those that are well-formed after all.

        untimed: lines that need not be computed again where the judge finds nothing else wrong.
        """
        good: list[tuple[int, Row]] = []
        without_time = set(untimed.tolist()) if self.family.judges_times_as_read else set()
        for number in doubtful.tolist():
            found = self.family.judge(lines.raw(number), layout)
            if isinstance(found, Row) and number in without_time:
                found = Reject(NO_TIME)
            if isinstance(found, Row):
                good.append((number, found))
            elif found is Skip.BLANK:
                totals.blank += 1
            elif found is Skip.HEADER:
                totals.header += 1
            elif isinstance(found, Reject):
                why = found.reason
                totals.rejects.append(rejected_line(lines, number, totals.lines, offset, why))
        return good

    def _learns(self, lines: Lines, doubtful: _Numbers, layout: Layout) -> bool:
        """Look at some doubtful lines; tell whether they lack what the head had in every line."""
        known = len(self._missing)
        for number in doubtful[:_MANY_DOUBTFUL].tolist():
            found = self.family.judge(lines.raw(number), layout)
            if isinstance(found, Row):
                self._missing.update(c for c in layout.seen if found.values[c] is None)
        return len(self._missing) > known

    def _fast(self, segment: Buffer, lines: Lines, layout: Layout, constants: Constants) -> _Read:
        """Read typed; return the good rows, and the lines of which only the time is wrong."""
        with lines.hidden(self.family.masked(lines, layout).tolist()):
            read = self._reader.read(segment, lines, layout)
        if read is None:
            return _Read(None, _NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS)
        rows, numbers = read
        found = good_rows(rows, constants.not_before, constants.not_after)
        kept, misplaced, untimed = found
        overruled = np.union1d(
            self.family.overruled(lines, layout, numbers[kept | misplaced | untimed]),
            lines.with_nul(),
        )
        if segment.memory[: len(BYTE_ORDER_MARK)] == BYTE_ORDER_MARK:
            overruled = np.append(overruled, 1)  # the reader skips it wherever a chunk begins
        if len(overruled):
            is_believed = ~np.isin(numbers, overruled)
            kept, misplaced, untimed = (flags & is_believed for flags in found)
        return _Read(taken(rows, kept), numbers[kept], numbers[misplaced], numbers[untimed])

    def _kept(self, rows: pa.Table) -> tuple[pa.Table, list[int]]:
        """Number equal rows that count as several; take out those whose key was destroyed.

        Returns the others and the lines taken out.
        """
        if self.family.record.counts_repeats:
            rows = self._repeats.numbered(rows)
        lost = self._protection.lost(rows) if self._protection else None
        if lost is None or not lost.any():
            return rows, []
        return rows.filter(pa.array(~lost)), rows.column("source_line").filter(lost).to_pylist()

    def _finish(self, table: pa.Table, constants: Constants) -> pa.Table:
        """Protect whom the rows name, add the constants, bring all into the record's schema."""
        n = table.num_rows
        table = self._cmcd.filled(table)
        table = self._protection.apply(table, self._allow) if self._protection else as_logged(table)
        fixed: dict[str, object] = {
            "source": self.source.name,
            "delivery_id": constants.delivery_id,
            "parser_version": self.family.parser_version,
            "ingested_at": constants.ingested_at,
            "producer": constants.producer,
            "published_at": constants.published_at,
            "cdn": self.source.cdn or self.family.cdn or self.source.name,
            "sample_weight": self._weight,
        }
        arrays = []
        for f in self._schema:
            if f.name in table.column_names:
                arrays.append(table.column(f.name).cast(f.type))
            else:
                arrays.append(pa.repeat(pa.scalar(fixed.get(f.name), f.type), n))
        return pa.Table.from_arrays(arrays, schema=self._schema)


def with_lines(table: pa.Table, numbers: _Numbers) -> pa.Table:
    """Return rows with their physical line in place of the engine's row number."""
    return table.drop_columns(
        [c for c in ("rn", "is_ok") if c in table.column_names]
    ).append_column("source_line", pa.array(numbers, pa.int64()))
