"""Staging: one delivery becomes uncommitted data files, its counts and its rejects.

Nothing here is visible to a reader. A staged file that is never committed is an orphan for the
sweep; a verdict that holds the delivery deletes its files at once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from pyiceberg.table import Table

from lake.arrow_schema import arrow_schema
from lake.audit import DeliverySubject
from lake.columnar import parser_of
from lake.deliveries import Delivery, HourRows, lateness, with_facts
from lake.formats import family_of
from lake.formats.base import Family
from lake.formats.detection import family_for
from lake.landing import GoneError, LandedObject, Landing
from lake.parse import Constants, Parser
from lake.protection import Protection, has_addresses
from lake.refused import RefusedError
from lake.rejects import RejectedLine
from lake.source import Source
from lake.totals import ParseTotals
from lake.writing import HourlyWriter, StagedFile, delete_files

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Staged:
    """A delivery read and typed, not yet judged; `delivery.verdict` is still open.

    is_twin: not read, because the same content passed its audit before; it has no files.
    """

    delivery: Delivery
    files: tuple[StagedFile, ...]
    rejects: tuple[RejectedLine, ...]
    reject_reasons: Mapping[str, int]
    is_twin: bool = False

    @property
    def must_be_read(self) -> bool:
        """Tell whether its rows have to be read (again) before they can be committed."""
        return not self.files and bool(self.delivery.accepted)

    def without_files(self) -> Staged:
        """Return it as it is after its files were deleted."""
        return replace(self, files=())

    def subject(self) -> DeliverySubject:
        """Return what an audit sees of it."""
        d = self.delivery
        return DeliverySubject(
            delivery_id=d.delivery_id,
            source=d.source,
            table_name=d.table_name,
            key=d.key,
            files=tuple(f.uri for f in self.files),
            lines=d.lines or 0,
            accepted=d.accepted or 0,
            rejected=d.rejected or 0,
            header=d.header or 0,
            blank=d.blank or 0,
            reject_reasons=self.reject_reasons,
            period_start=d.period_start,
            period_end=d.period_end,
        )


class Stager:
    """Stages deliveries of one bronze table, several at a time, one parser a thread."""

    def __init__(
        self,
        landing: Landing,
        table: Table,
        sources: Mapping[str, Source],
        protection: Protection,
        now: datetime,
        workers: int = 2,
    ) -> None:
        self._landing = landing
        self._table = table
        self._schema = arrow_schema(table.schema())
        self._sources = sources
        self._protection = protection
        self._now = now
        self._workers = workers
        self._local = threading.local()
        self._parsers: list[Parser] = []
        #: listed, but not there (any more) as that version when it was read
        self.vanished: list[LandedObject] = []

    def __enter__(self) -> Stager:
        return self

    def __exit__(self, *_: object) -> None:
        for parser in self._parsers:
            parser.close()

    def stage_all(
        self,
        objects: Sequence[tuple[Source, LandedObject]],
        known: Callable[[str], Delivery | None],
        done: Callable[[Staged], None] = lambda _: None,
    ) -> list[Staged]:
        """Stage objects in order; one that vanished is left for the next listing.

        known(content_id): a delivery of the same content that passed before, so that this one
        need not be parsed. An error in one leaves no file of the others.
        """
        results: list[Staged] = []
        with ThreadPoolExecutor(self._workers) as pool:
            futures = [pool.submit(self._try_stage, *o, known) for o in objects]
            try:
                for future in futures:
                    staged = future.result()
                    if staged is not None:
                        results.append(staged)
                        done(staged)
            except BaseException:
                for future in futures:
                    future.cancel()
                wait(futures)
                finished = [f for f in futures if not f.cancelled() and f.exception() is None]
                self.discard(s for f in finished if (s := f.result()) is not None)
                raise
        return results

    def discard(self, staged: Iterable[Staged]) -> None:
        """Delete the files of deliveries that no commit can have referenced."""
        for s in staged:
            delete_files(self._table, [f.uri for f in s.files])

    def _try_stage(
        self, source: Source, found: LandedObject, known: Callable[[str], Delivery | None]
    ) -> Staged | None:
        try:
            return self.stage(source, found, known)
        except GoneError as err:
            _LOG.warning("%s; whatever is there now is taken up by the next listing", err)
            self.vanished.append(found)
            return None

    def stage(
        self, source: Source, found: LandedObject, known: Callable[[str], Delivery | None]
    ) -> Staged:
        """Read one object into uncommitted files; a refused one has a reason and no lines."""
        facts = source.name_facts(found.key)
        with self._landing.open(found) as stream:
            digest = _sha256(stream)
            family = family_of(source.format)
            blank = self._blank(source, found, digest)
            try:
                stream.require_intact()
                family = family_for(source, stream, found.key)
            except RefusedError as err:
                return Staged(_refused(blank, err), (), (), {})
            blank = replace(blank, parser_version=family.parser_version)
            twin = known(blank.content_id)
            if twin is not None:
                return Staged(with_facts(blank, twin), (), (), {}, is_twin=True)
            constants = Constants(
                blank.delivery_id,
                self._now,
                facts.producer,
                facts.not_before,
                facts.not_after,
                facts.published_at,
            )
            writer = HourlyWriter(self._table, blank.delivery_id, self._schema)
            try:
                totals = self._parser(source, family).parse(
                    stream, found.key, found.size_bytes, constants, writer.write
                )
                geo = self._protection.geo_version if has_addresses(family.record) else None
                return _staged(replace(blank, geo_version=geo), totals, writer)
            except RefusedError as err:
                writer.discard()
                return Staged(_refused(blank, err), (), (), {})
            except BaseException:
                writer.discard()
                raise

    def _parser(self, source: Source, family: Family) -> Parser:
        parsers: dict[tuple[str, str], Parser] = self._local.__dict__.setdefault("parsers", {})
        known = source.name, family.name
        if known not in parsers:
            parsers[known] = parser_of(source, family, self._protection)
            self._parsers.append(parsers[known])
        return parsers[known]

    def _blank(self, source: Source, found: LandedObject, digest: str) -> Delivery:
        facts = source.name_facts(found.key)
        family = family_of(source.format)
        return Delivery(
            delivery_id=found.delivery_id(source.name),
            change_no=0,
            changed_at=self._now,
            batch_id="",
            source=source.name,
            table_name=family.record.identifier,
            key=found.key,
            etag=found.etag,
            size_bytes=found.size_bytes,
            last_modified=found.last_modified,
            state="rejected",
            verdict="passed",
            reason=None,
            other_delivery_id=None,
            content_id=content_id(source, found.key, digest),
            content_sha256=digest,
            parser_version=family.parser_version,
            period_start=facts.period_start,
            period_end=facts.period_end,
            lines=None,
            accepted=None,
            rejected=None,
            header=None,
            blank=None,
            event_time_min=None,
            event_time_max=None,
            lateness_s=None,
            hours=(),
        )


def content_id(source: Source, key: str, sha256: str) -> str:
    """Return what makes two objects the same content: feed, bytes, and what the name declares.

    Not the parser: the same bytes again are no news after it changed. `weir replay` reads again.
    """
    facts = source.name_facts(key)
    declared: tuple[object, ...] = (facts.period_start, facts.period_end, facts.producer)
    if facts.published_at is not None:
        declared = (*declared, facts.published_at)
    return hashlib.sha256(repr((source.name, sha256, declared)).encode()).hexdigest()[:32]


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    stream.seek(0)
    return digest


def _refused(blank: Delivery, err: RefusedError) -> Delivery:
    return replace(blank, verdict="rejected", reason=str(err))


def _staged(blank: Delivery, totals: ParseTotals, writer: HourlyWriter) -> Staged:
    files = writer.close()
    hours = tuple(HourRows(f.hour, f.rows) for f in sorted(files, key=lambda f: f.hour))
    found = replace(
        blank,
        lines=totals.lines,
        accepted=totals.accepted,
        rejected=totals.rejected,
        header=totals.header,
        blank=totals.blank,
        event_time_min=writer.event_min,
        event_time_max=writer.event_max,
        hours=hours,
        unknown_fields=tuple(sorted(totals.unknown_fields)),
    )
    delivery = replace(found, lateness_s=lateness(blank, found))
    return Staged(delivery, files, tuple(totals.rejects), totals.reasons())
