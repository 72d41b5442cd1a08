"""The example sources of docs/sources are complete: they load, and they read what they describe."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from lake.formats import FAMILIES, FEED_FAMILIES
from lake.records import CDN_REQUESTS
from lake.settings import PACKAGED_SOURCES
from lake.source import SourceError, load_source, load_sources

FOLDER = Path(__file__).parents[2] / "docs/sources"
SOURCES = load_sources(FOLDER)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_an_example_source_is_complete(name):
    feed = SOURCES[name]
    assert feed.name == name
    assert feed.period is not None
    assert feed.cadence is not None
    assert feed.customers or FAMILIES[feed.format].record is not CDN_REQUESTS
    FAMILIES[feed.format].check(feed)


@pytest.mark.parametrize("name", ["nginx", "apache", "varnishncsa", "squid", "ats_squid"])
def test_the_name_of_a_rotated_file_says_server_and_hour(name):
    facts = SOURCES[name].name_facts(f"{name}/fra-edge-1/access-2026111610.log.gz")
    assert facts.producer == "fra-edge-1"
    assert f"{facts.period_start:%Y-%m-%d %H}" == "2026-11-16 10"


AZURE = "insights-logs-frontdooraccesslog/resourceId=/SUBSCRIPTIONS/S/PROVIDERS/X/PROFILES/P1"
NAMES = [
    ("akamai", "akamai/2026/11/16/10/ak-12345-1794823205-ds.gz", None),
    ("akamai_structured", "akamai_structured/2026/11/16/10/ak-12345-1794823205-ds.gz", None),
    ("gcp", "gcp/requests/2026/11/16/10:00:00_10:59:59_S0.json", None),
    ("gcp", "gcp/requests/2026/11/16/10:00:00_10:59:59_A1.json", None),
    ("azure", f"{AZURE}/y=2026/m=11/d=16/h=10/m=00/PT1H.json", "P1"),
]


@pytest.mark.parametrize("name", [f.name for f in FEED_FAMILIES])
def test_the_name_of_a_feeds_file_says_hour_and_producer(name):
    end = "log" if name == "cmcd_events" else "ndjson"
    facts = SOURCES[name].name_facts(f"{name}/dt=2026-11-16/hour=10/eu-1-900.{end}.gz")
    assert facts.producer == "eu-1"
    assert f"{facts.period_start:%Y-%m-%d %H}" == "2026-11-16 10"


def test_example_and_packaged_sources_go_together():
    packaged = load_sources(PACKAGED_SOURCES)
    assert not set(SOURCES) & set(packaged)
    prefixes = [s.landing.prefix for s in (*SOURCES.values(), *packaged.values())]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(("name", "key", "producer"), NAMES)
def test_an_example_reads_period_and_producer_out_of_a_key(name, key, producer):
    source = SOURCES[name]
    assert key.startswith(source.landing.prefix)
    facts = source.name_facts(key)
    assert facts.period_start == datetime.fromisoformat("2026-11-16T10:00:00+00:00")
    assert facts.producer == producer


BROKEN = {
    "no time": ("nginx", "$remote_addr $status", "no variable for a time"),
    "no status": ("nginx", "$remote_addr $msec", "no variable for a status"),
    "agent without quotes": ("nginx", "$msec $status $http_user_agent", 'write it as "$http_user'),
    "nothing between": ("nginx", "$msec $status$body_bytes_sent", "nothing stands between $status"),
    "json": ("nginx", "log_format a escape=json '{$status}';", "found escape=json"),
    "escape none": ("nginx", "log_format a escape=none '$msec $status';", "escape=default"),
    "apache without a time": ("apache", "%h %>s", "no variable for a time"),
    "varnish without a status": ("varnishncsa", "%h %t", "no variable for a status"),
    "squid of one's own": ("squid", "%ts %>Hs", "Remove log_format"),
    "a family without format strings": ("cloudfront_v1", "$status", "has no format string"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_format_string_that_cannot_be_read_is_named_with_its_remedy(what, tmp_path):
    family, text, remedy = BROKEN[what]
    path = tmp_path / "broken.yaml"
    path.write_text(
        f"name: feed\ndescription: a feed\nowner: team:tests\nformat: {family}\n"
        f"landing: {{prefix: in/}}\nlog_format: |\n  {text}\n"
    )
    with pytest.raises(SourceError) as found:
        load_source(path)
    for part in ("broken.yaml:", "log_format: ", remedy):
        assert part in str(found.value)


LINE = (
    b'192.0.2.77 - - [16/Nov/2026:10:00:05 +0000] "GET /a.ts?v=1 HTTP/1.1" 200 14 "-" "A \\x22 b"\n'
)
TABS = b"1794823205.373\tGET /a b.ts HTTP/1.1\t200\tPlayer 1\n"
MANY = {
    "bare": ("nginx", '$remote_addr - $remote_user [$time_local] "$request" $status '
             '$body_bytes_sent "$http_referer" "$http_user_agent"', LINE),
    "directive": ("nginx", "log_format main '$remote_addr - $remote_user [$time_local] '\n"
                  "  '\"$request\" $status ${body_bytes_sent} '\n"
                  "  '\"$http_referer\" \"$http_user_agent\"';", LINE),
    "LogFormat": ("apache", r'LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" '
                  r'\"%{User-agent}i\"" combined', LINE),
    "varnishncsa -F": ("varnishncsa", "-F '%h %l %u %t \"%r\" %s %b \"%{Referer}i\" "
                       "\"%{User-agent}i\"'", LINE),
    "tabs": ("nginx", "$msec\t$request\t$status\t$http_user_agent", TABS),
    "parts of a request": ("apache", '%{usec}t "%m %U%q %H" %s "%{User-agent}i"',
                           b'1794823205373000 "GET /a.ts?v=1 HTTP/1.1" 200 "A"\n'),
    "ISO 8601": ("nginx", '$time_iso8601 "$request" $status',
                 b'2026-11-16T11:00:05+01:00 "GET /a.ts HTTP/1.1" 200\n'),
    "end of the request": ("apache", '%{end:msec}t %D %s "%r"',
                           b'1794823205373 1000 200 "GET /a.ts HTTP/1.1"\n'),
}  # fmt: skip


@pytest.mark.parametrize("what", MANY)
def test_a_format_string_is_read_as_servers_hold_it(what, parse, feed_of):
    family, text, line = MANY[what]
    source = feed_of(family, log_format=text)
    for judged in (False, True):
        found = parse(family, line * 3, judged=judged, source=source)
        assert (found.totals.accepted, found.totals.rejected) == (3, 0)
        row = found.rows[0]
        assert f"{row['event_time']:%H:%M:%S}" == "10:00:05"
        assert (row["status"], row["method"]) == (200, "GET")
        assert row["path"] in ("/a.ts", "/a b.ts")


def test_well_known_formats_need_no_format_string(parse, feed_of):
    plain = LINE.split(b' "-"')[0] + b"\n"
    hosted = b"edge.example:443 " + LINE
    forwarded = LINE[:-1] + b' "203.0.113.9"\n'
    for family, lines, wanted in (
        ("apache", plain, None),
        ("apache", hosted, "edge.example"),
        ("nginx", LINE, None),
    ):
        found = parse(family, lines * 2, source=feed_of(family, log_format=""))
        assert found.totals.accepted == 2
        assert found.rows[0]["host"] == wanted
    found = parse("nginx", forwarded, source=feed_of("nginx", log_format=""))
    assert dict(found.rows[0]["extra"]) == {"x-forwarded-for": "203.0.113.0"}


def test_variables_that_nobody_knows_are_named_and_not_kept(parse, feed_of):
    source = feed_of("nginx", log_format='$msec $status $cookie_session "$http_authorization"')
    found = parse("nginx", b'1794823205.373 200 s3cret "Basic s3cret"\n', source=source)
    assert found.totals.accepted == 1
    assert found.totals.unknown_fields == {"$cookie_session", "$http_authorization"}
    assert "s3cret" not in repr(found.rows)
