"""A field map: which fields of a vendor's log become which canonical columns, in which units.

Belongs here: what the `map` of a source file may say. Does not: how a zone, a time or a pattern is
written (lake/field_words.py), the SQL that the map becomes (lake/formats/mapped.py) and what a line
of the log looks like (lake/formats/json_map.py).
A path names a field: `status`, `http.protocol`; a key that holds a dot stands in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lake.field_words import re2_pattern, time_format, zone_name

_PATH = re.compile(r'(?:"[^"]+"|[^."]+)(?:\.(?:"[^"]+"|[^."]+))*')
_KEY = re.compile(r'"([^"]+)"|([^."]+)')

Scalar = str | bool | int | float
CacheWord = Literal[
    "HIT", "STALE", "REVALIDATED", "SHIELD_HIT", "MISS", "BYPASS", "ERROR", "SYNTH", "UNKNOWN"
]
TimeUnit = Literal["iso", "s", "ms", "us", "ns", "auto"]
DurationUnit = Literal["ns", "us", "ms", "s", "min", "h"]
ByteUnit = Literal["B", "kB", "KB", "KiB", "MB", "MiB", "GB", "GiB", "bit", "kbit"]


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(
            f"expected a field like status or http.protocol, found {text!r}; "
            "put a key that holds a dot into double quotes: '\"a.b\".c'"
        )
    return text


@cache
def keys_of(path: str) -> tuple[str, ...]:
    """Return the keys of a path, outermost first."""
    return tuple(quoted or plain for quoted, plain in _KEY.findall(path))


def path_of(keys: Iterable[str]) -> str:
    """Return the path of some keys."""
    return ".".join(f'"{k}"' if "." in k else k for k in keys)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Path = Annotated[str, AfterValidator(_path)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
Pattern = Annotated[str, AfterValidator(re2_pattern)]


class Rule(BaseModel):
    """Where a value comes from: the first field that has one, else what `otherwise` says."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: Paths = Field(default=(), alias="from")
    #: the value is what its first group matches, or the whole match; none where it does not match
    pattern: Pattern | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"from": value} if isinstance(value, str | list | tuple) else value

    @model_validator(mode="after")
    def _has_a_value(self) -> Self:
        given = ("from_", *self._others())
        if not any(getattr(self, name) not in ((), None) for name in given):
            words = " or ".join(name.rstrip("_") for name in given)
            raise ValueError(f"expected {words}, found none of them; name the field of the log")
        return self

    @classmethod
    def _others(cls) -> tuple[str, ...]:
        return tuple(n for n in ("sum", "join", "const") if n in cls.model_fields)

    def paths(self) -> Iterator[str]:
        """Give every field that the rule reads."""
        yield from self.from_
        for name in ("sum", "join"):
            yield from getattr(self, name, ())


class TimeRule(Rule):
    """An instant: text (iso, or a format of strptime) or a number since 1970 in a unit."""

    #: parts of the text in their order, a space between them: a date and a time of day
    join: Paths = ()
    unit: TimeUnit | None = None
    format: Annotated[str, AfterValidator(time_format)] | None = None
    #: of text that names no zone itself
    zone: Annotated[str, AfterValidator(zone_name)] = "UTC"
    #: which end of the request the vendor stamps; the end is turned into the start by the duration
    stamp: Literal["start", "end"] = "start"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.unit is None) == (self.format is None):
            raise ValueError(
                "expected unit (iso, s, ms, us, ns or auto) or format, found "
                f"{'neither' if self.unit is None else 'both'}; say how the instant is written"
            )
        if self.from_ and self.join:
            raise ValueError("expected from or join, found both; say where the instant stands")
        if self.unit not in (None, "iso", "auto") and self.zone != "UTC":
            raise ValueError(
                f"expected no zone beside unit: {self.unit}, which counts from 1970 in UTC, found "
                f"{self.zone!r}; remove it"
            )
        return self


class DurationRule(Rule):
    """A duration; its unit has to be said."""

    sum: Paths = ()
    unit: DurationUnit


class BytesRule(Rule):
    """A count of bytes."""

    sum: Paths = ()
    unit: ByteUnit = "B"


class IntegerRule(Rule):
    """A whole number."""

    const: int | None = None


class FlagRule(Rule):
    """Yes or no: true, false, 1, 0, or the words of `values`."""

    values: Mapping[str, bool] = Field(default_factory=dict)
    otherwise: bool | None = None
    const: bool | None = None


