"""A source: one feed, described by one YAML file.

Belongs here: what a source file may say, and the error that names file, field and remedy. How a
format is parsed lives in lake/formats; where files are listed in lake/landing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake.dialect import Dialect
from lake.document import Document
from lake.field_map import FieldMap
from lake.limits import Limits
from lake.publication import Duration, Published
from lake.source_file import Fault, SourceError, faults_of, read_document
from lake.source_values import Below, Customer, Host, Length

_EXAMPLES = "See lake/sources/ for complete examples."

#: event times outside this range are nonsense whatever the delivery says (half-open)
ABSOLUTE_RANGE = (datetime(2005, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Period(_Strict):
    """The nominal period that an object's name declares, and how far events may stray from it.

    An event is in time when start - early <= event_time < end + late.
    """

    pattern: str
    start_format: str
    #: of the group (?P<published>...), where the name says when the object was published, in UTC
    published_format: str | None = None
    length: Length | None = None
    early: Duration = timedelta(0)
    late: Duration = timedelta(0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as err:
            raise ValueError(
                f"expected a regular expression in pattern, found {self.pattern!r}: {err}; mend it"
            ) from err
        if "start" not in groups:
            raise ValueError(
                "expected a group (?P<start>...) in pattern, found "
                f"{sorted(groups) or 'none'}; put it around the start of the period"
            )
        if "end" not in groups and self.length is None:
            raise ValueError(
                "expected length, or a group (?P<end>...) in pattern, found neither; add length: 1h"
            )
        if ("published" in groups) != (self.published_format is not None):
            raise ValueError(
                "expected both a group (?P<published>...) and published_format, or neither, "
                "found one of them; add the other"
            )
        try:
            datetime.strptime(datetime(2026, 1, 2, tzinfo=UTC).strftime(self.start_format),  # noqa: DTZ007
                              self.start_format)  # fmt: skip
        except ValueError as err:
            raise ValueError(
                "expected directives of strptime in start_format, found "
                f"{self.start_format!r}: {err}; e.g. %Y-%m-%d-%H"
            ) from err
        return self


class Cadence(_Strict):
    """How often a delivery is expected, and how long after its period it may take."""

    every: Length
    within: Duration


class Privacy(_Strict):
    """What may be kept of a query string; everything else is cut before the first write."""

    query_allow: tuple[str, ...] = ()


class Ranges(_Strict):
    """Where the mean and the median of a column lie, in the column's unit; ends included."""

    mean: tuple[float, float] | None = None
    p50: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("mean", "p50"):
            found = getattr(self, name)
            if found is not None and not 0 <= found[0] <= found[1] < float("inf"):
                raise ValueError(
                    f"expected {name}: [lowest, highest] of at least 0, found {list(found)}; "
                    "put the smaller first"
                )
        return self


class Expected(_Strict):
    """Declared ranges by canonical column: a change of unit leaves them, and is held."""

    duration_ms: Ranges | None = None
    ttfb_ms: Ranges | None = None
    origin_ttfb_ms: Ranges | None = None
    origin_duration_ms: Ranges | None = None
    bytes_out_total: Ranges | None = None
    bytes_out_body: Ranges | None = None
    bytes_in: Ranges | None = None

    def given(self) -> dict[str, Ranges]:
        """Return the ranges that are declared, by column."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: ranges for name, ranges in found.items() if ranges is not None}


class LandingSpec(_Strict):
    """Which objects belong to the source."""

    prefix: Below
    suffix: str = ""


@dataclass(frozen=True)
class NameFacts:
    """What an object's name declares; None where it declares nothing. The period is half-open."""

    period_start: datetime | None
    period_end: datetime | None
    producer: str | None
    not_before: datetime
    not_after: datetime
    published_at: datetime | None = None


