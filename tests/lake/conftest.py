"""Real parts, small: parsers that live as long as the run, and lakes in temporary folders.

Belongs here: how a test gets a parsed file, a landing or a lake. Does not: what is expected.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake.audit import AuditReport, CheckResult, DeliverySubject
from lake.catalog import ensure_all, open_catalog
from lake.deliveries import Delivery, read_ledger
from lake.formats import FAMILIES
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


FASTLY_BASE: dict[str, Any] = {
    "service_id": "7i6HN3TK9wS159v2gPAZ8A",
    "time_start": "2026-11-16T10:00:05.123456Z",
    "time_end": "2026-11-16T10:00:05.373456Z",
    "time_elapsed": "250000",
    "time_to_first_byte": "0.012",
    "is_edge": "true",
    "client_ip": "192.0.2.77",
    "request": "GET",
    "protocol": "HTTP/2",
    "host": "vod.aurora.example",
    "url": "/dash/a/seg1.m4s?v=1&token=s3cret",
    "is_tls": "true",
    "tls_client_protocol": "TLSv1.3",
    "tls_client_cipher": "TLS_AES_128_GCM_SHA256",
    "request_referer": "https://play.example/watch?token=s3cret",
    "request_user_agent": "Mozilla/5.0 (X11)",
    "status": "200",
    "content_type": "video/iso.segment",
    "cache_status": "HIT-CLUSTER",
    "geo_datacenter": "FRA",
    "geo_country_code": "DE",
    "req_header_size": "100",
    "req_body_size": "20",
    "resp_header_size": "100",
    "resp_body_size": "1400",
}
NGINX_BASE: dict[str, Any] = {
    "time_iso8601": "2026-11-16T11:00:05+01:00",
    "remote_addr": "192.0.2.77",
    "host": "vod.aurora.example",
    "request": "GET /dash/a/seg1.m4s?v=1&token=s3cret HTTP/2.0",
    "status": 200,
    "bytes_sent": 1500,
    "body_bytes_sent": 1400,
    "request_length": 120,
    "request_time": 0.25,
    "upstream_response_time": "0.100, 0.040 : 0.030",
    "upstream_cache_status": "HIT",
    "http_referer": "https://play.example/watch?token=s3cret",
    "http_user_agent": "Mozilla/5.0 (X11)",
    "request_id": "r-1",
}
APACHE_BASE: dict[str, Any] = {
    "time": "[16/Nov/2026:11:00:05 +0100]",
    "remoteIP": "192.0.2.77",
    "host": "vod.aurora.example",
    "request": "/dash/a/seg1.m4s",
    "query": "?v=1&token=s3cret",
    "method": "GET",
    "status": "200",
    "bytes": "1400",
    "duration_us": "250000",
    "userAgent": "Mozilla/5.0 (X11)",
    "referer": "https://play.example/watch?token=s3cret",
}
#: a vendor nobody knows: kilobytes, minutes, a zone of its own, an end for a stamp
ODD_BASE: dict[str, Any] = {
    "id": "r-1",
    "when": {"done": "16.11.2026 15:30:05"},
    "took": {"all": "0.5", "first.byte": 0.0002},
    "who": {"addr": "192.0.2.77", "agent": "Mozilla/5.0 (X11)"},
    "what": "https://VOD.aurora.example:8443/dash/a/seg1.m4s?v=1&token=s3cret",
    "code": 200,
    "kilobytes": {"head": 0.1, "body": 1.4},
    "cache": "warm",
    "relay": "no",
    "note": "kept",
}
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
BASES: dict[str, dict[str, Any]] = {
    "cloudfront_v1": CF_BASE,
    "cloudflare_logpush": CFL_BASE,
    "fastly": FASTLY_BASE,
    "nginx_json": NGINX_BASE,
    "apache_json": APACHE_BASE,
    "json_map": ODD_BASE,
    "rec_events": REC_BASE,
}
#: field that names a line
IDS = {
    "cloudfront_v1": "x-edge-request-id",
    "cloudflare_logpush": "RayID",
    "fastly": "request_id",
    "nginx_json": "request_id",
    "apache_json": "request_id",
    "json_map": "id",
    "rec_events": "event_id",
}


def _judged(family: Family) -> Family:
    """Return a family that believes no fast read: every line goes to the judge."""

    def overruled(self, lines, layout, numbers):  # type: ignore[no-untyped-def]
        return numbers

    kind = type(f"Judged{type(family).__name__}", (type(family),), {"overruled": overruled})
    return kind()  # type: ignore[no-any-return]


JUDGED: dict[str, Family] = {name: _judged(family) for name, family in FAMILIES.items()}


def source_of(family: str, **changes: Any) -> Source:
    given: dict[str, Any] = {
        "name": "feed",
        "description": "a feed of the tests",
        "owner": "team:tests",
        "format": family,
        "landing": LandingSpec(prefix="in/"),
        "customers": {"vod.aurora.example": "aurora"},
        "privacy": Privacy(query_allow=("v", "quality")),
        **({"map": ODD_MAP} if family == "json_map" else {}),
    }
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
        physical = data.count(b"\n") + bool(data and not data.endswith(b"\n"))
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
            self._parsers[known] = Parser(feed, how, PROTECTION)
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
        if family != "cloudfront_v1":
            return b""
        return f"#Version: 1.0\n#Fields: {' '.join(CF_FIELDS)}\n".encode()

    @staticmethod
    def line(
        family: str, changes: Mapping[str, Any] | None = None, drop: Sequence[str] = ()
    ) -> bytes:
        values = {**BASES[family], **(changes or {})}
        values = {k: v for k, v in values.items() if k not in drop}
        if family == "cloudfront_v1":
            return "\t".join(str(v) for v in values.values()).encode()
        return json.dumps(values, separators=(",", ":")).encode()

    def numbered(self, family: str, n: int) -> bytes:
        return self.line(family, {IDS[family]: f"n-{n}"})

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
