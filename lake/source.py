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
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake.limits import Limits
from lake.publication import Duration, Published

#: event times outside this range are nonsense whatever the delivery says (half-open)
ABSOLUTE_RANGE = (datetime(2005, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class SourceError(ValueError):
    """A source file that cannot be used: says which, where, what was expected and the remedy."""


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
    length: Duration | None = None
    early: Duration = timedelta(0)
    late: Duration = timedelta(0)

    @model_validator(mode="after")
    def _check(self) -> Period:
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as err:
            raise ValueError(f"period.pattern is no regular expression: {err}") from err
        if "start" not in groups:
            raise ValueError("period.pattern needs a group (?P<start>...)")
        if "end" not in groups and self.length is None:
            raise ValueError("period needs a length, or a group (?P<end>...) in its pattern")
        if ("published" in groups) != (self.published_format is not None):
            raise ValueError(
                "period needs both, a group (?P<published>...) and published_format, or neither"
            )
        return self


class Cadence(_Strict):
    """How often a delivery is expected, and how long after its period it may take."""

    every: Duration
    within: Duration


class Privacy(_Strict):
    """What may be kept of a query string; everything else is cut before the first write."""

    query_allow: tuple[str, ...] = ()


class LandingSpec(_Strict):
    """Which objects belong to the source."""

    prefix: str
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
    #: format string of one's own server: log_format of nginx, LogFormat of Apache, varnishncsa -F
    log_format: str = ""
    #: how a vendor publishes counters, invoices, rosters or capacities; unused by logs
    published: Published = Published()
    #: host -> customer, exact
    customers: Mapping[str, str] = Field(default_factory=dict)
    privacy: Privacy = Privacy()
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
    """Load one source file; raises SourceError with file, field and remedy."""
    from lake.formats import FAMILIES  # the formats know sources

    try:
        source = Source.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as err:
        raise SourceError(f"{path.name}: not UTF-8: {err}. Save the file as UTF-8.") from err
    except yaml.YAMLError as err:
        raise SourceError(f"{path.name}: not YAML: {err}. Mend the file.") from err
    except ValidationError as err:
        found = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'file'}: {e['msg']}" for e in err.errors()
        )
        raise SourceError(
            f"{path.name}: {found}. See lake/sources/ for complete examples."
        ) from err
    if source.format not in FAMILIES:
        raise SourceError(
            f"{path.name}: format: {source.format!r} is not known. "
            f"Use one of {', '.join(sorted(FAMILIES))}."
        )
    try:
        FAMILIES[source.format].check(source)
    except ValueError as err:
        raise SourceError(f"{path.name}: log_format: {err}") from err
    try:
        FAMILIES[source.format].in_container(source.container)
    except ValueError as err:
        raise SourceError(f"{path.name}: container: {err}. Use one of those.") from err
    return source


def load_sources(folder: Path) -> dict[str, Source]:
    """Load every source file of a folder, by name."""
    sources: dict[str, Source] = {}
    for path in sorted(folder.glob("*.yaml")):
        source = load_source(path)
        if source.name in sources:
            raise SourceError(
                f"{path.name}: source {source.name!r} is defined twice. Rename one of them."
            )
        sources[source.name] = source
    if not sources:
        raise SourceError(f"{folder}: no source files (*.yaml). Point WEIR_SOURCES at a folder.")
    return sources