class Source(_Strict):
    """One feed: where it lands, its format, period, customers, privacy and owner."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    description: str
    owner: str
    format: str
    #: what its records come in, where the format leaves a choice: ndjson, csv, parquet
    container: str | None = None
    landing: LandingSpec
    period: Period | None = None
    cadence: Cadence | None = None
    #: who delivered, where the format cannot say (a fleet of one's own); else the format's vendor
    cdn: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    #: share of requests that the vendor logs, per cent; each row stands for 100 / this many
    sampled_percent: Annotated[Decimal, Field(gt=0, le=100)] = Decimal(100)
    #: declared column order of a log without a header
    fields: tuple[str, ...] = ()
    #: which fields become which columns, for families that take a map; over the family's own
    map: FieldMap = FieldMap()
    #: what stands before the object of a line: nothing, or the header of syslog
    prefix: Literal["none", "syslog"] | None = None
    #: how the lines of a delimited log are written
    dialect: Dialect = Dialect()
    #: format string of one's own server: log_format of nginx, LogFormat of Apache, varnishncsa -F
    log_format: str = ""
    #: where the records stand, of a feed whose objects are whole JSON documents
    document: Document | None = None
    #: how a vendor publishes counters, invoices, rosters or capacities; unused by logs
    published: Published = Published()
    #: host -> customer, exact but for case
    customers: Mapping[Host, Customer] = Field(default_factory=dict)
    privacy: Privacy = Privacy()
    #: where the values of a delivery lie, as its owner knows them: else it is held
    expect: Expected = Expected()
    #: what one object may cost
    limits: Limits = Limits()

    @cached_property
    def _period_regex(self) -> re.Pattern[str] | None:
        return re.compile(self.period.pattern) if self.period else None

    def name_facts(self, key: str) -> NameFacts:
        """Read period and producer out of an object's name."""
        low, high = ABSOLUTE_RANGE
        if self.period is None or self._period_regex is None:
            return NameFacts(None, None, None, low, high)
        found = self._period_regex.search(key)
        if found is None:
            return NameFacts(None, None, None, low, high)
        groups = found.groupdict()
        try:
            start = datetime.strptime(groups["start"], self.period.start_format)  # noqa: DTZ007
            end_text = groups.get("end")
            start = start.replace(tzinfo=UTC)
            if end_text is not None:
                end = datetime.strptime(end_text, self.period.start_format).replace(tzinfo=UTC)
            else:
                end = start + (self.period.length or timedelta(0))
            published = self._published_at(groups)
            bounds = max(low, start - self.period.early), min(high, end + self.period.late)
        except (ValueError, OverflowError):  # digits of the right shape that are no date
            return NameFacts(None, None, groups.get("producer"), low, high)
        if end <= start or bounds[1] <= bounds[0]:  # a period that nothing can be in is none
            return NameFacts(None, None, groups.get("producer"), low, high)
        return NameFacts(start, end, groups.get("producer"), *bounds, published)

    def _published_at(self, groups: Mapping[str, str | None]) -> datetime | None:
        text = groups.get("published")
        if text is None or self.period is None or self.period.published_format is None:
            return None
        found = datetime.strptime(text, self.period.published_format)  # noqa: DTZ007
        return found.replace(tzinfo=UTC)


def load_source(path: Path) -> Source:
    """Load one source file; raises SourceError with file, line, field and remedy."""
    document = read_document(path)
    if not isinstance(document.value, dict):
        found = "nothing" if document.value is None else type(document.value).__name__
        said = f"expected `name: ...` and the other fields, found {found}. {_EXAMPLES}"
        raise document.errors([Fault((), said)])
    from lake.source_faults import faults_with_its_format  # it knows the formats, they sources

    try:
        source = Source.model_validate(document.value)
    except ValidationError as err:
        raise document.errors(faults_of(err, Source)) from err
    faults = list(faults_with_its_format(source))
    if faults:
        raise document.errors(faults)
    return source


def load_sources(folder: Path) -> dict[str, Source]:
    """Load every source file of a folder, by name; raises SourceError as load_source."""
    from lake import source_folder  # it knows the formats, they sources

    source_folder.require_read(folder)
    sources: dict[str, Source] = {}
    paths: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        source = load_source(path)
        source_folder.require_own_name(path, source.name, paths)
        sources[source.name], paths[source.name] = source, path
    if not sources:
        raise SourceError(f"{folder}: no source files (*.yaml). Point WEIR_SOURCES at a folder.")
    source_folder.require_apart(sources, paths)
    return sources


def source_schema() -> dict[str, object]:
    """Return the JSON schema of a source file, for editors."""
    schema = Source.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Weir source file",
    }


__all__ = [
    "ABSOLUTE_RANGE",
    "Cadence",
    "LandingSpec",
    "NameFacts",
    "Period",
    "Privacy",
    "Source",
    "SourceError",
    "load_source",
    "load_sources",
    "source_schema",
]
