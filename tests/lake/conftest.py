"""Real parts, small: parsers that live as long as the run, and lakes in temporary folders.

Belongs here: how a test gets a parsed file, a landing or a lake. Does not: what is expected.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from lake.audit import AuditReport, CheckResult, DeliverySubject
from lake.catalog import ensure_all, open_catalog
from lake.columnar import parser_of
from lake.deliveries import Delivery, read_ledger
from lake.formats import COUNTER_FAMILIES, FAMILIES
from lake.formats.base import Family
from lake.ingest import Ingest, IngestReport
from lake.landing import FolderLanding
from lake.ledger import Ledger
from lake.parse import Constants, Parser
from lake.protection import Protection
from lake.pseudonyms import Keyring
from lake.reads import relation_sql
from lake.records import CDN_REQUESTS, REC_EVENTS, Record
from lake.settings import PACKAGED_SOURCES, LakeSettings, load_settings
from lake.source import ABSOLUTE_RANGE, LandingSpec, Privacy, Source, load_sources
from lake.totals import ParseTotals
from lake.versions import Partition, hour_versions

#: families whose base line is a file: id names a line; separator joins values, else an object
FEED_BASES: dict[str, Any] = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((Path(__file__).parent / "bases").glob("*.yaml"))
}
COUNTER_BASES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "counter_bases.yaml").read_text()
)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROTECTION = Protection(Keyring.of(b"a key of the tests"))
CF_FIELDS = """
date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)
cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header
cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher
x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port
time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len
sc-range-start sc-range-end
""".split()  # noqa: SIM905
CF_VALUES = """
2026-11-16 10:00:05 FRA56-P1 1500 192.0.2.77 GET d1.cloudfront.net /hls/a/seg1.ts 200
https://play.example/watch?token=s3cret Mozilla/5.0%20(X11) v=1&token=s3cret - Hit
req-1 vod.aurora.example https 120 0.250 - TLSv1.3 TLS_AES_128_GCM_SHA256 Hit HTTP/2.0
- - 54298 0.010 Hit video/mp2t 1400 - -
""".split()  # noqa: SIM905
CF_BASE = dict(zip(CF_FIELDS, CF_VALUES, strict=True))
CF2_BASE: dict[str, Any] = {**CF_BASE, "asn": "3320", "c-country": "DE"}
RT_BASE: dict[str, Any] = {
    "timestamp": "1794823205.373",
    "c-ip": "192.0.2.77",
    "time-to-first-byte": "0.010",
    "sc-status": "200",
    "sc-bytes": "1500",
    "cs-method": "GET",
    "cs-protocol": "https",
    "cs-host": "vod.aurora.example",
    "cs-uri-stem": "/hls/a/seg1.ts?v=1&token=s3cret",
    "cs-bytes": "120",
    "x-edge-location": "FRA56-P1",
    "x-edge-request-id": "req-1",
    "x-host-header": "d1.cloudfront.net",
    "time-taken": "0.250",
    "cs-protocol-version": "HTTP/2.0",
    "c-ip-version": "IPv4",
    "cs-user-agent": "Mozilla/5.0%20(X11)",
    "cs-referer": "https://play.example/watch?token=s3cret",
    "cs-cookie": "-",
    "cs-uri-query": "v=1&token=s3cret",
    "x-edge-response-result-type": "Hit",
    "x-forwarded-for": "-",
    "ssl-protocol": "TLSv1.3",
    "ssl-cipher": "TLS_AES_128_GCM_SHA256",
    "x-edge-result-type": "Hit",
    "sc-content-type": "video/mp2t",
    "sc-content-len": "1400",
    "sc-range-start": "-",
    "sc-range-end": "-",
    "c-port": "54298",
    "x-edge-detailed-result-type": "Hit",
    "c-country": "de",
    "cs-headers": "Host:vod.aurora.example%0AAuthorization:s3cret",
    "origin-fbl": "-",
    "origin-lbl": "-",
    "asn": "3320",
    "cmcd-encoded-bitrate": "-",
    "cmcd-buffer-length": "-",
    "cmcd-buffer-starvation": "-",
    "cmcd-content-id": "-",
    "cmcd-next-object-request": "-",
    "cmcd-object-type": "-",
    "cmcd-session-id": "-",
    "cmcd-startup": "-",
    "cmcd-top-bitrate": "-",
}
CFL_BASE: dict[str, Any] = {
    "EdgeStartTimestamp": 1794823205123456000,
    "EdgeEndTimestamp": 1794823205373456000,
    "EdgeResponseStatus": 200,
    "EdgeResponseBytes": 1500,
    "EdgeResponseBodyBytes": 1400,
    "EdgeTimeToFirstByteMs": 12,
    "ClientRequestBytes": 120,
    "ClientSrcPort": 54298,
    "ClientASN": 3320,
    "CacheCacheStatus": "hit",
    "CacheTieredFill": False,
    "ClientCountry": "de",
    "ClientIP": "192.0.2.77",
    "ClientRequestHost": "vod.aurora.example",
    "ClientRequestMethod": "GET",
    "ClientRequestPath": "/dash/a/seg1.m4s",
    "ClientRequestURI": "/dash/a/seg1.m4s?v=1&token=s3cret",
    "ClientRequestProtocol": "HTTP/2",
    "ClientRequestReferer": "https://play.example/watch?token=s3cret",
    "ClientRequestUserAgent": "Mozilla/5.0 (X11)",
    "EdgeColoCode": "FRA",
    "ParentRayID": "00",
    "WorkerSubrequest": False,
    "RayID": "761fde4e984e5ab2",
}
REC_BASE: dict[str, Any] = {
    "event_id": "e-1",
    "event_type": "play",
    "event_ts_ms": 1794823205123,
    "producer": "rec-1",
    "seq": 17,
    "request_id": "r-1",
    "user_id": "user-0042",
    "session_id": "s-1",
    "item_id": "i-9",
    "creator_id": "c-3",
    "position": 4,
    "scene": "feed",
    "experiment": {"id": "x7", "variant": "b"},
    "model_version": "m12",
    "propensity": 0.25,
    "is_random": False,
    "watch_ms": 9000,
    "item_duration_ms": 30000,
    "customer": "aurora",
    "country": "de",
    "device": "tv",
}


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


def judged(family: Family) -> Family:
    """Return a family that believes no fast read: every line goes to the judge."""
    believes_none = {"overruled": lambda _self, _lines, _layout, numbers: numbers}
    made: Family = type(f"Judged{type(family).__name__}", (type(family),), believes_none)()
    return made


JUDGED: dict[str, Family] = {
    # every line of a counter family is judged anyway
    **{name: judged(family) for name, family in FAMILIES.items()},
    **{family.name: family for family in COUNTER_FAMILIES},
}


def csv_line(cells: Iterable[str]) -> bytes:
    """Return one line of a CSV, quoted where it must be, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Base:
    """The line that cases of a family change: a file in bases/, or what is above."""

    values: Mapping[str, Any]
    #: path of the field that names a line
    id: str
    #: of columns; an object where it is None
    separator: str | None = None
    header: bytes = b""