class CacheRule(Rule):
    """A cache status: the vendor's words by `values`, those of the usual vendors by themselves."""

    values: Mapping[str, CacheWord] = Field(default_factory=dict)
    otherwise: CacheWord | None = None
    const: CacheWord | None = None


class TextRule(Rule):
    """Text; `join` puts fields together with commas."""

    join: Paths = ()
    values: Mapping[str, str] = Field(default_factory=dict)
    otherwise: str | None = None
    const: str | None = None


class FieldMap(BaseModel):
    """The map of a source: canonical column -> rule; url, request_line and query fill several."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event_time: TimeRule | None = None
    end_time: TimeRule | None = None
    duration_ms: DurationRule | None = None
    ttfb_ms: DurationRule | None = None
    origin_ttfb_ms: DurationRule | None = None
    origin_duration_ms: DurationRule | None = None
    bytes_out_total: BytesRule | None = None
    bytes_out_body: BytesRule | None = None
    bytes_out_network: BytesRule | None = None
    bytes_in: BytesRule | None = None
    content_length: BytesRule | None = None
    range_start: IntegerRule | None = None
    range_end: IntegerRule | None = None
    status: IntegerRule | None = None
    origin_status: IntegerRule | None = None
    client_port: IntegerRule | None = None
    asn: IntegerRule | None = None
    is_viewer: FlagRule | None = None
    client_aborted: FlagRule | None = None
    cache_status: CacheRule | None = None
    #: a URL, absolute or from the path on: fills scheme, host, path and query
    url: TextRule | None = None
    #: `GET /path?query HTTP/1.1`: fills method, path, query and version
    request_line: TextRule | None = None
    query: TextRule | None = None
    path: TextRule | None = None
    host: TextRule | None = None
    scheme: TextRule | None = None
    method: TextRule | None = None
    http_version: TextRule | None = None
    request_id: TextRule | None = None
    producer: TextRule | None = None
    customer: TextRule | None = None
    pop: TextRule | None = None
    client_ip: TextRule | None = None
    country: TextRule | None = None
    region: TextRule | None = None
    tls_version: TextRule | None = None
    tls_cipher: TextRule | None = None
    user_agent: TextRule | None = None
    referer: TextRule | None = None
    content_type: TextRule | None = None
    range_raw: TextRule | None = None
    origin_ip: TextRule | None = None
    error_detail: TextRule | None = None
    cmcd: TextRule | None = None
    #: name -> field that is kept in `extra`
    extra: Mapping[str, Path] = Field(default_factory=dict)
    #: fields that are known and left out, so that they are not reported as unknown
    ignore: Paths = ()

    @model_validator(mode="before")
    @classmethod
    def _extra_by_name(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("extra"), list):
            return {**value, "extra": {name: name for name in value["extra"]}}
        return value

    @model_validator(mode="after")
    def _paths_fit_together(self) -> Self:
        shape: dict[str, str] = {}
        for path in sorted(self.read_paths()):
            keys = keys_of(path)
            for depth in range(1, len(keys) + 1):
                part = path_of(keys[:depth])
                other = shape.setdefault(part.lower(), part)
                if other != part:
                    raise ValueError(
                        f"expected fields that differ in more than case, found {other!r} and "
                        f"{part!r}; map one of them"
                    )
                if depth < len(keys) and part in self.read_paths():
                    raise ValueError(
                        f"expected either {part!r} or the fields in it, found both {part!r} and "
                        f"{path!r}; map one of them"
                    )
        return self

    def rules(self) -> dict[str, Rule]:
        """Return the rules that are given, by column."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: rule for name, rule in found.items() if isinstance(rule, Rule)}

    def read_paths(self) -> set[str]:
        """Return every field that is read."""
        return {p for rule in self.rules().values() for p in rule.paths()} | {*self.extra.values()}

    def first_keys(self) -> set[str]:
        """Return the outermost keys of the fields that are read."""
        return {keys_of(path)[0] for path in self.read_paths()}

    def over(self, preset: FieldMap) -> FieldMap:
        """Return a preset with what this map says instead of it, or besides."""
        said = {**preset.rules(), **self.rules()}
        return FieldMap(
            **said,  # type: ignore[arg-type]
            extra={**preset.extra, **self.extra},
            ignore=(*preset.ignore, *self.ignore),
        )