BASES = {
    "cloudfront_v1": Base(
        CF_BASE,
        "x-edge-request-id",
        "\t",
        f"#Version: 1.0\n#Fields: {' '.join(CF_FIELDS)}\n".encode(),
    ),
    "cloudflare_logpush": Base(CFL_BASE, "RayID"),
    "cloudfront_v2": Base(CF2_BASE, "x-edge-request-id"),
    "cloudfront_realtime": Base(RT_BASE, "x-edge-request-id", "\t"),
    "rec_events": Base(REC_BASE, "event_id"),
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


#: the map of a vendor nobody knows: kilobytes, minutes, a zone of its own, an end for a stamp
ODD_MAP: dict[str, Any] = {
    "event_time": {
        "from": "when.done",
        "format": "%d.%m.%Y %H:%M:%S",
        "zone": "Asia/Tehran",
        "stamp": "end",
    },
    "duration_ms": {"from": "took.all", "unit": "min"},
    "ttfb_ms": {"from": 'took."first.byte"', "unit": "min"},
    "status": "code",
    "bytes_out_total": {"sum": ["kilobytes.head", "kilobytes.body"], "unit": "kB"},
    "bytes_out_body": {"from": "kilobytes.body", "unit": "kB"},
    "client_ip": "who.addr",
    "user_agent": "who.agent",
    "url": "what",
    "request_id": "id",
    "cache_status": {"from": "cache", "values": {"warm": "HIT", "cold": "MISS"}},
    "is_viewer": {"from": "relay", "values": {"no": True, "yes": False}},
    "method": {"const": "GET"},
    "extra": ["note"],
}


#: the same of a delimited log of that vendor
FLAT_MAP: dict[str, Any] = {
    **ODD_MAP,
    "event_time": {**ODD_MAP["event_time"], "from": "done"},
    "duration_ms": {"from": "took", "unit": "min"},
    "ttfb_ms": {"from": "first", "unit": "min"},
    "bytes_out_total": {"sum": ["head", "body"], "unit": "kB"},
    "bytes_out_body": {"from": "body", "unit": "kB"},
    "client_ip": "who",
    "host": "host",
    "user_agent": {"const": "Mozilla/5.0 (X11)"},
}


def source_of(family: str, **changes: Any) -> Source:
    given: dict[str, Any] = {
        "name": "feed",
        "description": "a feed of the tests",
        "owner": "team:tests",
        "format": family,
        "landing": LandingSpec(prefix="in/"),
        "customers": {"vod.aurora.example": "aurora"},
        "privacy": Privacy(query_allow=("v", "quality")),
        "log_format": ACCESS.get(family, {}).get("format", ""),
        "fields": tuple(RT_BASE) if family == "cloudfront_realtime" else (),
        **({"map": ODD_MAP} if family == "json_map" else {}),
        **(
            {"map": FLAT_MAP, "dialect": {"delimiter": ";", "nulls": ["NULL"]}}
            if family == "delimited_map"
            else {}
        ),
    }
    if family == "akamai_ds2_structured":  # the only one whose file never says its columns
        given["fields"] = tuple(BASES[family].values)
    return Source(**{**given, **changes})


@dataclass(frozen=True)
class Parsed:
    """What became of a file: rows in line order, and the counts."""

    rows: list[dict[str, Any]]
    totals: ParseTotals

    @property
    def reasons(self) -> dict[int, str]:
        return {r.line: r.reason for r in self.totals.rejects}

    def check_accounts(self, data: bytes) -> None:
        """Assert what holds for every file: lines add up, rejects are where they say."""
        t = self.totals
        text = data.removeprefix(b"\xef\xbb\xbf")  # a mark and nothing after it is no line
        physical = text.count(b"\n") + bool(text and not text.endswith(b"\n"))
        assert t.lines == physical
        assert t.lines == t.accepted + t.rejected + t.header + t.blank
        assert t.accepted == len(self.rows)
        numbers = [r["source_line"] for r in self.rows] + [r.line for r in t.rejects]
        assert len(numbers) == len(set(numbers))
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for r in t.rejects:
            raw = data[r.byte_offset : r.byte_offset + r.byte_length]
            assert raw == lines[r.line - 1]
            assert hashlib.sha256(raw).hexdigest() == r.raw_sha256


class ParseTool:
    """Parses bytes with parsers that are made once."""

    def __init__(self) -> None:
        self._parsers: dict[tuple[str, bool, str], Parser] = {}

    def __call__(
        self,
        family: str,
        data: bytes,
        *,
        judged: bool = False,
        name: str = "in/file.log",
        source: Source | None = None,
        size: int | None = None,
        **constants: Any,
    ) -> Parsed:
        feed = source or source_of(family)
        known = (family, judged, repr(feed))
        if known not in self._parsers:
            how = JUDGED[family] if judged else FAMILIES[family]
            self._parsers[known] = parser_of(feed, how, PROTECTION)
        given = {"not_before": ABSOLUTE_RANGE[0], "not_after": ABSOLUTE_RANGE[1], **constants}
        tables: list[pa.Table] = []
        totals = self._parsers[known].parse(
            io.BytesIO(data),
            name,
            len(data) if size is None else size,
            Constants(
                "d-1", NOW, given.pop("producer", None), given["not_before"], given["not_after"]
            ),
            tables.append,
        )
        rows = [row for t in tables for row in t.to_pylist()]
        return Parsed(sorted(rows, key=lambda r: r["source_line"]), totals)

    def close(self) -> None:
        for parser in self._parsers.values():
            parser.close()


@pytest.fixture(scope="session")
def parse() -> Iterator[ParseTool]:
    tool = ParseTool()
    yield tool
    tool.close()


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


@pytest.fixture(scope="session")
def make() -> Lines:
    return Lines()


@pytest.fixture(scope="session")
def feed_of() -> Callable[..., Source]:
    return source_of


@dataclass
class TrivialAudit:
    """Passes every delivery but those whose key holds a word; remembers what it judged."""

    refuse: str | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, subjects: Sequence[DeliverySubject]) -> AuditReport:
        self.seen += [s.key for s in subjects]
        return AuditReport(
            tuple(
                CheckResult(
                    layer="delivery",
                    suite="tests",
                    check_name="word",
                    subject=s.delivery_id,
                    severity="critical",
                    is_passed=self.refuse is None or self.refuse not in s.key,
                    observed=s.key,
                    expected="no such word",
                )
                for s in subjects
            )
        )


@dataclass
class LakeBox:
    """A lake of its own: landing, SQLite catalog and the ingest of every bronze table."""

    settings: LakeSettings
    sources: Mapping[str, Source]
    protection: Protection = PROTECTION
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.settings.landing.mkdir(parents=True, exist_ok=True)
        self.catalog = open_catalog(self.settings)
        ensure_all(self.catalog)
        self.audit = TrivialAudit()

    def land(self, key: str, data: bytes, at: datetime = NOW, *, packed: bool = True) -> Path:
        path = self.settings.landing / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
        os.utime(path, ns=(int(at.timestamp()) * 10**9,) * 2)
        return path

    def ingest_of(self, record: Record, **changes: Any) -> Ingest:
        given: dict[str, Any] = {
            "catalog": self.catalog,
            "landing": FolderLanding(self.settings.landing),
            "sources": self.sources,
            "record": record,
            "audit": self.audit,
            "protection": self.protection,
            "now": self.now,
        }
        return Ingest(**{**given, **changes})

    def run(self, *records: Record, released: Sequence[str] = (), **changes: Any) -> IngestReport:
        self.now += timedelta(seconds=1)
        reports = [
            self.ingest_of(r, **changes).run(released)
            for r in records or (CDN_REQUESTS, REC_EVENTS)
        ]
        return replace(reports[0], changes=tuple(c for r in reports for c in r.changes))

    def sql(self, query: str, *identifiers: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            relations = [f"({relation_sql(self.catalog.load_table(i))})" for i in identifiers]
            return connection.execute(query.format(*relations)).fetchall()

    def rows(self, identifier: str, *, leave_out: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        gone = f"exclude ({', '.join(leave_out)})" if leave_out else ""
        return self.sql(f"select * {gone} from {{}} order by all", identifier)

    def count(self, identifier: str) -> int:
        return int(self.sql("select count(*) from {}", identifier)[0][0])

    def snapshots(self) -> dict[str, int]:
        return {
            ".".join(i): len(self.catalog.load_table(i).metadata.snapshots)
            for space in self.catalog.list_namespaces()
            for i in self.catalog.list_tables(space)
        }

    def versions(self) -> dict[Partition, str]:
        with Ledger(self.catalog.load_table("ops.deliveries")) as ledger:
            return hour_versions(ledger)

    def ledger(self) -> dict[str, Delivery]:
        return read_ledger(self.catalog)

    def states(self) -> dict[tuple[str, datetime], str]:
        return {(d.key, d.last_modified): d.state for d in self.ledger().values()}

    def by_key(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for d in sorted(self.ledger().values(), key=lambda d: d.order):
            found.setdefault(d.key, []).append(d.state)
        return found

    def data_files(self, identifier: str) -> set[str]:
        folder = self.settings.warehouse / identifier.replace(".", "/") / "data"
        return {str(p) for p in folder.rglob("*.parquet")} if folder.exists() else set()

    def live_files(self, identifier: str) -> set[str]:
        table = self.catalog.load_table(identifier)
        return {t.file.file_path.removeprefix("file://") for t in table.scan().plan_files()}


@pytest.fixture(scope="session")
def lake_at() -> Callable[[Path], LakeBox]:
    sources = load_sources(PACKAGED_SOURCES)

    def make_one(folder: Path) -> LakeBox:
        return LakeBox(load_settings({}, home=folder / "home"), sources)

    return make_one


@pytest.fixture
def box(tmp_path: Path, lake_at: Callable[[Path], LakeBox]) -> LakeBox:
    return lake_at(tmp_path)


@pytest.fixture
def box_in(tmp_path: Path, lake_at: Callable[[Path], LakeBox]) -> Callable[[str], LakeBox]:
    return lambda name: lake_at(tmp_path / name)
